"""From text vectors to samples: the plain reference sampler and the fast engines."""

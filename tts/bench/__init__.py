"""Measuring speed: of speaking and of training.

In: a voice or a config. Out: rows of samples per second, memory and start-up time, with the machine they are of.
Read `rows` first; `roofline` says what the machine could do, `training` times a training step.
"""

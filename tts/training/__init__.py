"""Batches, losses, the accelerate loop, checkpoints."""

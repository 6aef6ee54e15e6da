"""Samples from a model: what engines are asked and answer, durations, the scheduler, the engines.

In: a `SynthesisRequest` (unit vectors, speaker, seed, limits). Out: a `SynthesisResult` (codes, unit ends).
Read `interface` first, then `torch_engine`, the plain one; `native/` is the compiled engine, `durations` draws unit
durations before the first sample, `scheduler` gives requests places in a batch, for both engines. `rounding` rounds
weights, and `rounded` is the model as both engines compute it.
"""

"""Experiments: a YAML in `configs/lab/` each, run, tabled and plotted by `tts lab` (docs/lab.md).

In: recordings. Out: one line of results a run, and the page docs/results/lab.md. Read `experiment.py` first: what an
experiment, a kind and a run are; `loop.py` is the training loop that kinds share.
"""

"""Evaluation: does a voice say combinations that it was never trained on?

In: a voice or audio files, real recordings of the same texts. Out: `report.json`, `report.md`, `report.html`.
Read `running` first; `test_sets` draws texts and real recordings, `metrics` counts errors with intervals, `callbacks`
are what runs at each validation of a training.
"""

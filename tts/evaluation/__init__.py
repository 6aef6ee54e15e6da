"""Evaluation: does a voice say combinations that it was never trained on?

In: a voice or audio files, real recordings of the same texts. Out: `report.json`, `report.md`, `report.html`.
Read `running` first: how all is judged, in blocks. `test_sets` draws texts and real recordings, `systems` says or
reads what is judged, `judges/` judge it, `utterance` is what is kept of one text, `metrics` sums up with intervals,
`report` writes the pages with `plots`. `callbacks` runs at each validation of a training, `trainings` judges several
of them alike, `softmax` measures what a voice's predictions look like.
"""

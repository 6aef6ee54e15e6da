"""The judges: what each makes of a wave, beside what it makes of real recordings of the same text.

In: waves, and what they should say. Out: a `Score` of each, by measure. Read `judge` first: what every judge is; then
one file a judge, which `loading` makes by their names. `summary` sums up with intervals, `tables` is their part of the
report. `voice.md` and `docs/evaluation.md` say what each was used for; one that selected training data, checkpoints or
settings is no independent judge of the result.
"""

"""The judges: what each makes of a wave, beside what it makes of real recordings of the same text.

One file a judge. `voice.md` and `docs/evaluation.md` say what each was used for; one that selected training data,
checkpoints or settings is no independent judge of the result.
"""

"""The digit recognizer: audio to digits with a score each.

In: waves at any rate. Out: a list of digits per wave. It was trained on real recordings only and judges voices.
Read `model` first; `augment` damages training audio, `training` trains, `evaluation` measures, `weights/` ships.
"""

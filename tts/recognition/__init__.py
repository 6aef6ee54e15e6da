"""The digit recognizer: audio to digits with a score each.

In: waves at any rate. Out: a list of digits per wave. It was trained on real recordings only and judges voices.
Read `model` first, then `confidence`, by which digits are rejected; `onnx_recognizer` is both without torch, from the
file that `export` makes, and `config`, `digits`, `waves` and `loading` are what the two forms share. `training` and
`confidence_training` make the two, on audio that `augment` damages; `second_training` makes another recognizer, of
`convolutional`, that judges and selects nothing. `alignment` counts errors; `evaluation` measures, `report` writes;
`weights/` ships.
"""

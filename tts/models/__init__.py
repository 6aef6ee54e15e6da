"""Models: each a config dataclass and a teacher-forced `forward`.

In: codes, unit vectors, pointer, speaker. Out: logits of each sample and of the advance bits. Nothing here knows of
training or sampling. Read `two_tier` first, the model that ships; `config` holds its shapes and imports no torch,
`pitch` finds what its pitch taps read. `flat`, `sine` and `digit_net` are the lab's.
"""

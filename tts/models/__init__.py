"""The two-tier model: a config dataclass and a teacher-forced `forward`.

In: codes, unit vectors, pointer, speaker. Out: logits of each sample and of the advance bits. Nothing here knows of
training or sampling. Read `two_tier` first; `config` holds the shapes and imports no torch.
"""

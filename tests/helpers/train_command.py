"""`tts train` in this process, and overrides that make a run small."""

SMALL = [
    "data.speakers=[theo]",
    "data.sequences.max_digits=2",
    "model.dim=32",
    "model.sample_dim=16",
    "model.hist_size=16",
    "model.text_dim=8",
    "train.steps=4",
    "train.batch_size=2",
    "train.warmup_steps=1",
    "train.validate_every=2",
    "train.checkpoint_every=2",
    "validation.sequences=2",
    "validation.spoken=1",
]


def tts_train(*arguments):
    """Exit code and stderr of `tts train`."""
    from tts.cli.main import main

    try:
        return main(["train", *map(str, arguments)])
    except SystemExit as stop:
        return stop.code

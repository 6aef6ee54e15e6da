"""Which models the native engine supports: the family that ships. The torch engine supports every model."""

from tts.models.config import TwoTierConfig

SUPPORTED = {"cell": "lstm", "n_rnn": 1, "history": "real", "quantization": "mu-law"}
"""What an option must be."""


def unsupported(config: TwoTierConfig) -> str | None:
    """The first option that the native engine does not support, e.g. "model.cell: gru"; None if there is none."""
    found = ((name, getattr(config, name)) for name in SUPPORTED)
    return next((f"model.{name}: {value}" for name, value in found if value != SUPPORTED[name]), None)


def without_native(reason: str) -> str:
    """The warning where the torch engine takes the place of the native one."""
    return f"the native engine does not support {reason}; the slower torch engine makes the samples"

"""Which models the native engine supports, of all that the torch engine does."""

from tts.models.config import TwoTierConfig

MAX_LAYERS = 16
"""Recurrent layers, and layers of the sample tier: MAX_LAYERS in engine.c."""


def unsupported(config: TwoTierConfig) -> str | None:
    """The first option that the native engine does not support, e.g. "model.cell: gru"; None if there is none."""
    c = config
    for name, value in (("cell", "lstm"), ("history", "real")):
        if getattr(c, name) != value:
            return f"model.{name}: {getattr(c, name)}"
    for name in ("n_rnn", "sample_layers"):
        if getattr(c, name) > MAX_LAYERS:
            return f"model.{name}: {getattr(c, name)}"
    # Sums of as many samples times weights of 7 bits must fit in 32.
    if c.q_levels > 2**15 or 127 * (c.q_levels // 2) * max(c.hist_size, c.frame_size) >= 2**31:
        return f"model.q_levels: {c.q_levels}"
    return None

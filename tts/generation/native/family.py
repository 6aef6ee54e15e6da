"""What to say where the native engine cannot make the samples."""

from tts.generation.family import unsupported
from tts.generation.native import library
from tts.models.config import TwoTierConfig


def without_native(config: TwoTierConfig) -> str | None:
    """The warning where the torch engine must take the place of the native one; None where it need not."""
    if reason := unsupported(config):
        return f"the native engine does not support {reason}; the slower torch engine makes the samples"
    return library.problem()

"""Where the package keeps things outside itself."""

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """$TWOTIER_TTS_CACHE, else twotier-tts in $XDG_CACHE_HOME or ~/.cache; None for a user without a home."""
    own = os.environ.get("TWOTIER_TTS_CACHE")
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twotier-tts"
    except RuntimeError:
        return None

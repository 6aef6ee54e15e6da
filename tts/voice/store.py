"""Voices by name: those that ship with the package, folders, and the Hugging Face Hub's."""

import os
import re
from pathlib import Path

from tts.core.errors import InputError
from tts.core.extras import require
from tts.core.messages import reason, shown
from tts.voice.folder import CARD_FILE, CONFIG_FILE, FIX, WEIGHTS_FILE, read_arrays, read_config
from tts.voice.voice import Voice

VOICES = Path(__file__).parents[1] / "voices"
DEFAULT_VOICE = "digits"

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def load_voice(name: str | Path | None = None) -> Voice:
    """Load a voice.

    Args:
        name: one that ships with the package (see `installed_voices`), a voice folder, or a Hugging Face Hub id
            "user/name"; None: the package's default voice.

    Returns:
        The voice, ready to speak.

    Raises:
        InputError: there is no such voice; the hub cannot be reached; a file is missing, cut short or foreign.

    Example:
        voice = tts.load_voice()
    """
    folder = _find(name)
    config = read_config(folder)
    weights, word_vectors = read_arrays(folder, config)
    try:
        return Voice(config, weights, word_vectors)
    except InputError as error:
        raise InputError(f"{folder / WEIGHTS_FILE}: {error}; {FIX}") from error


def installed_voices() -> dict[str, Path]:
    """The folders of the voices that ship with the package, by name."""
    if not VOICES.is_dir():
        return {}
    return {folder.name: folder for folder in sorted(VOICES.iterdir()) if (folder / CONFIG_FILE).is_file()}


def _find(name: str | Path | None) -> Path:
    if name is not None and not isinstance(name, str | os.PathLike):
        raise InputError(f"the voice is {shown(name)}; give a name, a folder or a Hub id, as a string or a path")
    installed = installed_voices()
    if name is None:
        if not installed:
            raise InputError("no voice ships with this installation; name a voice folder with --voice DIR")
        return installed.get(DEFAULT_VOICE, next(iter(installed.values())))
    if str(name) in installed:
        return installed[str(name)]
    if os.path.isdir(name):
        return Path(name)
    if isinstance(name, str) and _HUB_ID.fullmatch(name):
        return _download(name)
    known = ", ".join(installed) or "(none)"
    raise InputError(f"there is no voice {str(name)!r}; give one of {known}, a voice folder, or a Hub id user/name")


def _download(hub_id: str) -> Path:
    require("train", "huggingface_hub")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=[CONFIG_FILE, WEIGHTS_FILE, CARD_FILE]))
    except Exception as error:  # the hub's client raises its own, httpx's, OSError and ValueError
        raise InputError(
            f"there is no voice folder {hub_id}, and fetching the voice {hub_id} from the Hugging Face Hub failed "
            f"({reason(error)}); check the name and the connection"
        ) from error

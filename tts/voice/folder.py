"""Voice folders, read and written. A voice folder holds three files:

- `config.json`: the fields of `VoiceConfig`;
- `model.safetensors`: the model's weights, matrices as integers with a scale per row (`generation.stored_weights`), and
  `word_vectors`, (V, word_dim) float32, a row per word of the vocabulary (with `text_encoder.context: word`), so
  that those words need neither torch nor a text encoder;
- `README.md`: the card, for people.

Letters: V words of the vocabulary.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tts.core import config as configs
from tts.core.errors import InputError
from tts.core.files import failure, is_file, kind, new_folder, write_together
from tts.core.messages import reason, shown
from tts.generation.weights import restored_weights, stored_weights
from tts.voice.config import FORMAT_VERSION, VoiceConfig

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
VECTORS = "word_vectors"
FIX = "give a folder that tts train wrote, or fetch the voice again"
"""The end of every message about a folder that is no voice."""


def read_config(folder: Path) -> VoiceConfig:
    """The config of a voice folder, without its weights.

    Raises:
        InputError: config.json is missing, of another format version, or not what a voice's must be.
    """
    path = folder / CONFIG_FILE
    if not is_file(path):
        raise InputError(f"{folder} is no voice: it has no {CONFIG_FILE}; {FIX}")
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; {FIX}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({reason(error)}); {FIX}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds no JSON object; {FIX}")
    _check_version(path, tree)
    try:
        return configs.build(VoiceConfig, tree)
    except InputError as error:
        raise InputError(f"{path}: {error}; {FIX}") from error


def read_arrays(folder: Path, config: VoiceConfig) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The model's weights by name, not checked, and (word_dim,) float32 for each word of the vocabulary.

    Raises:
        InputError: model.safetensors is missing or not whole, or its word vectors do not fit the vocabulary.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / WEIGHTS_FILE
    if not is_file(path):
        raise InputError(f"{folder} is no voice: it has no {WEIGHTS_FILE}; {FIX}")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({reason(error)}); {FIX}") from error
    table = tensors.pop(VECTORS, None) if config.shipped else None
    try:
        weights = restored_weights(tensors)
    except InputError as error:
        raise InputError(f"{path}: {error}; {FIX}") from error
    if not config.shipped:
        return weights, {}
    if table is None or table.shape != (len(config.shipped), config.model.word_dim):
        raise InputError(
            f"{path}: {VECTORS} must have a row of {config.model.word_dim} numbers for each of the "
            f"{len(config.shipped)} words of the vocabulary; {FIX}"
        )
    return weights, dict(zip(config.shipped, table, strict=True))


def write_voice(
    folder: str | Path,
    config: VoiceConfig,
    weights: Mapping[str, np.ndarray],
    word_vectors: Mapping[str, np.ndarray],
    card: str,
) -> None:
    """Write the three files of a voice, whole or none of them; see `Voice.save`."""
    from safetensors.numpy import save as to_safetensors

    kind(folder)  # refuses what can be no path
    folder = Path(folder)
    tensors = stored_weights(config.model, weights)
    if word_vectors:
        tensors[VECTORS] = np.stack(list(word_vectors.values()))
    text = json.dumps(configs.to_dict(config), indent=2, ensure_ascii=False)
    try:
        with new_folder(folder):
            write_together(
                {
                    folder / WEIGHTS_FILE: to_safetensors(tensors),
                    # A place whose name is not UTF-8 holds half characters; JSON takes them as escapes.
                    folder / CARD_FILE: card.encode(errors="backslashreplace"),
                    # Last: a folder that has one has weights as well.
                    folder / CONFIG_FILE: f"{text}\n".encode(errors="backslashreplace"),
                }
            )
    except OSError as error:
        raise InputError(f"cannot write the voice to {failure(error)}") from error


def _check_version(path: Path, tree: dict[str, Any]) -> None:
    version, advice = tree.get("format_version"), FIX
    if version == FORMAT_VERSION:
        return
    if version is None:
        raise InputError(f"{path} has no format_version; {FIX}")
    if isinstance(version, int) and version < FORMAT_VERSION:
        advice = "an older version wrote it: train or fetch the voice again"
    elif isinstance(version, int):
        advice = "a newer version wrote it: update twotier-tts, or fetch the voice again in the older format"
    raise InputError(f"{path}: format_version is {shown(version)}, and this version reads {FORMAT_VERSION}; {advice}")

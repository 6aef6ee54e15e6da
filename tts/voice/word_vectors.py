"""What the model gets for words: vectors that ship with the voice, or those of a text encoder."""

import threading
from collections.abc import Iterable, Mapping

import numpy as np

from tts.core.errors import InputError
from tts.text.encoder import TextEncoder, TextEncoderConfig
from tts.voice.config import VoiceConfig

_IN_USE = threading.Lock()
"""Held while a text encoder is loaded or encodes. One for all voices, so that a voice can be pickled."""


class WordVectors:
    """The word vectors of a voice. Thread-safe."""

    def __init__(self, config: VoiceConfig, shipped: Mapping[str, np.ndarray]) -> None:
        """`shipped`: (word_dim,) float32 for each word of the vocabulary. Raises InputError for anything else."""
        self._config = config
        self.shipped = {word: np.asarray(shipped[word], dtype=np.float32) for word in config.shipped}
        self._encoder: TextEncoder | None = None
        for word, vector in self.shipped.items():
            if vector.shape != (config.model.word_dim,) or not np.isfinite(vector).all():
                width = config.model.word_dim
                raise InputError(f"the vector of {word!r} is not {width} finite numbers; export it again")

    def of(self, spoken: list[str]) -> np.ndarray:
        """See `Voice.word_vectors`. The text encoder is loaded when a word first needs it."""
        if all(word in self.shipped for word in spoken):
            return np.stack([self.shipped[word] for word in spoken])
        encoder, model = self._config.text_encoder, self._config.model
        with _IN_USE:
            if self._encoder is None:
                self._encoder = TextEncoder(encoder)
            texts = [spoken] if encoder.context == "text" else [[word] for word in spoken]
            vectors = np.concatenate(self._encoder.encode(texts))
        if vectors.shape[1] != model.word_dim:
            raise InputError(
                f"the text encoder {encoder.encoder} gives vectors of width {vectors.shape[1]}; "
                f"the voice was trained with {model.word_dim}: use its own encoder"
            )
        return vectors


def encode_vocabulary(config: TextEncoderConfig, vocabulary: Iterable[str]) -> dict[str, np.ndarray]:
    """(word_dim,) float32 for each word. Raises InputError as `TextEncoder`."""
    words = list(vocabulary)
    encoded = TextEncoder(config).encode([[word] for word in words])
    return {word: vectors[0] for word, vectors in zip(words, encoded, strict=True)}

"""Texts spoken side by side, each of which begins when it comes: what a server needs.

`Voice.speak_each` suits texts that are known beforehand: it answers in their order, and whole.
"""

from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np

from tts.generation.interface import Worker
from tts.generation.scheduler import Utterance
from tts.voice.config import VoiceConfig
from tts.voice.output import Output
from tts.voice.result import Audio, CheckedText


class Chunk(NamedTuple):
    """What one call of `Batch.run` made of a text."""

    place: int
    samples: np.ndarray
    """(n,) float32 in [-1, 1], n at least 1."""
    audio: Audio | None
    """The whole, after the last chunk; the place is free again."""


class Batch:
    """Places for texts that are made together, each as `Voice.speak` makes it alone. For one thread at a time.

    Example:
        batch = voice.batch(places=16)
        batch.begin(voice.checked("4 7 2"))
        while batch.busy:
            for chunk in batch.run(seconds=0.02):
                play(chunk.samples)
    """

    def __init__(self, config: VoiceConfig, worker: Worker) -> None:
        """Made by `Voice.batch`."""
        self._worker = worker
        self._frames_per_second = config.sample_rate / config.model.frame_size
        self._free = list(range(worker.places))
        heapify(self._free)  # the lowest place first, so that those in use lie together
        self._making: dict[int, tuple[CheckedText, Utterance, Output]] = {}

    @property
    def free(self) -> int:
        """How many more texts can begin."""
        return len(self._free)

    @property
    def busy(self) -> int:
        """How many texts are being made."""
        return len(self._making)

    def begin(self, text: CheckedText) -> int:
        """Give a text a free place; returns the place."""
        assert self._free, "no place is free"
        place = heappop(self._free)
        self._worker.begin(place, text.request)
        self._making[place] = text, Utterance(0, text.request.silences), text.output()
        return place

    def leave(self, place: int) -> None:
        """Stop making the text in a place, which is free again."""
        del self._making[place]
        self._worker.leave(place)
        heappush(self._free, place)

    def run(self, seconds: float) -> list[Chunk]:
        """Make about so many seconds of each text, at least a frame; written pauses come on top of them.

        There is no chunk of a text of which its comb filter gives nothing yet.
        """
        frames = max(1, min(round(seconds * self._frames_per_second), self._worker.block_frames))
        chunks = []
        for piece in self._worker.run(frames):
            text, utterance, output = self._making[piece.place]
            before = len(utterance.pieces)
            whole = utterance.add(piece)
            made = [output(codes) for codes in utterance.pieces[before:]]
            if whole:
                made.append(output.rest())
                del self._making[piece.place]
                heappush(self._free, piece.place)
            if len(samples := np.concatenate(made)):
                chunks.append(Chunk(piece.place, samples, text.audio(whole, output.whole()) if whole else None))
        return chunks

"""What a voice makes of a text: `Audio`, whole, or `AudioStream`, in chunks. Letters: T samples, W words."""

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tts.audio import write
from tts.core.errors import InputError
from tts.generation.interface import StopReason, SynthesisRequest, SynthesisResult
from tts.text.units import UnitName, per_word, syllables, unit_names
from tts.voice.config import VoiceConfig
from tts.voice.output import Output


class Segment(NamedTuple):
    """The samples of one unit: where the pointer stood meanwhile."""

    word: int
    """Index among the words."""
    unit: UnitName
    end: int
    """The sample after it and a written pause; it begins where the one before it ends."""


@dataclass(frozen=True, eq=False)
class Audio:
    """A spoken text. Compared by identity: two of them are equal if they are the same object.

    Example:
        audio = voice.speak("4 7 2")
        audio.save("472.wav")
    """

    samples: np.ndarray
    """(T,) float32 in [-1, 1]."""
    sample_rate: int
    """Hz."""
    words: list[str]
    """(W,): the words of the text."""
    word_ends: list[int]
    """The sample after each word's segment (its leading pause, the word, a written pause after it), rising; fewer than
    W after a cap."""
    stop_reason: StopReason
    """"stop": the model ended it; "cap": it was cut at the longest time allowed."""
    forced_advances: int
    """How many units were cut at the voice's `max_unit_seconds`."""
    speaker: str
    seed: int
    codes: np.ndarray
    """(T,) int16, 0 … q_levels - 1: the samples as the model made them, and the silence of written pauses."""
    segments: list[Segment] = field(default_factory=list)
    """The finished units, in their order."""

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write a 16-bit WAV or FLAC file, as the suffix says; `force` replaces one that is there.

        Raises:
            InputError: as `tts.audio.write`.
        """
        write(path, self.samples, self.sample_rate, force)


class CheckedText(NamedTuple):
    """A text that a voice can say, and what an engine needs for it."""

    words: list[str]
    speaker: str
    request: SynthesisRequest
    config: VoiceConfig

    def audio(self, result: SynthesisResult, samples: np.ndarray | None = None) -> Audio:
        """What an engine made of the request, for the program that asked for it; `samples` where they are there."""
        model, counts = self.config.model, syllables(self.words)
        if samples is None:
            output = self.output()
            begin = 0
            for unit, silence in sorted(self.request.silences.items(), key=lambda each: each[0]):
                if unit < len(result.unit_ends):
                    end = result.unit_ends[unit] if unit >= 0 else len(silence)
                    output(result.codes[begin : end - len(silence)])
                    output(silence)
                    begin = end
            output(result.codes[begin:])
            output.rest()
            samples = output.whole()
        return Audio(
            samples=samples,
            sample_rate=self.config.sample_rate,
            words=self.words,
            word_ends=list(per_word(result.unit_ends, model.units_per_word, counts)),
            stop_reason=result.stop_reason,
            forced_advances=result.forced_advances,
            speaker=self.speaker,
            seed=self.request.seed,
            codes=result.codes,
            segments=[
                Segment(word, unit, end)
                for (word, unit), end in zip(unit_names(counts, model.units_per_word), result.unit_ends, strict=False)
            ],
        )

    def output(self) -> Output:
        """What makes samples of its codes."""
        request, config = self.request, self.config
        silences = request.silences.values()
        return Output(config.model.coding, config.sample_rate, request.sampling.comb_filter, silences)

    def first_frames(self) -> int:
        """How many frames have to be made for the first 20 ms of samples."""
        return -(-(self.config.sample_rate // 50 + self.output().held) // self.config.model.frame_size)

    def capped(self, seconds: float) -> "CheckedText":
        """The same text, cut after so many seconds, written pauses not counted, unless it is cut before."""
        most = min(self.request.max_frames, self.config.frames("max_seconds", seconds))
        return self._replace(request=replace(self.request, max_frames=most))


class AudioStream(Iterator[np.ndarray]):
    """A text while it is made: iterate over it for its chunks, (n,) float32 in [-1, 1], n at least 1.

    The chunks joined are the samples of the `Audio` that `speak` gives for the same text, and `audio()` is that one.
    Nothing is made before the first chunk is asked for, and leaving early costs nothing. Thread-safe: where several
    threads ask for chunks, each gets another one, and `close` may be called from any thread at any time.

    Example:
        with voice.stream("4 7 2") as stream:
            for chunk in stream:
                play(chunk)
    """

    def __init__(self, text: CheckedText, codes: Generator[np.ndarray, None, SynthesisResult]) -> None:
        """Made by `Voice.stream`."""
        self.sample_rate = text.config.sample_rate  # Hz
        self.words, self.speaker, self.seed = text.words, text.speaker, text.request.seed
        self._text, self._codes = text, codes
        self._output = text.output()
        self._audio: Audio | None = None
        self._closed = False
        self._running = threading.Lock()
        """Held by whoever uses `_codes`: a generator runs in one thread at a time, and cannot be closed meanwhile."""

    def __next__(self) -> np.ndarray:
        with self._running:
            while True:  # until there are samples: the comb filter gives none for the first codes
                if self._closed:
                    self._codes.close()
                try:
                    samples = self._output(next(self._codes))
                except StopIteration as end:
                    if end.value is None:  # not the first time, or closed
                        raise StopIteration from None
                    samples = self._output.rest()
                    self._audio = self._text.audio(end.value, self._output.whole())
                if len(samples):
                    return samples

    def audio(self) -> Audio:
        """What `speak` returns for the text; what has not been made yet is made now.

        Raises:
            InputError: the stream was closed before its end.
        """
        for _ in self:
            pass
        if self._audio is None:
            raise InputError("the stream was closed before its end, so there is no whole; say the text again")
        return self._audio

    def close(self) -> None:
        """Leave it; also the end of a `with` block. Never waits: a chunk that is being made becomes the last one."""
        self._closed = True
        if self._running.acquire(blocking=False):
            try:
                self._codes.close()
            finally:
                self._running.release()

    def __enter__(self) -> "AudioStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""A voice: a trained model with all that it takes to say a text.

On disk a voice is a folder of three files:

- `config.json`: the fields of `VoiceConfig`;
- `model.safetensors`: the model's weights as float16, matrices of 8 significant bits, and `word_vectors`, (V, word_dim)
  float32, a row per word of the vocabulary, so that those words need neither torch nor a text encoder;
- `README.md`: the card, for people.

Letters: T samples, W words, V words of the vocabulary.
"""

import dataclasses
import itertools
import json
import math
import os
import re
import threading
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args

import numpy as np

from tts import audio as audio_files
from tts.core import config as configs
from tts.core.errors import InputError
from tts.core.extras import require
from tts.core.files import failure, is_file, kind, new_folder, write_together
from tts.core.sampling import Sampling, integer, number
from tts.generation.interface import Engine, SynthesisRequest, SynthesisResult
from tts.generation.native.family import unsupported, without_native
from tts.generation.weights import checked_weights, round_to_bfloat16
from tts.models.config import TwoTierConfig
from tts.text.encoder import TextEncoder, TextEncoderConfig
from tts.text.normalize import SPOKEN, words
from tts.text.units import per_word, unit_vectors

if TYPE_CHECKING:
    from tts.models.two_tier import TwoTier

FORMAT_VERSION = 2
VOICES = Path(__file__).parents[1] / "voices"
DEFAULT_VOICE = "digits"
CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
VECTORS = "word_vectors"
MOST_WORD_SECONDS = 60
"""The longest turn of one word that a voice may have."""

_FIRST_USE = threading.Lock()
"""Held while a voice makes an engine or asks its text encoder. One for all voices, so that a voice can be pickled."""
_NO_CAP_SECONDS = 1e9  # 30 years; their frames can still be counted in 64 bits

EngineName = Literal["auto", "native", "torch"]
"""What makes the samples: "native" (compiled, on a CPU) or "torch" (plain PyTorch, on a GPU where there is one). "auto"
is "native" where that supports the model; else a warning says why, and it is "torch"."""


@dataclass(frozen=True)
class VoiceConfig:
    """All of a voice but its numbers; `config.json` holds exactly these fields."""

    name: str
    sample_rate: Annotated[int, configs.Range(1000, 384_000)]
    """Samples per second."""
    speakers: tuple[str, ...]
    """Names, in the order of the model's speaker embedding."""
    default_speaker: str
    model: TwoTierConfig
    text_encoder: TextEncoderConfig
    vocabulary: tuple[str, ...] = ()
    """Words whose vectors ship with the voice; empty where a word's vector depends on its neighbors."""
    sampling: Sampling = field(default_factory=Sampling)
    max_unit_seconds: Annotated[float, configs.Range(0, MOST_WORD_SECONDS, low_open=True)] = 2.5
    """Where one word's turn (with `units_per_word`, that of each part) is cut and reported; the cap on an utterance is 1 s
    more than that for each word."""
    license: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    """Where the voice comes from: data, command, commit, figures; free form."""
    format_version: Annotated[int, configs.Range(FORMAT_VERSION, FORMAT_VERSION)] = FORMAT_VERSION

    def __post_init__(self) -> None:
        configs.check(self)
        if not self.name:
            raise InputError("name is empty; give the voice a name")
        if len(self.speakers) != self.model.n_speakers or len(set(self.speakers)) != len(self.speakers):
            raise InputError(
                f"speakers are {list(self.speakers)}; they must be {self.model.n_speakers} different names"
            )
        if self.default_speaker not in self.speakers:
            raise InputError(f"default_speaker is {self.default_speaker!r}; it must be one of {_listed(self.speakers)}")
        if strange := [word for word in self.vocabulary if word not in SPOKEN]:
            raise InputError(f"vocabulary holds {strange[0]!r}; its words must be sayable ones, e.g. 4 or four")
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise InputError("vocabulary holds a word twice; remove the second one")
        if self.vocabulary and self.text_encoder.context != "word":
            raise InputError('vocabulary must be empty where text_encoder.context is not "word"')


@dataclass(frozen=True, eq=False)
class Audio:
    """A text as said. Compared by identity: two of them are equal if they are the same object."""

    samples: np.ndarray
    """(T,) float32 in [-1, 1]."""
    sample_rate: int
    """Hz."""
    words: list[str]
    """What was to be said."""
    word_ends: list[int]
    """The sample after each word's turn (its leading pause and the word), rising; fewer than words after a cap."""
    stop_reason: Literal["stop", "cap"]
    """"stop": the model ended it; "cap": it was cut at the longest time allowed."""
    forced_advances: int
    """How many words, or parts of words, were cut at the voice's `max_unit_seconds`."""
    speaker: str
    seed: int
    codes: np.ndarray
    """(T,) int16: the model's own form of the samples."""

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write a 16-bit WAV or FLAC file, by suffix. Raises InputError as `tts.audio.write`."""
        audio_files.write(path, self.samples, self.sample_rate, force)


class AudioStream(Iterator[np.ndarray]):
    """A text while it is being said: iterate over it for its chunks, (n,) float32 in [-1, 1], n at least 1.

    The chunks joined are the samples of the `Audio` that `speak` gives for the same text, and `audio()` is that one.
    Nothing is made before the first chunk is asked for, and leaving early costs nothing.

    Thread-safe: where several threads ask for chunks, each gets another one, and `close` may be called from any
    thread at any time. A chunk that is being made then is still given, and is the last one.
    """

    def __init__(self, voice: "Voice", asked: "_Asked", codes: Generator[np.ndarray, None, SynthesisResult]) -> None:
        """Made by `Voice.stream`."""
        self.sample_rate = voice.sample_rate
        """Hz."""
        self.words = asked.words
        """What is to be said."""
        self.speaker = voice.speakers[asked.request.speaker]
        self.seed = asked.request.seed
        self._voice, self._asked, self._codes = voice, asked, codes
        model = voice.config.model
        self._table = audio_files.decode_table(model.q_levels, model.quantization)
        self._audio: Audio | None = None
        self._closed = False
        self._running = threading.Lock()
        """Held by whoever uses `_codes`: a generator runs in one thread at a time, and cannot be closed meanwhile."""

    def __iter__(self) -> "AudioStream":
        return self

    def __next__(self) -> np.ndarray:
        with self._running:
            if self._closed:
                self._codes.close()
            try:
                codes = next(self._codes)
            except StopIteration as end:
                if end.value is not None:  # the first time only
                    self._audio = self._voice._audio(self._asked, end.value)
                raise StopIteration from None
            return self._table[codes]

    def audio(self) -> Audio:
        """The whole, with `word_ends` and `stop_reason`; what has not been made yet is made now.

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Asked(NamedTuple):
    """A text that has been checked."""

    words: list[str]
    request: SynthesisRequest


class Voice:
    """Says texts. Make one with `load_voice` or `Voice.from_model`.

    Thread-safe: one voice may be used by any number of threads at once, and says the same as in one. The iterator that
    `speak_each` returns belongs to one thread at a time. Numbers may be Python's or NumPy's.
    """

    def __init__(
        self, config: VoiceConfig, weights: Mapping[str, np.ndarray], word_vectors: Mapping[str, np.ndarray]
    ) -> None:
        """Join the parts of a voice.

        Args:
            config: its description.
            weights: the model's state dict as numpy arrays, float16 or float32.
            word_vectors: (word_dim,) float32 for each word of the vocabulary.

        Raises:
            InputError: weights or vectors that do not fit the config, or are not finite.
        """
        self.config = config
        self._weights = checked_weights(config.model, weights)
        self._vectors = {word: np.asarray(word_vectors[word], dtype=np.float32) for word in config.vocabulary}
        for word, vector in self._vectors.items():
            if vector.shape != (config.model.word_dim,) or not np.isfinite(vector).all():
                raise InputError(
                    f"the vector of {word!r} is not {config.model.word_dim} finite numbers; export it again"
                )
        self._engines: dict[str, Engine] = {}
        self._encoder: TextEncoder | None = None

    @classmethod
    def from_model(
        cls,
        model: "TwoTier",
        *,
        speakers: Sequence[str],
        sample_rate: int,
        text_encoder: TextEncoderConfig,
        word_vectors: Mapping[str, np.ndarray] | None = None,
        name: str = "unnamed",
        default_speaker: str | None = None,
        sampling: Sampling | None = None,
        max_unit_seconds: float = 2.5,
        license: str = "",
        training: Mapping[str, Any] | None = None,
    ) -> "Voice":
        """A voice of a model in memory; its weights are copied, and rounded as in a saved voice: float16, the matrices
        to 8 significant bits.

        Args:
            model: trained with vectors of `text_encoder`.
            speakers: names in the order of the model's speaker indices.
            sample_rate: Hz of the training data.
            text_encoder: what made the word vectors.
            word_vectors: (word_dim,) float32 for each word to ship (context "word"); None: all that can be said are
                encoded now. Ignored for context "text".
            name: of the voice.
            default_speaker: None: the first.
            sampling: defaults for speaking.
            max_unit_seconds: where a word's turn is cut.
            license: of the voice, e.g. "CC BY-SA 4.0".
            training: see `VoiceConfig.training`.

        Raises:
            InputError: parts that do not fit together, or weights that float16 cannot hold.
        """
        sample_rate = integer("sample_rate", sample_rate)
        max_unit_seconds = number("max_unit_seconds", max_unit_seconds)
        if text_encoder.context != "word":
            word_vectors = {}
        elif word_vectors is None:
            vocabulary = list(SPOKEN)
            encoded = TextEncoder(text_encoder).encode([[word] for word in vocabulary])
            word_vectors = {word: vectors[0] for word, vectors in zip(vocabulary, encoded, strict=True)}
        config = VoiceConfig(
            name=name,
            sample_rate=sample_rate,
            speakers=tuple(speakers),
            default_speaker=speakers[0] if default_speaker is None else default_speaker,
            model=model.config,
            text_encoder=text_encoder,
            vocabulary=tuple(word_vectors),
            sampling=sampling or Sampling(),
            max_unit_seconds=max_unit_seconds,
            license=license,
            training=dict(training or {}),
        )
        weights = {key: tensor.detach().cpu().float().numpy() for key, tensor in model.state_dict().items()}
        return cls(config, _rounded(weights), word_vectors)

    def with_config(self, config: VoiceConfig) -> "Voice":
        """The same weights under another description, e.g. with other sampling settings. Raises as the constructor."""
        return Voice(config, self._weights, self._vectors)

    @property
    def name(self) -> str:
        """The voice's own name."""
        return self.config.name

    @property
    def speakers(self) -> list[str]:
        """The names that `speak` takes."""
        return list(self.config.speakers)

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it says."""
        return self.config.sample_rate

    def speak(
        self,
        text: str,
        speaker: str | None = None,
        seed: int = 0,
        temperature: float | None = None,
        duration_spread: float | None = None,
        max_seconds: float | None = None,
        engine: EngineName = "auto",
    ) -> Audio:
        """Say a text.

        Args:
            text: digits, as numerals or spelled out; see `tts.text.normalize.words`.
            speaker: one of `speakers`; None: the voice's default.
            seed: 0 … 2^64 - 1; the same seed says the same text in the same way, another one says it differently.
            temperature: None: the voice's own; lower is clearer and duller.
            duration_spread: 0 … 1, None: the voice's own; lower keeps word durations nearer their median.
            max_seconds: where to cut; None: 1 s, and the voice's `max_unit_seconds` for each word.
            engine: see `EngineName`.

        Raises:
            InputError: an unsayable text, an unknown speaker or engine, a number out of range.
        """
        sampling = self._sampling(temperature, duration_spread)
        asked = self._ask(text, speaker, seed, sampling, max_seconds)
        return self._audio(asked, self.engine(engine).generate([asked.request])[0])

    def stream(
        self,
        text: str,
        speaker: str | None = None,
        seed: int = 0,
        temperature: float | None = None,
        duration_spread: float | None = None,
        max_seconds: float | None = None,
        engine: EngineName = "auto",
    ) -> AudioStream:
        """Say a text in chunks, as they are made: the same samples as `speak`. Everything is checked before it returns.

        Args:
            text: see `speak`, as are the rest.
            speaker: see `speak`.
            seed: see `speak`.
            temperature: see `speak`.
            duration_spread: see `speak`.
            max_seconds: see `speak`.
            engine: see `speak`.

        Raises:
            InputError: see `speak`.
        """
        sampling = self._sampling(temperature, duration_spread)
        asked = self._ask(text, speaker, seed, sampling, max_seconds)
        return AudioStream(self, asked, self.engine(engine).stream(asked.request))

    def speak_batch(
        self,
        texts: Sequence[str],
        speakers: Sequence[str | None] | None = None,
        seeds: Sequence[int] | None = None,
        temperature: float | None = None,
        duration_spread: float | None = None,
        max_seconds: float | None = None,
        engine: EngineName = "auto",
    ) -> list[Audio]:
        """Say many texts; each as `speak` says it alone. Everything is checked before the first is said.

        Args:
            texts: see `speak`; none gives an empty list.
            speakers: one a text; None: the default for all.
            seeds: one a text; None: 0, 1, 2 …
            temperature: see `speak`, as are the rest.
            duration_spread: see `speak`.
            max_seconds: see `speak`.
            engine: see `speak`.

        Raises:
            InputError: see `speak`; or as many speakers or seeds as texts were not given.
        """
        _refuse_no_list(Sized, texts=texts, speakers=speakers, seeds=seeds)
        sampling = self._sampling(temperature, duration_spread)
        speakers = [None] * len(texts) if speakers is None else speakers
        seeds = range(len(texts)) if seeds is None else seeds
        for name, given in (("speakers", speakers), ("seeds", seeds)):
            if len(given) != len(texts):
                raise InputError(f"{len(texts)} texts but {len(given)} {name}; give one for each text")
        asked = [
            self._ask(text, speaker, seed, sampling, max_seconds)
            for text, speaker, seed in zip(texts, speakers, seeds, strict=True)
        ]
        generated = self.engine(engine).generate([one.request for one in asked])
        return [self._audio(one, made) for one, made in zip(asked, generated, strict=True)]

    def speak_each(
        self,
        texts: Iterable[str],
        speakers: Iterable[str | None] | None = None,
        seeds: Iterable[int] | None = None,
        temperature: float | None = None,
        duration_spread: float | None = None,
        max_seconds: float | None = None,
        engine: EngineName = "auto",
        streams: int | None = None,
    ) -> Iterator[Audio]:
        """Say any number of texts, each as `speak` says it alone, some at a time, and give them in their order.

        Texts are taken as places for them become free, so a few are taken before the first is given back; what is held
        does not grow with their number. Where a text is wrong, or getting the next one fails, those before it are still
        said and given, and the error comes after them.

        Args:
            texts: any iterable, also one without end.
            speakers: one a text, more do no harm (`itertools.repeat`); None: the default for all.
            seeds: one a text, more do no harm; None: 0, 1, 2 …
            temperature: see `speak`, as are the next three.
            duration_spread: see `speak`.
            max_seconds: see `speak`.
            engine: see `speak`.
            streams: how many are made at a time; None: what suits the engine.

        Raises:
            InputError: see `speak`, with the number of the text, from 1; or too few speakers or seeds.
        """
        _refuse_no_list(Iterable, texts=texts, speakers=speakers, seeds=seeds)
        streams = None if streams is None else _streams(streams)
        sampling = self._sampling(temperature, duration_spread)
        if max_seconds is not None:
            self._frames("max_seconds", max_seconds)
        each = zip(
            itertools.count(1),
            texts,
            _lasting("speakers", itertools.repeat(None) if speakers is None else speakers),
            _lasting("seeds", itertools.count() if seeds is None else seeds),
        )
        return self._speak_each(each, sampling, max_seconds, self.engine(engine), streams)

    def _speak_each(
        self,
        each: Iterator[tuple[int, str, str | None, int]],
        sampling: Sampling,
        max_seconds: float | None,
        engine: Engine,
        streams: int | None,
    ) -> Iterator[Audio]:
        waiting: deque[_Asked] = deque()
        failures: list[Exception] = []

        def requests() -> Iterator[SynthesisRequest]:
            try:
                for number, text, speaker, seed in each:
                    try:
                        asked = self._ask(text, speaker, seed, sampling, max_seconds)
                    except InputError as error:
                        raise InputError(f"text {number}: {error}") from error
                    waiting.append(asked)
                    yield asked.request
            except Exception as error:  # held back until the texts before it have been said
                failures.append(error)

        for generated in engine.generate_each(requests(), streams):
            yield self._audio(waiting.popleft(), generated)
        if failures:
            raise failures[0]

    def check(self, text: str, speaker: str | None = None) -> list[str]:
        """The words that `speak` would say. Raises InputError as `speak`, but makes nothing."""
        self._speaker_index(speaker)
        return words(text)

    def model(self) -> "TwoTier":
        """A model with the voice's weights, float32, in evaluation mode; a new one at each call.

        Raises InputError where torch is not installed.
        """
        require("train", "torch")
        import torch

        from tts.models.two_tier import TwoTier

        with torch.device("meta"):  # no initial weights are drawn: torch's global generator stays as it was
            model = TwoTier(self.config.model)
        model.load_state_dict({key: torch.tensor(array) for key, array in self._weights.items()}, assign=True)
        return model.eval()

    def word_vectors(self, spoken: list[str]) -> np.ndarray:
        """(W, word_dim) float32: what the model is given for these words, W at least 1.

        Raises InputError where the text encoder has to be asked and cannot be, or is not the one of its training.
        """
        if all(word in self._vectors for word in spoken):
            return np.stack([self._vectors[word] for word in spoken])
        with _FIRST_USE:
            if self._encoder is None:
                self._encoder = TextEncoder(self.config.text_encoder)
            if self.config.text_encoder.context == "text":
                vectors = self._encoder.encode([spoken])[0]
            else:
                vectors = np.concatenate(self._encoder.encode([[word] for word in spoken]))
        if vectors.shape[1] != self.config.model.word_dim:
            raise InputError(
                f"the text encoder {self.config.text_encoder.name} gives vectors of width {vectors.shape[1]}; "
                f"the voice was trained with {self.config.model.word_dim}: use its own encoder"
            )
        return vectors

    def engine(self, name: EngineName = "auto") -> Engine:
        """The engine that makes the samples, for those who want levels; made at the first call, then kept.

        Raises InputError where there is no such engine, or "native" does not support the model.
        """
        if name not in get_args(EngineName):
            raise InputError(f"there is no engine {name!r}; choose one of {', '.join(get_args(EngineName))}")
        if name == "auto":
            reason = unsupported(self.config.model)
            name = "torch" if reason else "native"
            if reason and name not in self._engines:
                warnings.warn(without_native(reason), stacklevel=3)
        if name not in self._engines:
            with _FIRST_USE:
                if name not in self._engines:  # another thread may have been first
                    self._engines[name] = self._new_engine(name)
        return self._engines[name]

    def prepare(self, engine: EngineName = "auto", streams: int = 1) -> None:
        """Do now what the first text would do first: lay out the weights, compile or fetch the compiled code.

        Args:
            engine: see `speak`.
            streams: 1 for texts said alone; more where many will be said, which engines may do in another way.
        """
        nothing = SynthesisRequest(
            np.zeros((1, self.config.model.word_dim), np.float32), speaker=0, seed=0, max_frames=1, max_unit_frames=1
        )
        self.engine(engine).generate([nothing] * _streams(streams))

    def save(self, folder: str | Path, card: str) -> None:
        """Write the voice's three files, whole or none of them; those that were there are replaced.

        Args:
            folder: made if missing.
            card: README.md, markdown.

        Raises:
            InputError: the folder cannot be written.
        """
        from safetensors.numpy import save as to_safetensors

        kind(folder)  # refuses what can be no path
        folder = Path(folder)
        tensors = {name: array.astype(np.float16) for name, array in self._weights.items()}
        if self._vectors:
            tensors[VECTORS] = np.stack(list(self._vectors.values()))
        text = json.dumps(configs.to_dict(self.config), indent=2, ensure_ascii=False)
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

    def _sampling(self, temperature: float | None, duration_spread: float | None) -> Sampling:
        own = self.config.sampling
        return Sampling(
            own.temperature if temperature is None else temperature,
            own.duration_spread if duration_spread is None else duration_spread,
        )

    def _ask(self, text: str, speaker: str | None, seed: int, sampling: Sampling, max_seconds: float | None) -> _Asked:
        spoken = words(text)
        index = self._speaker_index(speaker)
        word_seconds, model = self.config.max_unit_seconds, self.config.model
        request = SynthesisRequest(
            units=unit_vectors(self.word_vectors(spoken), model.units_per_word),
            speaker=index,
            seed=integer("seed", seed),
            max_frames=self._frames(
                "max_seconds", 1 + len(spoken) * word_seconds if max_seconds is None else max_seconds
            ),
            max_unit_frames=self._frames("max_unit_seconds", word_seconds),
            sampling=sampling,
        )
        return _Asked(spoken, request)

    def _audio(self, asked: _Asked, generated: SynthesisResult) -> Audio:
        model = self.config.model
        return Audio(
            samples=audio_files.decode(generated.codes, model.q_levels, model.quantization),
            sample_rate=self.sample_rate,
            words=asked.words,
            word_ends=list(per_word(generated.unit_ends, model.units_per_word)),
            stop_reason=generated.stop_reason,
            forced_advances=generated.forced_advances,
            speaker=self.config.speakers[asked.request.speaker],
            seed=asked.request.seed,
            codes=generated.codes,
        )

    def _speaker_index(self, speaker: str | None) -> int:
        name = self.config.default_speaker if speaker is None else speaker
        if not isinstance(name, str) or name not in self.config.speakers:
            raise InputError(f"voice {self.name} has no speaker {name!r}; it has {_listed(self.config.speakers)}")
        return self.config.speakers.index(name)

    def _frames(self, name: str, seconds: float) -> int:
        seconds, frame = number(name, seconds), self.config.model.frame_size
        if not frame <= seconds * self.sample_rate < math.inf:
            raise InputError(
                f"{name} is {seconds}; it must be a finite number of at least one frame, {frame / self.sample_rate:g} s"
            )
        return int(min(seconds, _NO_CAP_SECONDS) * self.sample_rate / frame)

    def _new_engine(self, name: EngineName) -> Engine:
        if name == "native":
            from tts.generation.native.engine import NativeEngine

            return NativeEngine(self.config.model, self._weights)

        require("train", "torch")
        from tts.generation.torch_engine import TorchEngine

        return TorchEngine(self.model())


def load_voice(name: str | Path | None = None) -> Voice:
    """Load a voice.

    Args:
        name: one that ships with the package (see `installed_voices`), a voice folder, or a Hugging Face Hub id
            "user/name"; None: the package's default voice.

    Raises:
        InputError: there is no such voice; the hub cannot be reached; a file is missing, cut short or foreign.
    """
    if name is not None and not isinstance(name, str | os.PathLike):
        raise InputError(f"the voice is {_one_line(name)}; give a name, a folder or a Hub id, as a string or a path")
    folder = _find(name)
    config = read_config(folder)
    path = folder / WEIGHTS_FILE
    tensors = _read_tensors(path)
    vectors: dict[str, np.ndarray] = {}
    if config.vocabulary:
        table = tensors.pop(VECTORS, None)
        if table is None or table.shape != (len(config.vocabulary), config.model.word_dim):
            raise InputError(
                f"{path}: {VECTORS} must have a row of {config.model.word_dim} numbers for each of the "
                f"{len(config.vocabulary)} words of the vocabulary; {_MEND}"
            )
        vectors = dict(zip(config.vocabulary, table, strict=True))
    try:
        return Voice(config, tensors, vectors)
    except InputError as error:
        raise InputError(f"{path}: {error}; {_MEND}") from error


def installed_voices() -> dict[str, Path]:
    """The folders of the voices that ship with the package, by name."""
    if not VOICES.is_dir():
        return {}
    return {folder.name: folder for folder in sorted(VOICES.iterdir()) if (folder / CONFIG_FILE).is_file()}


def read_config(folder: Path) -> VoiceConfig:
    """Read a voice folder's description, without its weights.

    Raises:
        InputError: config.json is missing or not what a voice's must be.
    """
    path = folder / CONFIG_FILE
    if not is_file(path):
        raise InputError(f"{folder} is no voice: it has no {CONFIG_FILE}; {_MEND}")
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; {_MEND}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({' '.join(str(error).split())}); {_MEND}") from error
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds no JSON object; {_MEND}")
    version = tree.get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(f"{path}: format_version is {version!r}, and this version reads {FORMAT_VERSION}; {_MEND}")
    training = tree.pop("training", {})
    if not isinstance(training, dict):
        raise InputError(f"{path}: training is {training!r}; it must be an object; {_MEND}")
    try:
        return dataclasses.replace(configs.build(VoiceConfig, tree), training=training)
    except InputError as error:
        raise InputError(f"{path}: {error}; {_MEND}") from error


_MEND = "give a folder that tts train wrote, or fetch the voice again"
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def _find(name: str | Path | None) -> Path:
    installed = installed_voices()
    if name is None:
        if DEFAULT_VOICE in installed:
            return installed[DEFAULT_VOICE]
        if installed:
            return next(iter(installed.values()))
        raise InputError("no voice ships with this installation; name a voice folder with --voice DIR")
    if str(name) in installed:
        return installed[str(name)]
    if str(name) and _is_folder(Path(name)):
        return Path(name)
    if isinstance(name, str) and _HUB_ID.fullmatch(name):
        return _download(name)
    raise InputError(
        f"there is no voice {str(name)!r}; give one of {_listed(installed)}, a voice folder, or a Hub id user/name"
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long, a NUL byte
        return False


def _download(hub_id: str) -> Path:
    require("train", "huggingface_hub")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, allow_patterns=[CONFIG_FILE, WEIGHTS_FILE, CARD_FILE]))
    except Exception as error:  # the hub's client raises its own, httpx's, OSError and ValueError
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"there is no voice folder {hub_id}, and fetching the voice {hub_id} from the Hugging Face Hub failed "
            f"({reason}); check the name and the connection"
        ) from error


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not is_file(path):
        raise InputError(f"{path.parent} is no voice: it has no {WEIGHTS_FILE}; {_MEND}")
    try:
        return load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({' '.join(str(error).split())}); {_MEND}") from error


def _refuse_no_list(kind: type, **given: Any) -> None:
    """Raise InputError where an argument is no list, or a string, which is a list of letters that nobody means.

    `kind` is what a list must be able to do: Iterable, or Sized as well.
    """
    for name, values in given.items():
        if values is not None and (isinstance(values, str | bytes) or not isinstance(values, kind)):
            raise InputError(f"{name} is {_one_line(values)}; give a list, or say one text by speak")
    if given["texts"] is None:
        raise InputError("texts is None; give a list, or say one text by speak")


def _streams(streams: int) -> int:
    if integer("streams", streams) < 1:
        raise InputError(f"streams is {streams}; at least 1 text must be made at a time")
    return int(streams)


def _one_line(value: Any) -> str:
    return " ".join(repr(value).split())[:40]


def _lasting(name: str, values: Iterable[Any]) -> Iterator[Any]:
    """The values, and an error when more are asked for."""
    yield from values
    raise InputError(f"there are more texts than {name}; give one for each text")


def _rounded(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """As float16, matrices of 8 significant bits, the native engine's fastest form (docs/LOG.md: what is lost)."""
    rounded = {}
    for name, array in weights.items():
        matrix = array.ndim > 1 and np.isfinite(array).all()
        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused by name
            rounded[name] = (round_to_bfloat16(array) if matrix else array).astype(np.float16)
    return rounded


def _listed(names: Any) -> str:
    return ", ".join(names) if names else "(none)"

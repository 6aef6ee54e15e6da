"""A voice: a trained model with all that it takes to say a text. Letters: W words.

Over 400 lines, because it is the public surface of one class: two thirds are docstrings, and the work is elsewhere.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tts.core.sampling import Sampling, integer, number
from tts.generation.interface import Engine, SynthesisRequest
from tts.generation.weights import checked_weights, restored_weights, stored_weights
from tts.text.encoder import TextEncoderConfig
from tts.text.normalize import check_vocabulary, digit_forms, is_digits
from tts.text.reading import ReadMode
from tts.voice.batch import Batch
from tts.voice.checking import checked_text, reading_of
from tts.voice.config import VoiceConfig
from tts.voice.engines import Engines, torch_model
from tts.voice.folder import write_voice
from tts.voice.many import checked_streams, numbered, one_each, speak_in_order
from tts.voice.options import EngineName, SpeakChanges, SpeakOptions, changed
from tts.voice.result import Audio, AudioStream, CheckedText
from tts.voice.word_vectors import WordVectors, encode_vocabulary

if TYPE_CHECKING:
    from tts.models.two_tier import TwoTier


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
        self._sayable = config.sayable
        self._weights = checked_weights(config.model, weights)
        self._vectors = WordVectors(config, word_vectors)
        self._engines = Engines(config.model, self._weights)

    @classmethod
    def from_model(
        cls,
        model: "TwoTier",
        *,
        speakers: Sequence[str],
        sample_rate: int,
        text_encoder: TextEncoderConfig,
        word_vectors: Mapping[str, np.ndarray] | None = None,
        vocabulary: Sequence[str] = (),
        language: str = "en",
        name: str = "unnamed",
        default_speaker: str | None = None,
        sampling: Sampling | None = None,
        max_unit_seconds: float = 2.5,
        license: str = "",
        training: Mapping[str, Any] | None = None,
    ) -> "Voice":
        """Make a voice of a model in memory.

        Args:
            model: trained with vectors of `text_encoder`.
            speakers: names in the order of the model's speaker indices.
            sample_rate: Hz of the training data.
            text_encoder: what made the word vectors.
            word_vectors: (word_dim,) float32 for each word to ship (context "word"), which are then its vocabulary;
                None: all that can be said are encoded now. Ignored for context "text".
            vocabulary: the words of the training; none: all digits; of digits alone both forms of each, "4" and "four".
            language: of its words, by ISO 639-1: how numbers are read.
            name: of the voice.
            default_speaker: None: the first.
            sampling: defaults for speaking.
            max_unit_seconds: where the segment of a unit is cut.
            license: of the voice, e.g. "CC BY-SA 4.0".
            training: see `VoiceConfig.training`.

        Returns:
            The voice, with copies of the weights, rounded as in a saved voice: see `generation.stored_weights`.

        Raises:
            InputError: parts that do not fit together, or weights that float16 cannot hold.

        Example:
            voice = Voice.from_model(model, speakers=["ann"], sample_rate=8000, text_encoder=TextEncoderConfig())
        """
        if text_encoder.context == "text":
            word_vectors = {}
        else:
            if word_vectors is None:
                check_vocabulary(vocabulary)
                vocabulary = digit_forms(vocabulary) if is_digits(vocabulary) else vocabulary
                word_vectors = encode_vocabulary(text_encoder, vocabulary)
            vocabulary = tuple(word_vectors)
        config = VoiceConfig(
            name=name,
            sample_rate=integer("sample_rate", sample_rate),
            speakers=tuple(speakers),
            default_speaker=speakers[0] if default_speaker is None else default_speaker,
            model=model.config,
            text_encoder=text_encoder.with_layer(),
            language=language,
            vocabulary=tuple(vocabulary),
            sampling=sampling or Sampling(),
            max_unit_seconds=number("max_unit_seconds", max_unit_seconds),
            license=license,
            training=dict(training or {}),
        )
        weights = {key: tensor.detach().cpu().float().numpy() for key, tensor in model.state_dict().items()}
        stored = stored_weights(model.config, checked_weights(model.config, weights))
        return cls(config, restored_weights(stored), word_vectors)

    def with_config(self, config: VoiceConfig) -> "Voice":
        """Make a voice with the same weights and another config, e.g. with other sampling settings.

        Args:
            config: of a model of the same shape.

        Returns:
            The new voice.

        Raises:
            InputError: the weights or word vectors do not fit the config.

        Example:
            calm = voice.with_config(replace(voice.config, sampling=Sampling(temperature=0.8)))
        """
        return Voice(config, self._weights, self._vectors.shipped)

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

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words that it says, sorted."""
        return tuple(sorted(self._sayable))

    def speak(
        self,
        text: str,
        speaker: str | None = None,
        seed: int = 0,
        options: SpeakOptions | None = None,
        **changes: Unpack[SpeakChanges],
    ) -> Audio:
        """Say a text.

        Args:
            text: words of its vocabulary; digits as numerals or spelled out; see `tts.text.normalize.words`. "4, 7" has
                a short pause, "4 [0.5s] 7" one of half a second. Numbers are read as `options.read` says.
            speaker: one of `speakers`; None: the voice's default.
            seed: 0 … 2^64 - 1; the same seed gives the same samples, another one other samples.
            options: temperature, cap, engine, reading of numbers, speed; None: the defaults.
            changes: single fields of `SpeakOptions`, which replace those of `options`.

        Returns:
            The utterance.

        Raises:
            InputError: a text that cannot be said, an unknown speaker, engine or reading, a number out of range.

        Example:
            audio = voice.speak("4 7 2", speaker="jackson", seed=1, temperature=0.9)
        """
        options = changed(self.speak, options, changes)
        checked = self._checked(options, text, speaker, seed)
        return checked.audio(self.engine(options.engine).generate([checked.request])[0])

    def stream(
        self,
        text: str,
        speaker: str | None = None,
        seed: int = 0,
        options: SpeakOptions | None = None,
        **changes: Unpack[SpeakChanges],
    ) -> AudioStream:
        """Say a text in chunks, as they are made: the same samples as `speak`.

        Args:
            text, speaker, seed, options, changes: see `speak`.

        Returns:
            An iterator over the chunks; everything has been checked, and nothing made yet.

        Raises:
            InputError: see `speak`.

        Example:
            with voice.stream("4 7 2") as stream:
                for chunk in stream:
                    play(chunk)
        """
        options = changed(self.stream, options, changes)
        checked = self._checked(options, text, speaker, seed)
        return AudioStream(checked, self.engine(options.engine).stream(checked.request, checked.first_frames()))

    def speak_batch(
        self,
        texts: Sequence[str],
        speakers: Sequence[str | None] | None = None,
        seeds: Sequence[int] | None = None,
        options: SpeakOptions | None = None,
        **changes: Unpack[SpeakChanges],
    ) -> list[Audio]:
        """Say many texts, each as `speak` says it alone.

        Args:
            texts: see `speak`.
            speakers: one a text; None: the default for all.
            seeds: one a text; None: 0, 1, 2 …
            options: see `speak`, for all texts.
            changes: see `speak`.

        Returns:
            The utterances, in the order of the texts; everything is checked before the first is made.

        Raises:
            InputError: see `speak`; or there are not as many speakers or seeds as texts.

        Example:
            four, seven = voice.speak_batch(["4", "7"], seeds=[1, 2])
        """
        each = one_each(texts, speakers, seeds)
        options = changed(self.speak_batch, options, changes)
        options.sampling(self.config)  # checked without texts, too
        checked = [self._checked(options, text, speaker, seed) for text, speaker, seed in each]
        results = self.engine(options.engine).generate([one.request for one in checked])
        return [one.audio(result) for one, result in zip(checked, results, strict=True)]

    def speak_each(
        self,
        texts: Iterable[str],
        speakers: Iterable[str | None] | None = None,
        seeds: Iterable[int] | None = None,
        options: SpeakOptions | None = None,
        streams: int | None = None,
        **changes: Unpack[SpeakChanges],
    ) -> Iterator[Audio]:
        """Say any number of texts, each as `speak` says it alone, some at a time.

        Texts are taken as places for them become free, so a few are taken before the first is given back; what is held
        does not grow with their number. Where a text is wrong, or getting the next one fails, those before it are still
        said and given, and the error comes after them.

        Args:
            texts: any iterable, also one without end.
            speakers: one a text, more do no harm (`itertools.repeat`); None: the default for all.
            seeds: one a text, more do no harm; None: 0, 1, 2 …
            options: see `speak`, for all texts.
            streams: how many are made at a time; None: what suits the engine.
            changes: see `speak`.

        Returns:
            An iterator over the utterances, in the order of the texts.

        Raises:
            InputError: see `speak`, with the number of the text, from 1; or too few speakers or seeds.

        Example:
            for audio in voice.speak_each(open("texts.txt")):
                audio.save(f"{'-'.join(audio.words)}.wav")
        """
        each = numbered(texts, speakers, seeds)
        streams = None if streams is None else checked_streams(streams)
        options = changed(self.speak_each, options, changes)
        options.sampling(self.config)
        if options.max_seconds is not None:
            self.config.frames("max_seconds", options.max_seconds)
        return speak_in_order(each, partial(self._checked, options), self.engine(options.engine), streams)

    def check(self, text: str, speaker: str | None = None, how: ReadMode | None = None) -> list[str]:
        """Check a text and a speaker without making anything.

        Args:
            text, speaker: see `speak`.
            how: as `SpeakOptions.read`.

        Returns:
            The words that `speak` would say.

        Raises:
            InputError: a text that cannot be said, or an unknown speaker.

        Example:
            assert voice.check("4-7") == ["4", "7"]
        """
        self.config.speaker_index(speaker)
        return reading_of(self.config, self._sayable, text, how).words

    def checked(
        self,
        text: str,
        speaker: str | None = None,
        seed: int = 0,
        options: SpeakOptions | None = None,
        **changes: Unpack[SpeakChanges],
    ) -> CheckedText:
        """Check a text and all that `speak` takes with it, for `Batch.begin`.

        Args:
            text, speaker, seed, options, changes: see `speak`.

        Returns:
            The text, ready to be made.

        Raises:
            InputError: see `speak`.

        Example:
            batch.begin(voice.checked("4 7 2", seed=1))
        """
        return self._checked(changed(self.checked, options, changes), text, speaker, seed)

    def batch(self, places: int, engine: EngineName = "auto") -> Batch:
        """Places for texts that are made together, each of which may begin and be left at any time.

        Args:
            places: how many at most are made at a time.
            engine: see `SpeakOptions`; that of the texts' own options has no effect.

        Returns:
            The places, all free.

        Raises:
            InputError: an unknown engine, or no such number of places.

        Example:
            batch = voice.batch(16)
        """
        return Batch(self.config, self.engine(engine).worker(checked_streams(places)))

    def model(self) -> "TwoTier":
        """Make a torch model with the voice's weights.

        Returns:
            A new model, float32, in evaluation mode; what is done to it does not change the voice.

        Example:
            gates = voice.model().rnn.weight_hh_l0
        """
        return torch_model(self.config.model, self._weights)

    def word_vectors(self, spoken: list[str]) -> np.ndarray:
        """What the model gets for words.

        Args:
            spoken: (W,) words, W at least 1; of the vocabulary, or any that the text encoder can be asked for.

        Returns:
            (W, word_dim) float32.

        Raises:
            InputError: the text encoder is needed and cannot be loaded, or is not the one of the voice's training.

        Example:
            four, seven = voice.word_vectors(["4", "7"])
        """
        return self._vectors.of(spoken)

    def engine(self, name: EngineName = "auto") -> Engine:
        """The engine that makes the samples, for programs that want codes.

        Args:
            name: see `EngineName`.

        Returns:
            The engine; made at the first call, then kept.

        Raises:
            InputError: there is no such engine, or "native" does not support the model.

        Example:
            [result] = voice.engine("native").generate([request])
        """
        return self._engines.get(name)

    def prepare(self, engine: EngineName = "auto", streams: int = 1) -> None:
        """Do now what the first text would do first: lay out the weights, compile or fetch the compiled code.

        Args:
            engine: see `SpeakOptions`.
            streams: 1 for texts said alone; more where many will be said, which engines may do in another way.

        Raises:
            InputError: an unknown engine, or no such number of streams.

        Example:
            voice.prepare()
        """
        nothing = SynthesisRequest(
            np.zeros((1, self.config.model.word_dim), np.float32), speaker=0, seed=0, max_frames=1, max_unit_frames=1
        )
        self.engine(engine).generate([nothing] * checked_streams(streams))

    def save(self, folder: str | Path, card: str) -> None:
        """Write the voice's three files, whole or none of them; see `folder.write_voice`.

        Args:
            folder: made if missing; files of a voice that are there are replaced.
            card: README.md, markdown.

        Raises:
            InputError: the folder cannot be written.

        Example:
            voice.save("my-voice", "# My voice")
        """
        write_voice(folder, self.config, self._weights, self._vectors.shipped, card)

    def _checked(self, options: SpeakOptions, text: str, speaker: str | None, seed: int) -> CheckedText:
        return checked_text(self.config, self._sayable, self.word_vectors, options, text, speaker, seed)

"""What a voice is but for its weights: the fields of `config.json`."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

from tts.core import config as configs
from tts.core.errors import InputError
from tts.core.sampling import Sampling, number
from tts.models.config import TwoTierConfig
from tts.text.encoder import TextEncoderConfig
from tts.text.normalize import check_vocabulary, digit_forms, is_digits

FORMAT_VERSION = 2
"""Of voice folders; the only one that is read."""
MAX_UNIT_SECONDS = 60
"""The longest segment of one unit that a voice may have."""

_NO_CAP_SECONDS = 1e9  # 30 years; their frames can still be counted in 64 bits


@dataclass(frozen=True)
class VoiceConfig:
    """Everything about a voice but its weights; `config.json` holds exactly these fields."""

    name: str
    sample_rate: Annotated[int, configs.Range(1000, 384_000)]
    """Samples per second."""
    speakers: tuple[str, ...]
    """Names, in the order of the model's speaker embedding."""
    default_speaker: str
    model: TwoTierConfig
    text_encoder: TextEncoderConfig
    vocabulary: tuple[str, ...] = ()
    """What the voice says; of digits alone both forms of each; empty: all of `SPOKEN`. With
    `text_encoder.context: word` the vectors of these words ship with the voice."""
    sampling: Sampling = field(default_factory=Sampling)
    max_unit_seconds: Annotated[float, configs.Range(0, MAX_UNIT_SECONDS, low_open=True)] = 2.5
    """Where the segment of a unit is cut and reported; the cap on an utterance is 1 s more than this for each word."""
    license: str = ""
    language: str = "en"
    """Of its words, by ISO 639-1: how numbers are read; see `tts.text.languages`."""
    training: dict[str, Any] = field(default_factory=dict)
    """Where the voice comes from: data, command, commit, metrics; free form."""
    format_version: Annotated[int, configs.Range(FORMAT_VERSION, FORMAT_VERSION)] = FORMAT_VERSION

    def __post_init__(self) -> None:
        configs.check(self)
        if not self.name:
            raise InputError("name is empty; give the voice a name")
        names, count = ", ".join(self.speakers), self.model.n_speakers
        if len(self.speakers) != count or len(set(self.speakers)) != count:
            raise InputError(f"speakers are {names or '(none)'}; they must be {count} different names")
        if self.default_speaker not in self.speakers:
            raise InputError(f"default_speaker is {self.default_speaker!r}; it must be one of {names}")
        check_vocabulary(self.vocabulary)
        self.sampling.check_units(self.model.units_per_word)

    @property
    def sayable(self) -> frozenset[str]:
        """Every word that the voice says."""
        return frozenset(digit_forms(self.vocabulary) if is_digits(self.vocabulary) else self.vocabulary)

    @property
    def shipped(self) -> tuple[str, ...]:
        """The words whose vectors ship with the voice: none where a word's vector depends on its neighbors."""
        return self.vocabulary if self.text_encoder.context == "word" else ()

    def speaker_index(self, speaker: str | None) -> int:
        """The place of a speaker among `speakers`; None: the default's. Raises InputError for an unknown one."""
        name = self.default_speaker if speaker is None else speaker
        if not isinstance(name, str) or name not in self.speakers:
            raise InputError(
                f"voice {self.name} has no speaker {name!r}; it has {', '.join(self.speakers)}", param="speaker"
            )
        return self.speakers.index(name)

    def frames(self, name: str, seconds: float) -> int:
        """The model's frames in the setting `name`. Raises InputError for less than one, and for no finite number."""
        seconds, frame = number(name, seconds), self.model.frame_size
        if not frame <= seconds * self.sample_rate < math.inf:
            raise InputError(
                f"{name} is {seconds}; it must be a finite number of at least one frame, {frame / self.sample_rate:g} s"
            )
        return int(min(seconds, _NO_CAP_SECONDS) * self.sample_rate / frame)

"""The shape of the two-tier model, apart from the model: a voice's config is read without importing torch.

Letters as in `two_tier`. The defaults are the shipped voice's, but for `word_dim` and `n_speakers`.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from tts.audio import Coding, Quantization
from tts.core.config import Range, check
from tts.core.errors import InputError

MOST_CODES = 2**15
"""An engine gives codes as int16."""
MOST_NUMBERS = 2**28
"""In a model's weights and the tables that are made of them: 1 GiB as float32. The shipped voice has 3.5 million."""

Width = Annotated[int, Range(1, 16384)]


@dataclass(frozen=True)
class TwoTierConfig:
    """Everything that fixes the shapes and the meaning of the weights."""

    q_levels: Annotated[int, Range(4, MOST_CODES, even=True)] = 256
    """Q: how many codes there are."""
    quantization: Quantization = "mu-law"
    pre_emphasis: Annotated[float, Range(0, 0.99)] = 0.0
    """a: codes are of the wave less a times the sample before (`tts.audio.Coding`); 0: of the wave itself."""
    frame_size: Annotated[int, Range(1, 4096)] = 32
    """F: samples in a frame."""
    cell: Literal["gru", "lstm"] = "lstm"
    n_rnn: Annotated[int, Range(1, 64)] = 1
    """Recurrent layers in the frame tier."""
    dim: Width = 448
    """D: width of the frame tier."""
    sample_dim: Width = 256
    """S: width of the sample tier."""
    sample_layers: Annotated[int, Range(1, 64)] = 2
    """Hidden layers of the sample tier, at least 1."""
    upsample_rank: Annotated[int, Range(0, 16384)] = 64
    """Rank of the upsampling from a frame to its samples; 0: the paper's full map, most of a model's weights."""
    hist_size: Annotated[int, Range(1, 4096)] = 64
    """H: past samples that are the sample tier's input."""
    history: Literal["real", "embedding"] = "real"
    """real: past codes as values in [-1, 1), and an embedding of the last one; embedding: of each (the paper)."""
    embedding_dim: Width = 16
    """Width of a code's embedding, for `history: embedding`."""
    pitch_taps: Annotated[int, Range(0, 63)] = 0
    """J: past samples around one pitch lag ago that are the sample tier's inputs (`tts.models.pitch`), with a gate on
    all that it gets of the past; 0: neither."""
    pitch_lags: tuple[Annotated[int, Range(2, 4096)], Annotated[int, Range(2, 4096)]] = (20, 128)
    """The shortest and the longest pitch lag, in samples; at 8 kHz 400 to 62.5 Hz."""
    pitch_window: Annotated[int, Range(16, 8192)] = 160
    """V: past samples that the pitch lag is found in."""
    conditioning: Literal["pointer", "pooled"] = "pointer"
    """pointer: each frame has the unit being said and the next one; pooled: the mean of all units."""
    units_per_word: Literal[1, 4] = 4
    """1: the units are the words; 4: a pause, then onset, nucleus, coda and pause of each word (`tts.text.units`)."""
    word_dim: Annotated[int, Range(1, 2**20)] = 384
    """Width of the word vectors, as the text encoder gives them; a training run fills it in."""
    text_dim: Width = 64
    """Width of a unit's vector inside the model."""
    n_speakers: Annotated[int, Range(1, 100_000)] = 1
    """A training run fills it in."""
    speaker_dim: Width = 16
    clock_dim: Annotated[int, Range(0, 4096, even=True)] = 16
    """Features of the number of frames since the segment began; even; 0: no clock."""
    clock_frames: Annotated[int, Range(1, 100_000)] = 320
    """The clock stops here, so that no input leaves the range of training."""
    duration: Literal["implicit", "explicit"] = "explicit"
    """implicit: the advance bit is predicted from the frame tier's state. explicit: from text, speaker and clock alone,
    so that durations are drawn before the first sample; the frame tier then has the frames left as an input."""
    duration_dim: Width = 128
    """Hidden width of the network that gives explicit durations."""

    def __post_init__(self) -> None:
        check(self, "model.")
        if self.units_per_word > 1 and self.conditioning == "pooled":
            raise InputError(
                f"model.units_per_word is {self.units_per_word}; it needs model.conditioning: pointer; "
                "for pooled set model.units_per_word: 1 and model.duration: implicit"
            )
        if self.duration == "explicit" and (not self.clock_dim or self.conditioning == "pooled"):
            raise InputError(
                "model.duration is explicit; it needs model.clock_dim above 0 and model.conditioning: pointer; "
                "else set model.duration: implicit"
            )
        low, high = self.pitch_lags
        if not self.pitch_taps // 2 < low <= high:
            raise InputError(
                f"model.pitch_lags is {list(self.pitch_lags)} and model.pitch_taps {self.pitch_taps}; "
                "they must be pitch_taps / 2 < shortest lag <= longest lag"
            )
        if self.pitch_taps // 2 >= self.pitch_window:
            raise InputError(
                f"model.pitch_window is {self.pitch_window} and model.pitch_taps {self.pitch_taps}; "
                "they must be pitch_taps / 2 < pitch_window"
            )
        if self.pitch_taps and self.history == "embedding":
            raise InputError(f"model.pitch_taps is {self.pitch_taps}; it needs model.history: real; else set it to 0")
        check_size(self)

    @property
    def coding(self) -> Coding:
        """How waves become codes."""
        return Coding(self.q_levels, self.quantization, self.pre_emphasis)

    @property
    def input_dim(self) -> int:
        """Width of the frame tier's input: the previous frame, context, clock, and with explicit durations a clock of
        the frames left; with pitch taps two features of the pitch."""
        clocks = 2 if self.duration == "explicit" else 1
        return self.frame_size + self.context_dim + self.clock_dim * clocks + 2 * (self.pitch_taps > 0)

    @property
    def context_dim(self) -> int:
        """Width of what stays the same during a segment: the unit, the next unit, the speaker."""
        return 2 * self.text_dim + self.speaker_dim


def weight_shapes(config: TwoTierConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every weight by its name in `TwoTier(config).state_dict()` (a test holds the two together)."""
    c = config
    gates = {"gru": 3, "lstm": 4}[c.cell] * c.dim
    shapes: dict[str, tuple[int, ...]] = {
        "unit.weight": (c.text_dim, c.word_dim),
        "unit.bias": (c.text_dim,),
        "end": (c.text_dim,),
        "speaker.weight": (c.n_speakers, c.speaker_dim),
        "h0": (c.n_rnn, c.dim),
        "advance.weight": (1, c.duration_dim if c.duration == "explicit" else c.dim),
        "advance.bias": (1,),
        "upsample.weight": (c.frame_size * (c.upsample_rank or c.sample_dim), c.dim),
        "upsample.bias": (c.frame_size * (c.upsample_rank or c.sample_dim),),
        "output.weight": (c.q_levels, c.sample_dim),
        "output.bias": (c.q_levels,),
    }
    if c.duration == "explicit":
        shapes["duration_text.weight"] = (c.duration_dim, c.context_dim)
        shapes["duration_text.bias"] = (c.duration_dim,)
        shapes["duration_clock.weight"] = (c.duration_dim, c.clock_dim)
    if c.upsample_rank:
        shapes["conditioning.weight"] = (c.sample_dim, c.upsample_rank)
    if c.cell == "lstm":
        shapes["c0"] = (c.n_rnn, c.dim)
    for k in range(c.n_rnn):
        shapes[f"rnn.weight_ih_l{k}"] = (gates, c.input_dim if k == 0 else c.dim)
        shapes[f"rnn.weight_hh_l{k}"] = (gates, c.dim)
        shapes[f"rnn.bias_ih_l{k}"] = shapes[f"rnn.bias_hh_l{k}"] = (gates,)
    if c.history == "real":
        shapes["last_code.weight"] = (c.q_levels, c.sample_dim)
        shapes["history_in.weight"] = (c.sample_dim, c.hist_size)
    else:
        shapes["code_embedding.weight"] = (c.q_levels, c.embedding_dim)
        shapes["history_in.weight"] = (c.sample_dim, c.hist_size * c.embedding_dim)
    if c.pitch_taps:
        shapes["pitch_in.weight"] = (c.sample_dim, c.pitch_taps + 1)
        shapes["gate.weight"] = (c.sample_dim, c.dim)
        shapes["gate.bias"] = (c.sample_dim,)
    for k in range(c.sample_layers - 1):
        shapes[f"hidden.{k}.weight"] = (c.sample_dim, c.sample_dim)
        shapes[f"hidden.{k}.bias"] = (c.sample_dim,)
    return shapes


def check_size(config: TwoTierConfig, more: int = 0) -> None:
    """Refuse a model whose weights and tables, and `more` numbers beside them, are too many to ask memory for.

    Raises:
        InputError: with the widths that count most.
    """
    gates = {"gru": 3, "lstm": 4}[config.cell] * config.dim
    # The clock's features, and an engine's table of what each of the two clocks adds to the gates.
    tables = config.clock_frames * (config.clock_dim + 2 * gates) if config.clock_dim else 0
    numbers = sum(math.prod(shape) for shape in weight_shapes(config).values()) + tables + more
    if numbers > MOST_NUMBERS:
        sizes = ("frame_size", "n_rnn", "dim", "sample_dim", "sample_layers", "clock_frames", "word_dim")
        raise InputError(
            f"the model has {numbers:.2g} numbers in its weights and tables; it may have {MOST_NUMBERS:.2g}: lower "
            + ", ".join(f"model.{name} ({getattr(config, name)})" for name in sizes)
        )

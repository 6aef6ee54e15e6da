"""The shape of the two-tier model, apart from the model: a voice's config is read without importing torch."""

from dataclasses import dataclass
from typing import Literal

from tts.audio import Quantization
from tts.errors import InputError
from tts.parts import PARTS


@dataclass(frozen=True)
class TwoTierConfig:
    """Everything that fixes the shapes and the meaning of the weights."""

    q_levels: int = 256
    """Levels per sample."""
    quantization: Quantization = "mu-law"
    frame_size: int = 32
    """Samples per frame."""
    cell: Literal["gru", "lstm"] = "lstm"
    n_rnn: int = 1
    """Recurrent layers in the frame tier."""
    dim: int = 448
    """Width of the frame tier."""
    sample_dim: int = 256
    """Width of the sample tier."""
    sample_layers: int = 2
    """Hidden layers of the sample tier, at least 1."""
    upsample_rank: int = 0
    """Rank of the upsampling from frame to samples; 0: the paper's full map, most of the model's weights."""
    hist_size: int = 64
    """Past samples that the sample tier hears."""
    history: Literal["real", "embedding"] = "real"
    embedding_dim: int = 16
    """Width of a level's embedding, for `history: embedding`."""
    conditioning: Literal["pointer", "pooled"] = "pointer"
    word_parts: int = 1
    """1, or 4: the pointer steps through onset, nucleus and coda of each word and the rest after it (`tts.parts`), and
    where the model speaks of words it means these."""
    word_dim: int = 384
    """Width of the word vectors, as the text encoder gives them; a training run fills it in."""
    text_dim: int = 64
    """Width of a word inside the model."""
    n_speakers: int = 1
    """A training run fills it in."""
    speaker_dim: int = 16
    clock_dim: int = 16
    """Features of the frames since the word began; even; 0: no clock."""
    clock_frames: int = 320
    """The clock stops here, so that no input leaves the range of training."""
    timing: Literal["heard", "planned"] = "heard"
    """Where the advance bit comes from: from what the frame tier has heard; or from the text, the speaker and the clock
    alone, so that durations are drawn before any sample, and the frame tier is told how much of a word is left."""
    plan_dim: int = 128
    """Hidden units of the planned timing."""

    def __post_init__(self) -> None:
        frames = ("frame_size", "n_rnn", "dim", "clock_frames", "plan_dim")
        samples = ("sample_dim", "sample_layers", "hist_size", "embedding_dim")
        for name in (*frames, *samples, "word_dim", "text_dim", "n_speakers", "speaker_dim"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}; it must be at least 1")
        if self.upsample_rank < 0:
            raise InputError(f"model.upsample_rank is {self.upsample_rank}; it must be at least 1, or 0 for full rank")
        if self.clock_dim < 0 or self.clock_dim % 2:
            raise InputError(f"model.clock_dim is {self.clock_dim}; it must be an even number, or 0 for no clock")
        if self.timing == "planned" and (not self.clock_dim or self.conditioning == "pooled"):
            raise InputError("model.timing is planned; it needs a clock (clock_dim above 0) and conditioning: pointer")
        if self.word_parts not in (1, PARTS):
            raise InputError(f"model.word_parts is {self.word_parts}; it must be 1 or {PARTS}")
        if self.word_parts > 1 and self.conditioning == "pooled":
            raise InputError(f"model.word_parts is {self.word_parts}; it needs conditioning: pointer")
        if self.q_levels < 4 or self.q_levels % 2:
            raise InputError(f"model.q_levels is {self.q_levels}; it must be an even number of at least 4, e.g. 256")

    @property
    def input_dim(self) -> int:
        """Width of what the frame tier's first layer sees: previous frame, this word, next word, speaker, clock, and
        with planned timing the clock of what is left."""
        return self.frame_size + self.told_dim + self.clock_dim * (2 if self.timing == "planned" else 1)

    @property
    def told_dim(self) -> int:
        """Width of what stays the same during a word: this word, next word, speaker."""
        return 2 * self.text_dim + self.speaker_dim

"""What a training run is: one typed config, read by `tts.config.load` and stored in every checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data_recipes.fsdd import RecordingOptions
from data_recipes.sequences import SequenceOptions
from tts.errors import InputError
from tts.generation.request import Sampling
from tts.models.config import TwoTierConfig
from tts.text_encoder import TextEncoderConfig


@dataclass(frozen=True)
class DataConfig:
    """Which recordings, and how they are joined."""

    source: Path | None = None
    """Folder of the corpus in its own layout; None downloads it."""
    speakers: tuple[str, ...] = ()
    """Names of the speakers; empty: all."""
    takes: Path | None = None
    """Folder of more takes of single digits to train on, e.g. of `scripts/clearest_takes.py`."""
    recordings: RecordingOptions = field(default_factory=RecordingOptions)
    sequences: SequenceOptions = field(default_factory=SequenceOptions)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss; 0 switches a part off."""

    scored: float = 0.25
    """Share of the frames whose samples are scored in a step, drawn anew each time; 1 scores all."""
    advance_weight: float = 1.0
    spectral_weight: float = 1.0
    """Of the log-mel spectrum that comes, predicted from the frame tier's state alone."""
    spectral_offsets: tuple[int, ...] = (2, 6, 12)
    """How many frames ahead."""
    n_fft: int = 256
    """Samples of a spectrum's window."""
    n_mels: int = 32
    next_frame_weight: float = 0.0
    """Of the frame's samples predicted without the sample tier's ears (SampleRNN's independent prediction)."""


@dataclass(frozen=True)
class GroupConfig:
    """How the parameters of one name pattern are trained."""

    lr_scale: float = 1.0
    weight_decay: float | None = None
    """None: `train.weight_decay`."""


@dataclass(frozen=True)
class TrainConfig:
    """The optimiser and the loop."""

    steps: int = 6000
    start_from: Path | None = None
    """A checkpoint whose weights (the averaged ones, where there are any) are the first; its optimiser and step are not
    taken over. The model may have grown since: see `Checkpoint.begin`."""
    batch_size: int = 8
    """Sequences a process and micro-batch."""
    bucket: int = 4
    """Steps whose sequences are cut out of one pool sorted by length, which spares padding; 1: as they come."""
    accumulation: int = 1
    """Micro-batches a step."""
    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    groups: dict[str, GroupConfig] = field(default_factory=dict)
    """Shell patterns of parameter names, e.g. "model.speaker.*"; the first that matches holds."""
    warmup_steps: int = 100
    final_lr: float = 0.0
    """Share of `lr` at the end of the cosine."""
    clip: float = 1.0
    """Largest norm of the gradient; 0: no clipping."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the device has instructions for it, else fp32; see `tts.training.precision`."""
    frame_dropout: float = 0.0
    """Share of the previous frames that the frame tier does not hear. The voice that ships has 0.25; that it helps
    could not be told (docs/results/voice.md)."""
    word_noise: float = 0.0
    """Noise added to each word's vector, relative to the vector's own spread: so that words never heard in training,
    "four" for "4", are taken for their nearest neighbours."""
    disturbed_rests: float = 0.0
    """Share of the rests (`model.word_parts: 4`) in which noise or speech is heard for up to 50 ms that is not there:
    a voice then falls silent in a rest whatever it said before."""
    ema: float = 0.999
    """Decay of the averaged weights that are validated and shipped; 0: none."""
    threads: int = 0
    """Of each process on a CPU; 0: as the environment says, which `accelerate launch` sets to 1."""
    workers: int = 0
    """Processes that make batches ahead."""
    log_every: int = 20
    validate_every: int = 500
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        counts = ("steps", "batch_size", "bucket", "accumulation", "log_every", "validate_every", "checkpoint_every")
        for name in counts:
            if getattr(self, name) < 1:
                raise InputError(f"train.{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.threads <= 1024:
            raise InputError(f"train.threads is {self.threads}; it must lie between 1 and 1024, or be 0")
        if not 0 <= self.frame_dropout < 1:
            raise InputError(f"train.frame_dropout is {self.frame_dropout}; it must be at least 0 and below 1")
        if not 0 <= self.word_noise <= 10:
            raise InputError(f"train.word_noise is {self.word_noise}; it must lie between 0 and 10")
        if not 0 <= self.disturbed_rests <= 1:
            raise InputError(f"train.disturbed_rests is {self.disturbed_rests}; it must lie between 0 and 1")
        if not 0 <= self.ema < 1:
            raise InputError(f"train.ema is {self.ema}; it must be at least 0 and below 1")


@dataclass(frozen=True)
class ValidationConfig:
    """What is looked at on the way."""

    sequences: int = 40
    """Fixed sequences whose loss is measured."""
    spoken: int = 4
    """Texts spoken, written as WAV and drawn as spectrograms; 0: none."""
    judged: int = 0
    """Texts of combinations never heard, spoken and read back by the recogniser; 0: none, and `best` is chosen by the
    loss."""


@dataclass(frozen=True)
class RunConfig:
    """One experiment: the whole of a YAML file."""

    name: str = "run"
    seed: int = 0
    output: Path = Path("runs/run")
    data: DataConfig = field(default_factory=DataConfig)
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    model: TwoTierConfig = field(default_factory=TwoTierConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    sampling: Sampling = field(default_factory=Sampling)
    """How the run's voices speak."""

    def __post_init__(self) -> None:
        if self.train.disturbed_rests and self.model.word_parts == 1:
            raise InputError(
                f"train.disturbed_rests is {self.train.disturbed_rests}; it needs rests, which model.word_parts: 4 has"
            )

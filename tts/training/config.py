"""What a training run is: one typed config, read by `tts.core.config.load` and stored in every checkpoint.

The defaults are the recipe of the shipped voice (configs/fsdd.yaml), but for what a machine without a GPU has no time
for: batch size, steps and the learning rate that goes with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from data_recipes.augment import AugmentOptions
from data_recipes.corpus import CorpusOptions, RecordingOptions
from data_recipes.sequences import SequenceOptions
from tts.core.config import Range, check, shown
from tts.core.errors import InputError
from tts.core.sampling import Sampling
from tts.models.config import TwoTierConfig, check_size
from tts.text.encoder import TextEncoderConfig

Count = Annotated[int, Range(1, 10**9)]
Share = Annotated[float, Range(0, 1)]
Below1 = Annotated[float, Range(0, 1, high_open=True)]
Weight = Annotated[float, Range(0, 1000)]
POOL = 2**16
"""The most sequences that a process may draw at a time; they are all in memory."""
SHORTEST_SECONDS = 0.1
"""No recording of a word is shorter, once it is trimmed."""
FILLED_IN = TwoTierConfig()
"""The defaults of what a run fills in."""


@dataclass(frozen=True)
class DataConfig:
    """Which recordings, and how they are joined."""

    corpus: Literal["fsdd", "speech_commands", "prompts", "espeak"] = "fsdd"
    """docs/data.md has what each is."""
    source: Path | None = None
    """Folder of the corpus in its own layout; None downloads `fsdd`; `espeak` has none."""
    dataset: Path | None = None
    """A folder that `tts data build` wrote, in place of a corpus: its `train` is read as it is needed, its `validation`
    validated. `recordings` and `sequences` are then those it was built with: a run fills them in."""
    options: CorpusOptions = field(default_factory=CorpusOptions)
    """Words, languages, synthetic voices: what is taken of the corpus."""
    speakers: tuple[str, ...] = ()
    """Names of the speakers; empty: all."""
    self_training: Path | None = None
    """Folder of more recordings of single digits to train on, which `scripts/self_training.py` writes."""
    recordings: RecordingOptions = field(default_factory=RecordingOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    """What is done to each sequence of the training, drawn anew each time; nothing by default."""
    sequences: SequenceOptions = field(default_factory=lambda: SequenceOptions(max_digits=3, edge_seconds=(0.04, 0.1)))

    def __post_init__(self) -> None:
        if len(set(self.speakers)) != len(self.speakers):
            raise InputError(f"data.speakers is {shown(self.speakers)}; name each speaker once")
        if self.dataset:
            for name in ("corpus", "source", "options", "speakers", "self_training"):
                if getattr(self, name) != getattr(DataConfig, name, CorpusOptions()):
                    raise InputError(f"data.{name} chooses recordings, which data.dataset already has; leave it out")
        if strangers := set(self.sequences.speakers or ()) - set(self.speakers) if self.speakers else ():
            raise InputError(
                f"data.sequences.speakers has {shown(sorted(strangers)[0])}, who is none of data.speakers, "
                f"{shown(self.speakers)}; leave data.sequences.speakers out"
            )
        try:
            self.sequences.length_shares()
        except InputError as error:
            raise InputError(f"data.sequences: {error}") from error


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss; 0 switches a part off."""

    frame_share: Annotated[float, Range(0, 1, low_open=True)] = 0.15
    """Share of the frames whose samples the loss counts in a step, drawn anew each time; 1: all."""
    advance_weight: Weight = 1.0
    spectral_weight: Weight = 1.0
    """Of the log-mel spectra of frames to come, predicted from the frame tier's state alone."""
    spectral_offsets: tuple[Annotated[int, Range(1, 1000)], ...] = (2, 6, 12)
    """How many frames ahead."""
    n_fft: Annotated[int, Range(16, 16384)] = 256
    """Samples of a spectrum's window."""
    n_mels: Annotated[int, Range(1, 1024)] = 32
    next_frame_weight: Weight = 0.0
    """Of the frame's samples, predicted without the sample tier's history (SampleRNN's independent prediction)."""

    def __post_init__(self) -> None:
        check(self, "loss.")
        if not 1 <= len(self.spectral_offsets) <= 64:
            raise InputError(
                f"loss.spectral_offsets has {len(self.spectral_offsets)} items; it must have 1 to 64 "
                "(loss.spectral_weight: 0 switches the spectral part off)"
            )
        if self.n_mels > self.n_fft // 2 + 1:
            raise InputError(
                f"loss.n_mels is {self.n_mels}; a spectrum of loss.n_fft {self.n_fft} has {self.n_fft // 2 + 1} bins, "
                "and there cannot be more mel bands than that"
            )


@dataclass(frozen=True)
class GroupConfig:
    """How the parameters of one name pattern are trained."""

    lr_scale: Annotated[float, Range(0, 1000)] = 1.0
    weight_decay: Share | None = None
    """None: `train.weight_decay`."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TrainConfig:
    """The optimizer and the loop."""

    steps: Count = 6000
    start_from: Path | None = None
    """A checkpoint (the averaged weights, where there are any) or a voice's folder whose weights are the initial ones;
    its optimizer and step are not taken over. The model may have grown since: see `checkpoint.begin_from`."""
    batch_size: Annotated[int, Range(1, 4096)] = 8
    """Sequences a process and micro-batch."""
    bucket: Annotated[int, Range(1, 1024)] = 4
    """Steps whose sequences are cut out of one pool sorted by length, which spares padding; 1: as they come."""
    accumulation: Annotated[int, Range(1, 1024)] = 1
    """Micro-batches a step."""
    lr: Annotated[float, Range(0, 10, low_open=True)] = 2e-3
    betas: tuple[Below1, Below1] = (0.9, 0.98)
    weight_decay: Share = 0.01
    groups: dict[str, GroupConfig] = field(default_factory=dict)
    """Shell patterns of parameter names, e.g. "model.speaker.*"; the first that matches holds."""
    warmup_steps: Annotated[int, Range(0, 10**9)] = 100
    """Steps in which the learning rate rises to `lr`; with more than `steps` it never gets there."""
    final_lr: Share = 0.02
    """Share of `lr` at the end of the cosine."""
    clip: Annotated[float, Range(0, 10**6)] = 1.0
    """Largest norm of the gradient; 0: no clipping."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the device has instructions for it, else fp32; see `tts.training.precision`."""
    frame_dropout: Below1 = 0.25
    """Share of the previous frames that are zeros in the frame tier's input. No ablation could tell that it helps
    (docs/results/voice.md)."""
    word_noise: Annotated[float, Range(0, 10)] = 1.0
    """Noise added to each word's vector, relative to the vector's own spread: a word that no training has, "four" for
    "4", is then treated as its nearest neighbor."""
    pause_corruption: Share = 0.1
    """Share of the pauses (`model.units_per_word: 4`) whose input has up to 50 ms of noise or speech that is not in the
    target: the model then produces silence in a pause whatever its history."""
    ema: Below1 = 0.999
    """Decay of the averaged weights, which are validated and kept as the voice; 0: none."""
    threads: Annotated[int, Range(0, 1024)] = 0
    """Of each process on a CPU; 0: as the environment says, which `accelerate launch` sets to 1."""
    workers: Annotated[int, Range(0, 256)] = 0
    """Processes that make batches ahead."""
    log_every: Count = 20
    validate_every: Count = 500
    checkpoint_every: Count = 200

    def __post_init__(self) -> None:
        check(self, "train.")
        if self.batch_size * self.accumulation * self.bucket > POOL:
            raise InputError(
                f"train.batch_size is {self.batch_size}, train.accumulation {self.accumulation} and train.bucket "
                f"{self.bucket}; their product must be at most {POOL}: so many sequences may be in memory at a time"
            )


@dataclass(frozen=True)
class ValidationConfig:
    """What each validation measures."""

    sequences: Annotated[int, Range(1, 100_000)] = 40
    """Fixed sequences whose loss is measured."""
    spoken: Annotated[int, Range(0, 1000)] = 4
    """How many of their texts are spoken, written as WAV and drawn as spectrograms; 0: none."""
    judged: Annotated[int, Range(0, 100_000)] = 0
    """Texts of combinations that no training has, spoken and judged: `best` is chosen by digit error and periodicity;
    0: none, and it is chosen by the loss."""

    def __post_init__(self) -> None:
        check(self, "validation.")


@dataclass(frozen=True)
class RunConfig:
    """One experiment: the whole of a YAML file."""

    name: str = "run"
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    output: Path = Path("runs/run")
    data: DataConfig = field(default_factory=DataConfig)
    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    model: TwoTierConfig = field(default_factory=TwoTierConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    sampling: Sampling = field(default_factory=lambda: Sampling(duration_spread=0.25))
    """How the run's voices speak."""

    def __post_init__(self) -> None:
        check(self)
        if not self.name:
            raise InputError("name is empty; give the run a name, which its voice gets as well")
        if self.train.pause_corruption and self.model.units_per_word == 1:
            raise InputError(
                f"train.pause_corruption is {self.train.pause_corruption}; it needs pauses, which "
                "model.units_per_word: 4 has; else set train.pause_corruption: 0"
            )
        self.sampling.check_units(self.model.units_per_word)
        speakers = len(self.data.speakers)
        if speakers and self.model.n_speakers not in (speakers, FILLED_IN.n_speakers):
            raise InputError(
                f"model.n_speakers is {self.model.n_speakers}, but data.speakers are {speakers}; "
                "leave model.n_speakers out: a run fills it in"
            )
        self._check_spectrum()

    def _check_spectrum(self) -> None:
        """That the spectral loss fits the recordings and the memory."""
        if not self.loss.spectral_weight:
            return
        rate, n_fft = self.data.recordings.sample_rate, self.loss.n_fft
        longest = int(2 * SHORTEST_SECONDS * rate)  # a spectrum's first window lies half before the sequence
        if n_fft > longest:
            raise InputError(
                f"loss.n_fft is {n_fft}; with data.recordings.sample_rate {rate} it must be at most {longest}, "
                f"{2 * SHORTEST_SECONDS:g} s: the shortest words are half as long"
            )
        check_size(self.model, more=self.model.dim * len(self.loss.spectral_offsets) * self.loss.n_mels)


def without_local_paths(config: Mapping[str, Any], cls: type = RunConfig) -> dict[str, Any]:
    """A run's config, as `tts.core.config.to_dict` gives it, without every field that holds a path.

    Paths are those of the machine that trained: they mean nothing elsewhere. Fields of another version, which `cls`
    does not know, are kept.
    """
    kinds = get_type_hints(cls)
    kept = {}
    for key, value in config.items():
        kind = kinds.get(key)
        if not _holds_path(kind):
            kept[key] = without_local_paths(value, kind) if isinstance(kind, type) and is_dataclass(kind) else value
    return kept


def _holds_path(kind: Any) -> bool:
    return kind is Path or any(map(_holds_path, get_args(kind)))

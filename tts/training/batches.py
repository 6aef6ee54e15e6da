"""Sequences to batches: padding, pointer, advance bits, loss frames, and what is drawn to disturb the inputs.

Batch `i` of a run is a function of (seed, i) alone, its random draws included: what a step sees depends neither on the
number of loader workers nor on whether the run was interrupted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain, groupby
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data_recipes.sequences import Sequence as Spoken
from tts.models.config import TwoTierConfig
from tts.text.encoder import TextEncoder
from tts.text.units import UNITS_PER_WORD, pauses, syllables, unit_ends, unit_vectors
from tts.training.config import RunConfig

T = TypeVar("T")
EDGE_FRAMES = 2
"""The first frames of each pause, and of what follows it, are always loss frames."""
CORRUPTION_SECONDS = (0.002, 0.05)
"""How long the corruption of a pause lasts."""
CORRUPTION_DB = (-20.0, 6.0)
"""Of speech: relative to the piece of the sequence that it is a copy of."""
CORRUPTION_RMS = (0.02, 0.5)
"""Of noise; full scale 1."""


@dataclass
class Batch:
    """B sequences, padded with silence to N frames. T = N x frame_size, U units at most, L loss frames."""

    codes: Tensor  # (B, T) int64, the targets
    inputs: Tensor  # (B, T) int64, the history of both tiers: the codes, but where a pause is corrupted
    units: Tensor  # (B, U, word_dim) float32, the units' vectors
    n_units: Tensor  # (B,) int64
    pointer: Tensor  # (B, N) int64, n_units in the padding
    advance: Tensor  # (B, N) float32, 1 in the last frame of a segment
    valid: Tensor  # (B, N) bool, False in the padding
    speaker: Tensor  # (B,) int64
    loss_frames: Tensor  # (L,) int64, places in the flattened (B, N)
    keep_frame: Tensor  # (B, N) bool, False where the previous frame is dropped

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        return Batch(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory; the data loader calls this."""
        return Batch(**{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})


class WordVectors:
    """Word vectors of training texts, each text (or word, with `context: word`) encoded once."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, texts: Sequence[list[str]]) -> list[np.ndarray]:
        """Words of each text to vectors: (W, word_dim) float32 each."""
        whole = self.encoder.config.context == "text"
        keys = [[" ".join(text)] if whole else text for text in texts]
        if new := [key for key in dict.fromkeys(chain.from_iterable(keys)) if key not in self._known]:
            self._known |= zip(new, self.encoder.encode([key.split() for key in new]), strict=True)
        return [np.concatenate([self._known[key] for key in own]) for own in keys]


@dataclass(frozen=True)
class Collate:
    """Makes a batch of sequences."""

    model: TwoTierConfig
    speakers: tuple[str, ...]
    vectors: Callable[[Sequence[list[str]]], list[np.ndarray]]
    frame_share: float = 1.0
    frame_dropout: float = 0.0
    word_noise: float = 0.0
    pause_corruption: float = 0.0

    def __call__(self, sequences: Sequence[Spoken], rng: np.random.Generator) -> Batch:
        """Pad, quantize and align `sequences`; `rng` draws loss frames, frame dropout, word noise and corruptions."""
        c = self.model
        F, B = c.frame_size, len(sequences)
        frames = [-(-len(sequence.audio) // F) for sequence in sequences]
        N = max(frames)
        words = [sequence.text.split() for sequence in sequences]
        counts = [syllables(own) for own in words]
        units = [
            unit_vectors(self._noisy(vectors, rng), c.units_per_word, count)
            for vectors, count in zip(self.vectors(words), counts, strict=True)
        ]
        U = max(map(len, units))

        wave = np.zeros((B, N * F), np.float32)
        corruptions: list[tuple[int, int, np.ndarray]] = []
        padded_units = np.zeros((B, U, c.word_dim), np.float32)
        pointer = np.zeros((B, N), np.int64)
        advance = np.zeros((B, N), np.float32)
        valid = np.zeros((B, N), bool)
        loss_frames = []
        for b, (sequence, vectors, count) in enumerate(zip(sequences, units, counts, strict=True)):
            wave[b, : len(sequence.audio)] = sequence.audio
            padded_units[b, : len(vectors)] = vectors
            boundaries = sequence.boundaries
            if c.units_per_word > 1:
                boundaries = unit_ends(sequence.audio, boundaries, sequence.sample_rate, count)
            ends = segment_ends(boundaries, frames[b], F)
            pointer[b] = np.searchsorted(ends, np.arange(N), side="right")
            # The pooled model has one unit, whose segment is the whole sequence.
            advance[b, ends[-1:] - 1 if c.conditioning == "pooled" else ends - 1] = 1
            valid[b, : frames[b]] = True
            loss_frames.append(b * N + self._loss_frames(frames[b], ends, pauses(count), rng))
            if self.pause_corruption:
                corruptions += [(b, *found) for found in self._corruptions(sequence, ends * F, pauses(count), rng)]
        codes = inputs = torch.from_numpy(c.coding.encode(wave))
        if corruptions:
            inputs = codes.clone()
            for b, begin, sound in corruptions:
                corrupted = c.coding.encode(sound)
                inputs[b, begin : begin + len(sound)] = torch.from_numpy(corrupted)
        return Batch(
            codes=codes,
            inputs=inputs,
            units=torch.from_numpy(padded_units),
            n_units=torch.tensor([len(vectors) for vectors in units]),
            pointer=torch.from_numpy(pointer),
            advance=torch.from_numpy(advance),
            valid=torch.from_numpy(valid),
            speaker=torch.tensor([self.speakers.index(sequence.speaker) for sequence in sequences]),
            loss_frames=torch.from_numpy(np.concatenate(loss_frames)),
            keep_frame=torch.from_numpy(rng.random((B, N)) >= self.frame_dropout),
        )

    def _loss_frames(self, frames: int, ends: np.ndarray, pauses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rising numbers of the loss frames out of `frames`: a share of them, drawn.

        With pauses, the first frames of each pause and of each sound after one are drawn before all others: whether a
        word begins is decided there.
        """
        order = rng.permutation(frames)
        count = max(1, round(self.frame_share * frames))
        if self.model.units_per_word == UNITS_PER_WORD and count < frames:
            begins = np.concatenate([ends[pauses], ends[pauses[1:] - 1]])
            edges = begins[:, None] + np.arange(EDGE_FRAMES)
            order = order[np.argsort(~np.isin(order, edges), kind="stable")]
        return np.sort(order[:count])

    def _corruptions(
        self, sequence: Spoken, ends: np.ndarray, pauses: np.ndarray, rng: np.random.Generator
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Sounds for the input of a share of the pauses: first sample, and (n,) float32 in [-1, 1].

        Half of them are a piece of the sequence, half are noise. `ends` (U,): the segments', in samples.
        """
        rate, wave = sequence.sample_rate, sequence.audio
        for begin, end in zip([0, *ends[pauses[1:] - 1]], ends[pauses], strict=True):
            if rng.random() >= self.pause_corruption:
                continue
            first = int(rng.integers(begin, end))
            count = min(round(rng.uniform(*CORRUPTION_SECONDS) * rate), end - first, len(wave))
            if rng.random() < 0.5:
                start = int(rng.integers(len(wave) - count + 1))
                sound = wave[start : start + count] * 10 ** (rng.uniform(*CORRUPTION_DB) / 20)
            else:
                sound = np.exp(rng.uniform(*np.log(CORRUPTION_RMS))) * rng.standard_normal(count)
            yield first, np.clip(sound, -1, 1).astype(np.float32)

    def _noisy(self, vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Word vectors (W, word_dim) with Gaussian noise of `word_noise` times each one's own spread."""
        if not self.word_noise:
            return vectors
        noise = rng.standard_normal(vectors.shape, dtype=np.float32)
        return vectors + np.float32(self.word_noise) * vectors.std(axis=1, keepdims=True) * noise


def training_collate(
    config: RunConfig, speakers: tuple[str, ...], vectors: Callable[[Sequence[list[str]]], list[np.ndarray]]
) -> Collate:
    """What makes a run's training batches. Validation draws nothing: `Collate(model, speakers, vectors)`."""
    t, share = config.train, config.loss.frame_share
    return Collate(config.model, speakers, vectors, share, t.frame_dropout, t.word_noise, t.pause_corruption)


def segment_ends(boundaries: Sequence[int], frames: int, frame_size: int) -> np.ndarray:
    """Boundaries in samples to the frame after each segment's last, (U,) int64, rising, the last one `frames`."""
    assert len(boundaries) <= frames, (boundaries, frames)
    ends = np.rint(np.asarray(boundaries) / frame_size).astype(np.int64)
    ends[-1] = frames
    # Every segment has at least one frame, however short it is, taken from the one before it: its end stays.
    places = np.arange(len(ends))
    ends = np.minimum.accumulate((ends - places)[::-1])[::-1] + places
    return np.clip(ends, places + 1, frames - places[::-1])


class Stream(Protocol):
    """An endless series of sequences; item i is always the same."""

    def __getitem__(self, index: int) -> Spoken:
        """Sequence number `index`, from 0."""


class Batches(Dataset[T]):
    """Micro-batches of a run by number, as `collate` makes them of sequences and a generator.

    A step takes `parts` micro-batches of `batch_size` sequences, from number step x parts on. The sequences of `bucket`
    steps are a pool, sorted by length and cut into steps, which saves padding; the steps come in a drawn order. So the
    sequences of a step depend on parts x batch_size alone, not on how these are divided among processes and
    micro-batches.
    """

    def __init__(
        self,
        stream: Stream,
        collate: Callable[[Sequence[Spoken], np.random.Generator], T],
        batch_size: int,
        seed: int,
        bucket: int = 1,
        parts: int = 1,
    ) -> None:
        self.stream, self.collate, self.batch_size = stream, collate, batch_size
        self.seed, self.bucket, self.parts = seed, bucket, parts
        self._pool: tuple[int, list[list[Spoken]]] = (-1, [])

    def __getitem__(self, index: int) -> T:
        number, place = divmod(index, self.bucket * self.parts)
        if self._pool[0] != number:
            self._pool = (number, self._draw_pool(number))
        return self.collate(self._pool[1][place], np.random.default_rng([self.seed, 1, index]))

    def made(self, numbers: Sequence[int], workers: int = 0, pin_memory: bool = False) -> Iterator[T]:
        """The batches of these numbers in order, made ahead by `workers` processes; 0: each when it is needed."""
        if not workers:
            return (self[number] for number in numbers)
        size = self.bucket * self.parts
        # A worker makes the batches of a pool together, as it draws the pool once.
        pools = (list(pool) for _, pool in groupby(numbers, lambda number: number // size))
        loader = DataLoader(self, batch_sampler=pools, collate_fn=list, num_workers=workers, pin_memory=pin_memory)
        return chain.from_iterable(loader)

    def _draw_pool(self, number: int) -> list[list[Spoken]]:
        """The sequences of each of the pool's micro-batches."""
        step = self.parts * self.batch_size
        size = self.bucket * step
        numbers = range(number * size, (number + 1) * size)
        sequences = sorted((self.stream[i] for i in numbers), key=lambda sequence: len(sequence.audio))
        order = np.random.default_rng([self.seed, 2, number]).permutation(self.bucket)
        # Every parts-th one: no process gets all the long ones while the others wait.
        return [sequences[i * step + part : (i + 1) * step : self.parts] for i in order for part in range(self.parts)]

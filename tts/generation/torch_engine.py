"""The torch engine: plain PyTorch over a batch of utterances, on any device and for every option of the model.

Per frame it takes one step of the frame tier, then one call of the model's own sample tier per sample, each for all
utterances at once. Utterances are padded to common buffers, and the scheduler gives a place to the next one as soon as
its utterance has ended. On a GPU the frame is captured as a CUDA graph and replayed, since its kernels are too short to
be started one by one; on a CPU the same function runs as it is.

Sums are rounded in another order than in the native engine, and in another one for another batch size. So a sample may
differ where a uniform falls on the border between two codes, and with it all that follow: between the engines once in
100,000 samples of the voice that ships (5 utterances of 256, 1,984 samples each).

Letters: B places, F = frame_size, H = hist_size, S = sample_dim, Q levels, D = dim, U units of a text, K frames of a
block, R rows of the window on a text.
"""

import copy
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tts.core.errors import InputError
from tts.generation.durations import Durations, DurationSampler
from tts.generation.family import unsupported
from tts.generation.interface import (
    ADVANCED,
    FORCED,
    Piece,
    StopReason,
    SynthesisRequest,
    SynthesisResult,
    Uniforms,
    pooled,
)
from tts.generation.rounded import RoundedLSTM, RoundedTwoTier
from tts.generation.scheduler import make_each, make_one
from tts.generation.torch_state import COUNTS, State
from tts.models.pitch import Pitch, find_pitch, past_samples, taps
from tts.models.two_tier import TwoTier

BLOCK_FRAMES = 32
"""An utterance that ends keeps its place until the end of its block; each block costs the host some work per place."""
WINDOW = 64
"""Units of a text that are on the device at a time, at least `BLOCK_FRAMES`; longer texts are moved along."""
CPU_STREAMS, GPU_STREAMS = 256, 4096
"""Utterances made at a time by default."""


class TorchEngine:
    """Makes codes with a `TwoTier` in plain PyTorch."""

    def __init__(self, model: TwoTier, device: torch.device | str | None = None) -> None:
        """Copy the model to a device.

        Args:
            model: the model; later changes of its weights have no effect.
            device: where to run; None: CUDA if there is one, else the CPU.
        """
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if unsupported(model.config):
            self.model = copy.deepcopy(model).float().eval().requires_grad_(False)
        else:  # as the native engine computes it
            self.model = RoundedTwoTier(model)
        self.model.to(self.device)
        weights = {name: tensor.cpu().numpy() for name, tensor in self.model.state_dict().items()}
        self.duration_sampler = DurationSampler(model.config, weights) if model.config.duration == "explicit" else None
        self._idle: dict[int, _Batch] = {}

    def generate(self, requests: Sequence[SynthesisRequest]) -> list[SynthesisResult]:
        """Make each utterance."""
        return list(self.generate_each(requests, max(1, min(len(requests), self._streams))))

    def generate_each(
        self, requests: Iterable[SynthesisRequest], streams: int | None = None
    ) -> Iterator[SynthesisResult]:
        """Make each utterance, yielded in the order of the requests; see `scheduler.make_each`.

        Args:
            requests: any number.
            streams: how many are made at a time, at least 1; None: 256 on a CPU, 4,096 on a GPU.

        Raises:
            InputError: there is no such number of streams.
        """
        if streams is not None and streams < 1:
            raise InputError(f"streams is {streams}; it must be at least 1")
        return self._each(iter(requests), streams or self._streams)

    def _each(self, requests: Iterator[SynthesisRequest], streams: int) -> Iterator[SynthesisResult]:
        with self._batch(streams) as batch:
            yield from make_each([batch], requests)

    def stream(self, request: SynthesisRequest, first_frames: int = 5) -> Generator[np.ndarray, None, SynthesisResult]:
        """Make one utterance and yield it as it is made; see `scheduler.make_one`."""
        with self._batch(1) as batch:
            return (yield from make_one(batch, request, first_frames))

    def worker(self, places: int) -> "_Batch":
        """See `interface.Engine`."""
        return _Batch(self, places)

    @property
    def _streams(self) -> int:
        return GPU_STREAMS if self.device.type == "cuda" else CPU_STREAMS

    @contextmanager
    def _batch(self, places: int) -> "Iterator[_Batch]":
        """A batch for one call alone; the last one is kept, for its CUDA graphs."""
        batch = self._idle.pop(places, None) or _Batch(self, places)
        try:
            yield batch
        finally:
            batch.clear()
            self._idle = {places: batch}


@dataclass
class _Text:
    """What a place is given of its request, a block at a time."""

    uniforms: Uniforms
    durations: Durations | None
    temperatures: Tensor  # (U,) float32
    units: Tensor | None = None  # (U, 2 x text_dim), as `State.text`


class _Batch:
    """Places for utterances that are made in step; a `scheduler.Worker`."""

    @torch.inference_mode()
    def __init__(self, engine: TorchEngine, places: int) -> None:
        self.places, self.block_frames = places, BLOCK_FRAMES
        self._model, self._device, self._duration_sampler = engine.model, engine.device, engine.duration_sampler
        self._c = c = engine.model.config
        self._past = max(c.hist_size, c.frame_size, past_samples(c) if c.pitch_taps else 0)
        self._state = State.empty(c, places, self._past, WINDOW, BLOCK_FRAMES, engine.device)
        # The small arrays have their master on the host between blocks.
        self._counts = np.zeros((len(COUNTS), places), np.int64)
        self._timing = np.ones((3, places), np.float64)
        self._busy: dict[int, _Text] = {}
        self._fresh: dict[int, np.ndarray] = {}  # (U, word_dim), the units of a place that has not begun
        self._uses_graphs = engine.device.type == "cuda"
        self._graphs: dict[int, Any] = {}

    def clear(self) -> None:
        """Drop what is being made."""
        self._busy.clear()
        self._fresh.clear()
        self._counts[:] = 0  # no units: nothing to make

    @torch.inference_mode()
    def begin(self, place: int, request: SynthesisRequest) -> None:
        """See `scheduler.Worker`."""
        c = self._c
        if c.conditioning == "pooled":
            request = pooled(request)
        durations = self._duration_sampler.sample(request) if self._duration_sampler else None
        temperatures = torch.tensor(request.temperatures(), dtype=torch.float32, device=self._device)
        self._busy[place] = _Text(Uniforms(request.seed, c.frame_size), durations, temperatures)
        self._fresh[place] = request.units
        # The window begins where it is out of reach, so that the first block fills it.
        caps = request.max_frames, request.max_unit_frames
        self._counts[:, place] = 0, 0, 0, len(request.units), *caps, -WINDOW, 0, request.speaker
        self._timing[:, place] = 0.0, 0.0, request.sampling.duration_spread

    def leave(self, place: int) -> None:
        """See `scheduler.Worker`."""
        del self._busy[place]
        self._fresh.pop(place, None)
        self._counts[:, place] = 0

    @torch.inference_mode()
    def run(self, frames: int) -> list[Piece]:
        """See `scheduler.Worker`."""
        if not self._busy:
            return []
        n = min(self.places, 1 << max(self._busy).bit_length())  # few sizes, so that few graphs are captured
        state = self._state.first(n)
        before = self._counts[2].copy()
        uniforms = self._upload(state, n, frames)
        F = self._c.frame_size
        made = torch.empty((frames, n, F), dtype=torch.int16, device=self._device)
        events = torch.empty((frames, n), dtype=torch.uint8, device=self._device)
        on_cpu = self._device.type == "cpu"  # there, nothing waits when it is asked whether anybody is left
        for k in range(frames):
            if on_cpu and not state.live().any():
                break
            state.uniforms[0].copy_(uniforms[k])
            self._make_frame(n)
            made[k].copy_(state.codes[0, :, self._past - F : self._past])
            events[k].copy_(state.events[0])
        self._counts[:, :n], self._timing[:, :n] = state.counts.cpu().numpy(), state.timing.cpu().numpy()
        codes, ends = made.cpu().numpy(), events.cpu().numpy()
        unit, _, done, units, most, *_ = self._counts
        pieces = []
        for place in list(self._busy):
            count = int(done[place] - before[place])
            stopped, capped = unit[place] == units[place], done[place] == most[place]
            reason: StopReason | None = "stop" if stopped else "cap" if capped else None
            pieces.append(Piece(place, codes[:count, place].reshape(-1), ends[:count, place].copy(), reason))
            if reason:
                del self._busy[place]
                self._counts[:, place] = 0
        return pieces

    def _upload(self, state: State, n: int, frames: int) -> Tensor:
        """What a block needs on the device; returns its uniforms, (frames, n, F + 1)."""
        if self._fresh:
            self._embed()
            fresh = torch.tensor(list(self._fresh), device=self._device)
            state.h[:, fresh] = self._model.h0[:, None]
            if self._c.cell == "lstm":
                state.c[:, fresh] = self._model.c0[:, None]
            state.codes[:, fresh] = self._c.q_levels // 2
            self._fresh.clear()
        uniforms = np.full((frames, n, self._c.frame_size + 1), 0.5, np.float32)
        durations = np.ones((n, BLOCK_FRAMES), np.int64)
        for place, text in self._busy.items():
            uniforms[:, place] = text.uniforms.rows(frames)
            unit, since, first = self._counts[[0, 1, 6], place].tolist()
            assert text.units is not None
            if first < 0 or (unit + frames > first + WINDOW and first + WINDOW < len(text.units)):
                window = slice(unit, unit + WINDOW)
                count = len(text.temperatures[window])
                state.text[0, place, :count] = text.units[window]
                state.temperatures[0, place, :count] = text.temperatures[window]
                self._counts[6, place] = unit
            if text.durations:
                self._counts[7, place] = unit
                reach, k = -since, 0
                while reach < frames:  # the units that these frames can come to
                    durations[place, k] = text.durations[unit + k]
                    reach += abs(int(durations[place, k]))
                    k += 1
        state.counts.copy_(torch.from_numpy(self._counts[:, :n]))
        state.timing.copy_(torch.from_numpy(self._timing[:, :n]))
        state.durations[0].copy_(torch.from_numpy(durations))
        return torch.from_numpy(uniforms).to(self._device)

    def _embed(self) -> None:
        """Embed the units of all fresh places as one long text."""
        vectors = np.concatenate(list(self._fresh.values()), dtype=np.float32)
        units = torch.from_numpy(vectors)[None].to(self._device)
        *embedded, end = self._model.embed_units(units, torch.tensor([len(vectors)], device=self._device))[0].split(
            [*map(len, self._fresh.values()), 1]
        )
        for place, text in zip(self._fresh, embedded, strict=True):
            self._busy[place].units = torch.cat([text, torch.cat([text[1:], end])], dim=1)

    def _make_frame(self, n: int) -> None:
        """One frame of the first n places, on a GPU by a CUDA graph of it."""
        if not self._uses_graphs:
            self._frame(self._state.first(n))
            return
        with torch.cuda.device(self._device):
            if n not in self._graphs:
                self._graphs[n] = self._captured(n)
            self._graphs[n].replay()

    def _captured(self, n: int) -> Any:
        """A CUDA graph of a frame of the first n places. Not run on a GPU yet.

        Libraries set themselves up at their first calls, which must not be captured, so the frame runs some times
        before, on a stream of its own; the state is then as before.
        """
        state = self._state.first(n)
        saved = {one.name: getattr(state, one.name).clone() for one in fields(state)}
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(3):
                self._frame(state)
        torch.cuda.current_stream(self._device).wait_stream(side)
        for name, tensor in saved.items():
            getattr(state, name).copy_(tensor)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._frame(state)
        return graph

    def _frame(self, state: State) -> None:
        """Make a frame in each place; only reads and writes `state`, and never waits for the device."""
        c, model, past = self._c, self._model, self._past
        unit, since, frames, _, _, max_unit_frames, text_first, durations_first, speaker = state.counts
        hazard, threshold, spread = state.timing
        codes, uniforms = state.codes[0], state.uniforms[0]
        place = torch.arange(len(unit), device=self._device)
        live = state.live()
        at = (unit - text_first).clamp(0, WINDOW - 1)
        text, temperature = state.text[0][place, at], state.temperatures[0][place, at]
        clocks = [since]
        if self._duration_sampler:
            duration = state.durations[0][place, (unit - durations_first).clamp(0, BLOCK_FRAMES - 1)]
            clocks.append(duration.abs() - since - 1)
        else:
            begins = since == 0
            threshold.copy_(torch.where(begins, duration_thresholds(uniforms[:, -1], spread), threshold))
            hazard.masked_fill_(begins, 0.0)
        clocks = [clock.clamp(0, c.clock_frames - 1) for clock in clocks]
        previous = model.values(codes[:, past - c.frame_size : past])
        found = self._pitch(codes) if c.pitch_taps else None
        states = self._step(previous, text, speaker, clocks, found and found.features(c), state)
        conditioning = model.condition(states)  # (B, F, S)
        for f in range(c.frame_size):
            history = codes[:, past + f - c.hist_size : past + f]
            inputs = [history[:, None], conditioning[:, f : f + 1]]
            if found:
                place = torch.full_like(found.lag, past + f)[:, None]
                inputs += [taps(model.values(codes), found, place, c), states]
            logits = model.run_samples(*inputs)[:, 0]
            codes[:, past + f] = draw_codes(logits, uniforms[:, f], temperature)
        codes[:, :past] = codes[:, c.frame_size :].clone()
        since += 1
        if self._duration_sampler:
            over, cap = duration == since, duration.abs()
        else:
            logit = model.advance(states)[:, 0].double()
            hazard += torch.logaddexp(logit, torch.zeros_like(logit))  # softplus
            over, cap = hazard > threshold, max_unit_frames
        ended = live & (over | (since >= cap))
        state.events[0] = ADVANCED * ended + FORCED * (ended & ~over)
        unit += ended
        since.masked_fill_(ended, 0)
        frames += live

    def _pitch(self, codes: Tensor) -> Pitch:
        """Before a frame, from (B, P + F) codes."""
        past = codes[:, self._past - past_samples(self._c) : self._past]
        return find_pitch(self._model.wave_table[past].double(), self._c.pitch_lags)

    def _step(
        self,
        previous: Tensor,
        text: Tensor,
        speaker: Tensor,
        clocks: list[Tensor],
        pitch: Tensor | None,
        state: State,
    ) -> Tensor:
        """One step of the frame tier, to the top layer's states (B, D); see `RoundedLSTM.first_gates`."""
        model, rnn = self._model, self._model.rnn
        if isinstance(rnn, RoundedLSTM):
            gates = rnn.first_gates(previous, text, speaker, clocks, pitch)
            for layer in range(self._c.n_rnn):
                inputs, state.c[layer] = rnn.cell(layer, gates, state.h[layer], state.c[layer])
                state.h[layer] = inputs
                if layer + 1 < self._c.n_rnn:
                    gates = rnn.inputs[layer].of_values(inputs)
            return inputs
        shown = [model.clock_table[clock] for clock in clocks]
        if pitch is not None:
            shown.append(pitch)
        inputs = torch.cat([previous, text, model.speaker(speaker), *shown], dim=1)
        for layer, weights in enumerate(rnn.all_weights):
            if self._c.cell == "gru":
                inputs = torch.gru_cell(inputs, state.h[layer], *weights)
            else:
                inputs, cells = torch.lstm_cell(inputs, (state.h[layer], state.c[layer]), *weights)
                state.c[layer] = cells
            state.h[layer] = inputs
        return inputs


def duration_thresholds(uniforms: Tensor, spread: Tensor) -> Tensor:
    """`interface.duration_threshold` of (B,) uniforms float32 and spreads float64: (B,) float64."""
    u = 0.5 + spread * (uniforms.double() - 0.5)
    return -torch.log1p(-u.clamp(max=1.0 - 2.0**-24))


def draw_codes(logits: Tensor, uniforms: Tensor, temperature: Tensor) -> Tensor:
    """The code that each uniform stands for, by inverse CDF: (B, Q) float32, (B,), (B,) to (B,) int64."""
    scaled = logits / temperature.float()[:, None]
    running = (scaled - scaled.amax(1, keepdim=True)).exp().cumsum(1)
    target = uniforms * running[:, -1]
    # The clamp: u x total can round up to the total itself.
    return torch.searchsorted(running, target[:, None], right=True)[:, 0].clamp(max=logits.shape[1] - 1)

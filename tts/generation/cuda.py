"""The CUDA engine: streams in tiles of sixteen, a frame in four kinds of kernels, a block of frames in one CUDA graph.

Each frame of a block is

0. with linear prediction, its predictor (`find_predictor`): a program per stream, from the samples before the frame;
1. one step of the frame tier (`frame_step`, a launch per layer; each program makes some units of a tile's states);
2. the upsampling to F x S (`linear`; with a rank, twice);
3. the frame's F samples and the advance bit (`sample_frame`): one program per tile runs through all samples of the
   frame, its activations in registers, its weights from the L2 cache, which holds all of the sample tier.

With planned timing (`tts.generation.plan`) the host draws the durations of the words that a block can reach; the frame
step reads them, and the advance bit is a comparison. The device waits for them: they are drawn between blocks, 64
words at a time, most of them when an utterance begins.

All frames of a block are captured in one CUDA graph, so the host is asked once a block. It draws the uniforms, reads
the block back, and gives the place of an utterance that ended to the next request. Matrix products are exact to about
2^-22 of each factor (see `cuda_kernels._dot`), and a tile is always sixteen streams, so that what a stream says does
not depend on how many others there are.

What holds it back: with few streams, one program's chain of dependent steps for each sample (sample_layers + 1 matrix
products whose weights, 295 KB of float16 for the default model, pass from L2 to one multiprocessor at about 64 bytes a
clock, and do not fit in its shared memory); fifteen rows of a tile are then empty. With thousands of streams, the
matrix products, and the host's work per block. Measured: docs/performance.md.

Letters: P places for streams, a multiple of 16; B frames in a block; F = frame_size; W words.
"""

import importlib.util
import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain, islice
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from tts.errors import InputError
from tts.generation.features import embed_words
from tts.generation.plan import Plan, Planner
from tts.generation.request import Generated, Request, Uniforms
from tts.generation.weights import checked_weights
from tts.models.config import TwoTierConfig

if TYPE_CHECKING:
    from tts.generation.cuda_layout import Layout

MOST_STREAMS = 4096
"""Made at a time where `streams` does not say."""
_USE_CPU = "use engine='cpu'"


def is_available() -> bool:
    """Whether there is a GPU on which the engine runs."""
    return why_not() is None


def why_not() -> str | None:
    """What the engine lacks here, in words; None if it can run."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed (it comes with torch's CUDA builds for Linux)"
    import torch

    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    if torch.cuda.get_device_capability() < (8, 0):
        return f"{torch.cuda.get_device_name()} is too old: it needs compute capability 8.0, an A100 or later"
    return None


class CudaEngine:
    """Speaks with a model's weights on one GPU."""

    def __init__(
        self,
        config: TwoTierConfig,
        weights: Mapping[str, np.ndarray],
        device: str = "cuda",
        block_frames: int = 32,
    ) -> None:
        """Lay the weights out on the device; kernels are compiled when the first utterance is made (seconds).

        Args:
            config: the model's shape.
            weights: as `TwoTier(config).state_dict()`, floating-point numpy arrays.
            device: "cuda" or "cuda:N"; "cpu" only where Triton interprets (TRITON_INTERPRET=1), to test.
            block_frames: frames made between two looks of the host, even; the result does not depend on it.

        Raises:
            InputError: there is no such GPU or no triton; the model is too wide; see `checked_weights`.
        """
        assert block_frames >= 2, block_frames
        assert block_frames % 2 == 0, block_frames
        _check_device(device)
        import torch

        from tts.generation.cuda_layout import lay_out

        self.config = config
        self.block_frames = block_frames
        self._weights = checked_weights(config, weights)
        self._layout = lay_out(config, self._weights)
        self._planner = Planner(config, self._weights) if config.timing == "planned" else None
        self._device = torch.device(device)
        self._arrays = {
            name: torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
            for name, array in self._layout.arrays.items()
        }
        self._idle: list[_Block] = []
        self._lock = Lock()

    def generate(self, requests: Sequence[Request]) -> list[Generated]:
        """Make the utterances, up to `MOST_STREAMS` at a time."""
        return list(self.generate_each(requests))

    def generate_each(self, requests: Iterable[Request], streams: int | None = None) -> Iterator[Generated]:
        """Make any number of utterances, `streams` at a time, and give them in the order of the requests.

        A request is taken only when there is a place for it; what is done before its turn waits, and no request is
        taken that is 4 x `streams` or more ahead of the one whose turn it is.
        """
        streams = MOST_STREAMS if streams is None else streams
        if streams < 1:
            raise InputError(f"streams is {streams}; it must be at least 1")
        source = iter(requests)
        first = list(islice(source, streams))
        if not first:
            return
        source = chain(first, source)
        voices: list[_Voice | None] = [None] * len(first)
        indices = [0] * len(first)
        waiting: dict[int, Generated] = {}
        taken = given = 0
        with self._block(len(first)) as block:
            while True:
                for place, voice in enumerate(voices):
                    if voice is None and taken - given < 4 * streams:
                        request = next(source, None)
                        if request is None:
                            break
                        voices[place] = self._voice(request)
                        indices[place] = taken
                        taken += 1
                if not any(voices):
                    return
                block.run(voices)
                for place, voice in enumerate(voices):
                    if voice is not None and voice.done:
                        waiting[indices[place]] = voice.whole()
                        voices[place] = None
                while given in waiting:
                    yield waiting.pop(given)
                    given += 1

    def stream(self, request: Request) -> Generator[np.ndarray, None, Generated]:
        """Yield (n,) int16 levels, a block of frames at a time; the generator returns the whole utterance."""
        voice = self._voice(request)
        with self._block(1) as block:
            while not voice.done:
                block.run([voice])
                yield voice.pieces[-1]
        return voice.whole()

    def _voice(self, request: Request) -> "_Voice":
        plan = self._planner.plan(request) if self._planner else None
        return _Voice(self.config, request, self._embed(request), plan)

    def _embed(self, request: Request) -> np.ndarray:
        """(W + 1, text_dim) float32: the words as the model sees them, and the end."""
        c, vectors = self.config, request.words
        assert vectors.shape[1] == c.word_dim, (vectors.shape, c.word_dim)
        assert 0 <= request.speaker < c.n_speakers, (request.speaker, c.n_speakers)
        if c.conditioning == "pooled":
            vectors = vectors.astype(np.float32).mean(0, keepdims=True)
        return embed_words(self._weights, vectors, ends=True)

    @contextmanager
    def _block(self, streams: int) -> "Iterator[_Block]":
        """A block of places that no one else uses; kept for the next who needs as many."""
        from tts.generation.cuda_kernels import TILE

        # A power of two: few different sizes are ever made, and captured.
        places = TILE << max(0, (streams - 1).bit_length() - (TILE - 1).bit_length())
        with self._lock:
            block = next((idle for idle in self._idle if idle.places == places), None)
            if block is not None:
                self._idle.remove(block)
        if block is None:
            block = self._new_block(places)
        try:
            yield block
        finally:
            block.forget()
            with self._lock:
                if all(idle.places != places for idle in self._idle):
                    self._idle.append(block)

    def _new_block(self, places: int) -> "_Block":
        import torch

        try:
            return _Block(self.config, self._layout, self._arrays, self._device, places, self.block_frames)
        except torch.OutOfMemoryError as error:
            raise InputError(f"{places} streams do not fit in the GPU's memory; ask for fewer at a time") from error


class _Voice:
    """One utterance in the making, on the host."""

    def __init__(self, config: TwoTierConfig, request: Request, text: np.ndarray, plan: Plan | None) -> None:
        self.request = request
        self.text = text
        self.plan = plan
        self.n_words = len(text) - 1
        self.max_word_frames = request.max_word_frames if config.conditioning == "pointer" else request.max_frames + 1
        self.word = 0
        self.frames = 0
        self.forced = 0
        self.ends: list[int] = []
        self.pieces: list[np.ndarray] = []
        self._frame = config.frame_size
        self._uniforms = Uniforms(request.seed, config.frame_size)
        self._drawn: np.ndarray | None = None

    @property
    def done(self) -> bool:
        return self.word == self.n_words or self.frames == self.request.max_frames

    def draw(self, count: int) -> None:
        """Draw the next block's uniforms now, while the device is busy."""
        self._drawn = self._uniforms.rows(count)

    def uniforms(self, count: int) -> np.ndarray:
        """The next (count, F + 1) uniforms."""
        rows = self._uniforms.rows(count) if self._drawn is None else self._drawn
        self._drawn = None
        return rows

    def add(self, levels: np.ndarray, flags: np.ndarray) -> None:
        """Take a block: (B x F,) levels and (B,) flags, 0 after the last frame."""
        from tts.generation.cuda_kernels import ENDED, FORCED

        made = int(np.count_nonzero(flags))
        ended = np.flatnonzero(flags & ENDED)
        self.ends += [(self.frames + int(frame) + 1) * self._frame for frame in ended]
        self.word += len(ended)
        self.forced += int(np.count_nonzero(flags & FORCED))
        self.frames += made
        self.pieces.append(levels[: made * self._frame].copy())

    def whole(self) -> Generated:
        stopped = self.word == self.n_words
        return Generated(np.concatenate(self.pieces), self.ends, "stop" if stopped else "cap", self.forced)


class _Block:
    """The device's memory for `places` streams, and the kernels that fill a block of frames."""

    def __init__(
        self,
        config: TwoTierConfig,
        layout: "Layout",
        arrays: dict[str, Any],
        device: Any,
        places: int,
        frames: int,
    ) -> None:
        import torch

        from tts.generation.cuda_kernels import TILE

        c = self._config = config
        self._layout, self._arrays, self._device = layout, arrays, device
        self.places, self.frames = places, frames
        self._before = max(c.hist_size, c.frame_size, c.lpc_window if c.lpc_order else 0)
        self._window = frames + 2  # words that a block can reach: as many as frames, and the one after
        self._voices: list[_Voice | None] = [None] * places
        P, F, B = places, c.frame_size, frames

        def zeros(*shape: int, dtype: Any = torch.float32) -> Any:
            return torch.zeros(shape, dtype=dtype, device=device)

        def staging(*shape: int, dtype: Any) -> Any:
            return torch.zeros(shape, dtype=dtype, pin_memory=device.type == "cuda")

        self._counts = zeros(7, P, dtype=torch.int64)
        self._timing = zeros(2, P, dtype=torch.float64)
        self._flags = zeros(P, B, dtype=torch.int32)
        self._levels = torch.full((P, self._before + B * F), c.q_levels // 2, dtype=torch.int16, device=device)
        self._text = zeros(P, self._window, c.text_dim)
        self._plan = zeros(P, self._window, dtype=torch.int64)
        self._h = zeros(2, c.n_rnn, P, layout.DP)  # before and after a step, by turns
        self._c = zeros(c.n_rnn, P, layout.DP)
        self._narrow = zeros(P, F * layout.RP) if layout.RP else None
        self._told = zeros(P, F * layout.SP)
        self._scratch = zeros(P // TILE, 2, TILE, layout.SP)
        self._shaped = zeros(P, 2 * layout.LP + layout.WP, dtype=torch.float64) if c.lpc_order else None
        self._predictors = zeros(P, max(layout.LP, 1))
        self._uniforms = zeros(P, B, F + 1)
        self._thresholds = zeros(P, B, dtype=torch.float64)
        self._temperatures = torch.ones(P, device=device)
        self._host_uniforms = staging(P, B, F + 1, dtype=torch.float32)
        self._host_thresholds = staging(P, B, dtype=torch.float64)
        self._host_counts = np.zeros((7, P), np.int64)
        self._host_temperatures = np.ones(P, np.float32)
        self._host_spreads = np.ones(P)
        self._graph: Any = None
        if device.type == "cuda":
            with torch.cuda.device(device):
                self._capture()

    def forget(self) -> None:
        """Free all places."""
        self._voices = [None] * self.places
        self._host_counts[:] = 0

    def run(self, voices: Sequence[_Voice | None]) -> None:
        """Make a block of frames of each voice; a voice keeps its place from call to call."""
        import torch

        with torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext():
            self._prepare(voices)
            if self._graph is None:
                self._launch()
            else:
                self._graph.replay()
            for voice in voices:
                if voice is not None:
                    voice.draw(self.frames)
            flags = self._flags.cpu().numpy()
            new = self._levels[:, self._before :].cpu().numpy()
            self._host_counts = self._counts.cpu().numpy().copy()
            self._levels[:, : self._before] = self._levels[:, -self._before :].clone()
        for voice, levels, flag in zip(voices, new, flags, strict=False):
            if voice is not None:
                voice.add(levels, flag)

    def _prepare(self, voices: Sequence[_Voice | None]) -> None:
        """Put new voices in their places, move the windows on the words, send the uniforms."""
        import torch

        from tts.generation.cuda_kernels import ALIVE, FRAMES_LEFT, MAX_WORD_FRAMES, SINCE, SPEAKER, WORD, WORDS_LEFT

        counts = self._host_counts
        new, moved = [], []
        uniforms = self._host_uniforms.numpy()
        for place, voice in enumerate(voices):
            if voice is None:
                counts[ALIVE, place] = 0
                self._voices[place] = None
                continue
            if voice is not self._voices[place]:
                self._voices[place] = voice
                new.append(place)
                counts[[ALIVE, SINCE], place] = 1, 0
                counts[WORDS_LEFT, place] = voice.n_words
                counts[FRAMES_LEFT, place] = voice.request.max_frames
                counts[SPEAKER, place] = voice.request.speaker
                counts[MAX_WORD_FRAMES, place] = voice.max_word_frames
                self._host_temperatures[place] = voice.request.sampling.temperature
                self._host_spreads[place] = voice.request.sampling.timing_spread
                moved.append(place)
            elif counts[WORD, place]:
                moved.append(place)
            counts[WORD, place] = 0
            uniforms[place] = voice.uniforms(self.frames)
        self._uniforms.copy_(self._host_uniforms, non_blocking=True)
        if self._config.timing == "heard":
            self._host_thresholds.numpy()[:] = _thresholds(uniforms[..., -1], self._host_spreads[:, None])
            self._thresholds.copy_(self._host_thresholds, non_blocking=True)
        self._counts.copy_(torch.from_numpy(counts))
        if new:
            where = torch.tensor(new, device=self._device)
            self._levels[where, : self._before] = self._config.q_levels // 2
            self._h[0][:, where] = self._arrays["h0"][:, None]
            self._c[:, where] = self._arrays["c0"][:, None]
            self._temperatures.copy_(torch.from_numpy(self._host_temperatures))
        if moved:
            where = torch.tensor(moved, device=self._device)
            windows = np.zeros((len(moved), *self._text.shape[1:]), np.float32)
            plans = np.ones((len(moved), self._window), np.int64)  # past the last word, 1
            for window, planned, place in zip(windows, plans, moved, strict=True):
                voice = voices[place]
                assert voice is not None
                seen = voice.text[voice.word : voice.word + self._window]
                window[: len(seen)] = seen
                if voice.plan is not None:
                    reached = range(voice.word, min(voice.word + self._window, voice.n_words))
                    planned[: len(reached)] = [voice.plan[word] for word in reached]
            self._text[where] = torch.from_numpy(windows).to(self._device)
            if self._config.timing == "planned":
                self._plan[where] = torch.from_numpy(plans).to(self._device)

    def _capture(self) -> None:
        """Compile the kernels by running them once on empty places, then keep their launches as a graph."""
        import torch

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._launch()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._launch()
        self._graph = graph

    def _launch(self) -> None:
        for row in range(self.frames):
            self._predict(row)
            self._frame_tier(row)
            self._upsample(row)
            self._sample_tier(row)

    def _top(self, row: int) -> Any:
        return self._h[1 - row % 2, -1]

    def _predict(self, row: int) -> None:
        from tts.generation.cuda_kernels import find_predictor

        c, a, layout = self._config, self._arrays, self._layout
        if not c.lpc_order:
            return
        find_predictor[(self.places,)](
            self._counts,
            self._levels,
            a["waves"],
            a["window"],
            self._shaped,
            self._predictors,
            row,
            self.places,
            LENGTH=self._levels.shape[1],
            BEFORE=self._before,
            F=c.frame_size,
            MIDDLE=c.q_levels // 2,
            LPC=c.lpc_order,
            LP=layout.LP,
            W=c.lpc_window,
            WP=layout.WP,
            BW=min(64, 4096 // layout.LP),
            num_warps=4,
            num_stages=1,
        )

    def _frame_tier(self, row: int) -> None:
        from tts.generation.cuda_kernels import TILE, frame_step

        c, a, DP = self._config, self._arrays, self._layout.DP
        units = 32
        old, new = self._h[row % 2], self._h[1 - row % 2]
        for k in range(c.n_rnn):
            frame_step[(self.places // TILE, DP // units)](
                self._counts,
                self._levels,
                self._text,
                self._plan,
                a["heard_weight"],
                a["text_weight"],
                a["speaker_gates"],
                a["clock_gates"],
                a["left_gates"],
                new[max(k - 1, 0)],
                a["below_weight"][k],
                a["below_bias"][k],
                old[k],
                new[k],
                self._c[k],
                a["recurrent_weight"][k],
                row,
                self.places,
                LENGTH=self._levels.shape[1],
                BEFORE=self._before,
                F=c.frame_size,
                MIDDLE=c.q_levels // 2,
                WINDOW=self._window,
                T=c.text_dim,
                CLOCK=c.clock_frames,
                DP=DP,
                FIRST=k == 0,
                PLANNED=c.timing == "planned",
                LSTM=c.cell == "lstm",
                HALF=self._layout.half,
                BK=64 if self._layout.half else 32,
                BN=units,
                num_warps=4,
                num_stages=3,
            )

    def _upsample(self, row: int) -> None:
        a, rank, F = self._arrays, self._layout.RP, self._config.frame_size
        first = self._told if self._narrow is None else self._narrow
        self._linear(first, self._top(row), a["upsample_weight"], a["upsample_bias"])
        if self._narrow is not None:
            places = self._narrow.view(self.places * F, rank)
            self._linear(self._told.view(self.places * F, -1), places, a["widen_weight"], a["widen_bias"])

    def _linear(self, out: Any, part: Any, weight: Any, bias: Any) -> None:
        from tts.generation.cuda_kernels import TILE, linear

        rows, width = out.shape
        columns = 64
        linear[(rows // TILE, width // columns)](
            out,
            part,
            weight,
            bias,
            K=part.shape[1],
            N=width,
            HALF=self._layout.half,
            BK=64 if self._layout.half else 32,
            BN=columns,
            num_warps=4,
            num_stages=3,
        )

    def _sample_tier(self, row: int) -> None:
        from tts.generation.cuda_kernels import TILE, sample_frame

        c, a, layout = self._config, self._arrays, self._layout
        sample_frame[(self.places // TILE,)](
            self._counts,
            self._timing,
            self._plan,
            self._flags,
            self._levels,
            self._told,
            self._scratch,
            self._uniforms,
            self._thresholds,
            self._temperatures,
            self._top(row),
            a["hear_weight"],
            a["past_table"],
            a["waves"],
            self._predictors,
            a["predicted"],
            a["hidden_weight"],
            a["hidden_bias"],
            a["output_weight"],
            a["output_bias"],
            a["advance_weight"],
            a["advance_bias"],
            row,
            self.places,
            LENGTH=self._levels.shape[1],
            BEFORE=self._before,
            B=self.frames,
            F=c.frame_size,
            MIDDLE=c.q_levels // 2,
            WINDOW=self._window,
            H=c.hist_size,
            E=1 if c.history == "real" else c.embedding_dim,
            LPC=c.lpc_order,
            LP=layout.LP,
            LOG_Q=math.log(c.q_levels) if c.quantization == "mu-law" else 0.0,
            PLANNED=c.timing == "planned",
            REAL=c.history == "real",
            HIDDEN=c.sample_layers - 1,
            DP=layout.DP,
            SP=layout.SP,
            QP=layout.QP,
            HALF=layout.half,
            BK=layout.chunk,
            num_warps=8,
            num_stages=layout.stages,
        )


def _thresholds(uniforms: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """`timing_threshold` of many at a time, float64."""
    pulled = np.minimum(0.5 + spreads * (uniforms.astype(np.float64) - 0.5), 1.0 - 2.0**-24)
    return -np.log1p(-pulled)


def _check_device(device: str) -> None:
    if device == "cpu":
        if importlib.util.find_spec("triton") is not None:
            import triton

            if triton.knobs.runtime.interpret:
                return
        raise InputError(f"the CUDA engine needs a CUDA device, not the CPU; {_USE_CPU}")
    if reason := why_not():
        raise InputError(f"the CUDA engine cannot run: {reason}; {_USE_CPU}")
    import torch

    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"there is no device {device!r}; give cuda or cuda:N, or {_USE_CPU}") from error
    if chosen.type != "cuda" or (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"there is no CUDA device {device!r}; {torch.cuda.device_count()} are here, or {_USE_CPU}")

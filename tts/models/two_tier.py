"""The two-tier SampleRNN, conditioned on units.

Mehri et al. 2017, "SampleRNN: An Unconditional End-to-End Neural Audio Generation Model", arXiv 1612.07837, its
two-tier model (section 2), with these departures:

- Text: the frame tier sees the vectors of the word being said (the *pointer*) and of the word after it, and predicts
  the *advance bit*: is this frame the last of the word's turn? Advancing off the last word is the stop bit.
  `conditioning: pooled` is the plain form: the mean of all units at every frame; the same model with one "word".
- `duration: explicit`: the advance bit comes from those vectors, the speaker and the frames since the word began alone,
  so that all durations can be drawn before the first sample; the frame tier sees the frames left as well.
- The frame tier is an LSTM by default (fused on CPU), and hears the previous frame as companded values in [-1, 1].
- The sample tier hears `hist_size` past samples, not just one frame's; as values in [-1, 1] plus a table for the last
  level (`history: real`), or as the paper's level embeddings (`history: embedding`).

Letters: B batch, T samples, F = frame_size, N frames (T = N x F), W units, S = sample_dim, Q levels, H = hist_size,
M frames scored (out of all B x N in training).

Which frame hears what (F = 4, H = 6):

    samples     . . . . | 0 1 2 3 | 4 5 6 7 | 8 9 …        (before 0: silence, the middle level)
    frame             -1      0         1       2
    frame tier, step 1:   hears samples 0-3 (frame 0), says the conditioning of samples 4-7, the advance bit of frame 1
    sample tier, t = 5:   hears samples -1…4 and the conditioning of sample 5, says sample 5
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts.models.config import TwoTierConfig


class Output(NamedTuple):
    """What a teacher-forced pass predicts."""

    logits: Tensor
    """(B, N, F, Q), or (L, F, Q) with `loss_frames`: of each sample's level, given all samples before it."""
    advance_logits: Tensor
    """(B, N): that frame n is the last of its word's turn, given all frames before it."""
    states: Tensor
    """(B, N, dim): the frame tier's top states."""
    conditioning: Tensor
    """(B, N, F, S), or (L, F, S) with `loss_frames`: what the frame tier tells the sample tier."""


class TwoTier(nn.Module):
    """See the module's docstring."""

    clock_table: Tensor

    def __init__(self, config: TwoTierConfig) -> None:
        super().__init__()
        self.config = c = config
        self.word_norm = nn.LayerNorm(c.word_dim, elementwise_affine=False)
        self.unit = nn.Linear(c.word_dim, c.text_dim)
        self.end = nn.Parameter(torch.zeros(c.text_dim))
        self.speaker = nn.Embedding(c.n_speakers, c.speaker_dim)
        self.register_buffer("clock_table", clock_features(c.clock_frames, c.clock_dim), persistent=False)
        cell = {"gru": nn.GRU, "lstm": nn.LSTM}[c.cell]
        self.rnn = cell(c.input_dim, c.dim, num_layers=c.n_rnn, batch_first=True)
        self.h0 = nn.Parameter(torch.zeros(c.n_rnn, c.dim))
        if c.cell == "lstm":
            self.c0 = nn.Parameter(torch.zeros(c.n_rnn, c.dim))
        if c.duration == "explicit":
            self.duration_text = nn.Linear(c.context_dim, c.duration_dim)
            self.duration_clock = nn.Linear(c.clock_dim, c.duration_dim, bias=False)
        self.advance = nn.Linear(c.duration_dim if c.duration == "explicit" else c.dim, 1)
        # The paper's learned upsampling: a linear map of its own for each of the frame's F places; with a rank, through
        # so many features a place, which one map common to all places widens.
        self.upsample = nn.Linear(c.dim, c.frame_size * (c.upsample_rank or c.sample_dim))
        if c.upsample_rank:
            self.conditioning = nn.Linear(c.upsample_rank, c.sample_dim, bias=False)
        if c.history == "real":
            self.last_code = nn.Embedding(c.q_levels, c.sample_dim)
            self.history_in = nn.Linear(c.hist_size, c.sample_dim, bias=False)
        else:
            self.code_embedding = nn.Embedding(c.q_levels, c.embedding_dim)
            self.history_in = nn.Linear(c.hist_size * c.embedding_dim, c.sample_dim, bias=False)
        self.hidden = nn.ModuleList(nn.Linear(c.sample_dim, c.sample_dim) for _ in range(c.sample_layers - 1))
        self.output = nn.Linear(c.sample_dim, c.q_levels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights from torch's global generator; seed it for a repeatable model."""
        c = self.config
        nn.init.normal_(self.speaker.weight, std=0.3)
        nn.init.normal_(self.end, std=0.3)
        for layer in self.hidden:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        if c.history == "real":
            nn.init.normal_(self.last_code.weight, std=0.3)
        nn.init.zeros_(self.output.bias)
        # A turn lasts about a hundred frames: start from that hazard instead of from one half.
        nn.init.constant_(self.advance.bias, -4.5)
        if c.cell == "lstm":
            for k in range(c.n_rnn):
                bias = getattr(self.rnn, f"bias_ih_l{k}")
                nn.init.ones_(bias.data[c.dim : 2 * c.dim])  # remember at first (Jozefowicz et al. 2015)

    def forward(
        self,
        codes: Tensor,
        units: Tensor,
        n_units: Tensor,
        pointer: Tensor,
        speaker: Tensor,
        loss_frames: Tensor | None = None,
        keep_frame: Tensor | None = None,
    ) -> Output:
        """Score known samples: position t is predicted from samples before t alone.

        Args:
            levels: (B, T) int64, T a multiple of frame_size.
            units: (B, W, word_dim) float32 word vectors, padded; for `pooled`, their mean is taken here.
            n_units: (B,) int64, the units of each text.
            pointer: (B, N) int64, the word being said at each frame, 0 … n_units - 1, never falling; n_units where a
                shorter text has ended.
            speaker: (B,) int64.
            loss_frames: (L,) int64, the frames whose samples are scored, as places in the flattened (B x N); None: all.
            keep_frame: (B, N) bool, False where the frame tier does not hear the previous frame (training dropout).
        """
        c = self.config
        assert c.frame_size * pointer.shape[1] == codes.shape[1], (codes.shape, pointer.shape, c.frame_size)
        units, n_units, pointer = self._pool(units, n_units, pointer)
        inputs = self.frame_inputs(codes, units, n_units, pointer, speaker, keep_frame)
        states = self.run_frames(inputs)
        told = states if loss_frames is None else states.flatten(0, 1)[loss_frames]
        conditioning = self.condition(told)
        logits = self.run_samples(self.past(codes, loss_frames), conditioning)
        return Output(logits, self.advance_logits(inputs, states), states, conditioning)

    def _pool(self, units: Tensor, n_units: Tensor, pointer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.config.conditioning == "pointer":
            return units, n_units, pointer
        mask = torch.arange(units.shape[1], device=units.device) < n_units[:, None]
        mean = (units * mask[..., None]).sum(1, keepdim=True) / n_units[:, None, None]
        return mean, torch.ones_like(n_units), torch.zeros_like(pointer)

    def embed_units(self, units: Tensor, n_units: Tensor) -> Tensor:
        """(B, W, word_dim) to (B, W + 1, text_dim): the units as the model sees them, `end` from place n_units on."""
        embedded = torch.tanh(self.unit(self.word_norm(units)))
        end = torch.tanh(self.end).to(embedded.dtype).expand(units.shape[0], 1, -1)
        embedded = torch.cat([embedded, end], dim=1)
        is_word = torch.arange(embedded.shape[1], device=units.device) < n_units[:, None]
        return torch.where(is_word[..., None], embedded, end)

    def frame_inputs(
        self,
        codes: Tensor,
        units: Tensor,
        n_units: Tensor,
        pointer: Tensor,
        speaker: Tensor,
        keep_frame: Tensor | None = None,
    ) -> Tensor:
        """(B, N, input_dim): what the frame tier sees at each step. Arguments as in `forward`."""
        c = self.config
        B, N = pointer.shape
        heard = self.values(codes).view(B, N, c.frame_size)
        heard = functional.pad(heard, (0, 0, 1, 0))[:, :N]
        if keep_frame is not None:
            heard = heard * keep_frame[..., None]
        embedded = self.embed_units(units, n_units)

        def at(place: Tensor) -> Tensor:
            place = place.clamp(max=embedded.shape[1] - 1)
            return embedded.gather(1, place[..., None].expand(-1, -1, c.text_dim))

        clocks = [frames_since(pointer)]
        if c.duration == "explicit":
            clocks.append(frames_since(pointer.flip(1)).flip(1))  # those that are left
        shown = [self.clock_table[clock.clamp(max=c.clock_frames - 1)] for clock in clocks]
        voice = self.speaker(speaker)[:, None].expand(-1, N, -1)
        return torch.cat([heard, at(pointer), at(pointer + 1), voice, *shown], dim=-1)

    def advance_logits(self, inputs: Tensor, states: Tensor) -> Tensor:
        """(B, N) of the advance bit, from what the frame tier saw and its states (see `frame_inputs`, `run_frames`)."""
        c = self.config
        if c.duration == "implicit":
            return self.advance(states).squeeze(-1)
        told, clock = inputs[..., c.frame_size :].split(
            [c.context_dim, inputs.shape[-1] - c.frame_size - c.context_dim], -1
        )
        hidden = torch.tanh(self.duration_text(told) + self.duration_clock(clock[..., : c.clock_dim]))
        return self.advance(hidden).squeeze(-1)

    def run_frames(self, inputs: Tensor) -> Tensor:
        """(B, N, input_dim) to the top layer's states (B, N, dim), from the learned initial state."""
        B = inputs.shape[0]
        state = self.h0[:, None].expand(-1, B, -1).contiguous()
        if self.config.cell == "gru":
            return self.rnn(inputs, state)[0]
        return self.rnn(inputs, (state, self.c0[:, None].expand(-1, B, -1).contiguous()))[0]

    def condition(self, states: Tensor) -> Tensor:
        """(…, dim) states of the frame tier to (…, F, S) conditioning, one vector for each of the frame's samples."""
        told = self.upsample(states).unflatten(-1, (self.config.frame_size, -1))
        return self.conditioning(told) if self.config.upsample_rank else told

    def values(self, codes: Tensor) -> Tensor:
        """Levels as (companded) values in [-1, 1), the middle level at 0; exact in bfloat16 up to 256 levels."""
        middle = self.config.q_levels // 2
        return (codes - middle).to(torch.float32) / middle

    def past(self, codes: Tensor, loss_frames: Tensor | None = None) -> Tensor:
        """(B, N, F, H) int64, or (L, F, H) with `loss_frames`: the H levels before each scored sample, oldest first."""
        c = self.config
        padded = functional.pad(codes, (c.hist_size, 0), value=c.q_levels // 2)[:, :-1]
        # (B, N, F + H - 1) stretches, one a frame, so that only scored frames are unfolded into windows.
        stretches = padded.unfold(1, c.hist_size + c.frame_size - 1, c.frame_size)
        if loss_frames is not None:
            stretches = stretches.flatten(0, 1)[loss_frames]
        return stretches.unfold(-1, c.hist_size, 1)

    def run_samples(self, past: Tensor | None, conditioning: Tensor) -> Tensor:
        """The sample tier: (…, F, H) past levels, (…, F, S) conditioning to logits (…, F, Q).

        With `past` None it hears no sample at all: the frame tier's own prediction of the frame (SampleRNN's
        "independent prediction"), which the auxiliary loss trains.
        """
        x = conditioning
        if past is not None:
            if self.config.history == "real":
                x = x + self.history_in(self.values(past)) + self.last_code(past[..., -1])
            else:
                x = x + self.history_in(self.code_embedding(past).flatten(-2))
        x = functional.relu(x)
        for layer in self.hidden:
            x = functional.relu(layer(x))
        return self.output(x)


def clock_features(frames: int, dim: int) -> Tensor:
    """(frames, dim) float32 sinusoids of a frame count, periods from 4 to 4 x `frames`, geometrically spaced.

    Reference: Vaswani et al. 2017, arXiv 1706.03762, section 3.5; the periods are ours.
    """
    with torch.device("cpu"):  # also of a model that is built without weights, on the device "meta"
        if dim == 0:
            return torch.zeros(frames, 0)
        half = dim // 2
        period = 4.0 * torch.logspace(0, math.log10(frames), half, dtype=torch.float64)
        angle = 2 * math.pi * torch.arange(frames, dtype=torch.float64)[:, None] / period
        return torch.cat([angle.sin(), angle.cos()], dim=1).float()


def frames_since(pointer: Tensor) -> Tensor:
    """(B, N) int64: frames since the word under the pointer began, 0 in a word's first frame."""
    N = pointer.shape[1]
    place = torch.arange(N, device=pointer.device).expand_as(pointer)
    begins = functional.pad(pointer[:, 1:] != pointer[:, :-1], (1, 0), value=True)
    return place - torch.where(begins, place, 0).cummax(dim=1).values

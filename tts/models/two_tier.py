"""The two-tier SampleRNN, conditioned on text.

Reference: Mehri et al. 2017, "SampleRNN: An Unconditional End-to-End Neural Audio Generation Model", arXiv 1612.07837,
its two-tier model (section 2). A recurrent network, the frame tier, takes one step per frame of F samples; a small
feed-forward network, the sample tier, predicts each sample from its history and the frame tier's conditioning.

Departures from the paper:

- Text. The pointer is the index of the unit being said. The frame tier's input has this unit's vector, the next unit's,
  the speaker's, and a clock: how many frames the segment has lasted.
- The advance bit of a frame says that the segment ends with it; off the last unit it is the stop bit. With
  `duration: implicit` it is predicted from the frame tier's state. With `duration: explicit` a network of its own
  predicts it from context (unit, next unit, speaker) and clock, so that all durations can be drawn before the first
  sample; a second clock then gives the frame tier the frames left.
- The frame tier is an LSTM by default, and its input has the previous frame as values in [-1, 1).
- The sample tier's history is H samples, not just F: as values in [-1, 1), with an embedding of the last code
  (`history: real`), or as an embedding of every code, as in the paper (`history: embedding`).
- The upsampling from a frame to the conditioning of its samples may have a low rank.
- `pitch_taps`: the sample tier's inputs have the samples around one pitch lag ago (`tts.models.pitch`), the frame
  tier's the pitch, and a gate that the frame tier makes multiplies all that the first layer gets of the past: a ReLU
  network on past samples cannot multiply them with what the frame tier knows.
- `pre_emphasis`: the codes are of the emphasized wave (`tts.audio.Coding`).
- `conditioning: pooled`, a baseline: the mean of all units at every frame; a text is then one unit.

Letters: B batch, T samples, N frames (T = N x F), F frame_size, U units, D dim, S sample_dim, Q q_levels, H hist_size,
L loss frames (out of all B x N).

Which samples reach what (F = 4, H = 6):

    codes     . . . . | 0 1 2 3 | 4 5 6 7 | 8 9 …       before 0: silence, the middle code
    frame       -1    |    0    |    1    |    2

    frame tier, frame 1      input: codes 0-3 (frame 0); output: conditioning of codes 4-7, advance bit of frame 1
    sample tier, code 5      input: history, codes -1 to 4, and conditioning; output: logits of code 5
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts import audio
from tts.models import pitch
from tts.models.config import TwoTierConfig

INITIAL_ADVANCE = -4.5
"""Initial bias of the advance logit: a segment of about a hundred frames, as a spoken digit has."""


class Output(NamedTuple):
    """What a teacher-forced pass predicts."""

    logits: Tensor
    """(B, N, F, Q), or (L, F, Q) with `loss_frames`: of each code, given all codes before it."""
    advance_logits: Tensor
    """(B, N): of the advance bit of each frame, given all frames before it."""
    states: Tensor
    """(B, N, D): the frame tier's states, of its last layer."""
    conditioning: Tensor
    """(B, N, F, S), or (L, F, S) with `loss_frames`: from the frame tier to the sample tier."""


class TwoTier(nn.Module):
    """The model; `forward` is its teacher-forced pass."""

    clock_table: Tensor
    wave_table: Tensor

    def __init__(self, config: TwoTierConfig) -> None:
        super().__init__()
        self.config = c = config
        # Text and speaker.
        self.word_norm = nn.LayerNorm(c.word_dim, elementwise_affine=False)
        self.unit = nn.Linear(c.word_dim, c.text_dim)
        self.end = nn.Parameter(torch.zeros(c.text_dim))
        self.speaker = nn.Embedding(c.n_speakers, c.speaker_dim)
        self.register_buffer("clock_table", clock_features(c.clock_frames, c.clock_dim), persistent=False)
        # Frame tier.
        cell = {"gru": nn.GRU, "lstm": nn.LSTM}[c.cell]
        self.rnn = cell(c.input_dim, c.dim, num_layers=c.n_rnn, batch_first=True)
        self.h0 = nn.Parameter(torch.zeros(c.n_rnn, c.dim))
        if c.cell == "lstm":
            self.c0 = nn.Parameter(torch.zeros(c.n_rnn, c.dim))
        # Durations.
        if c.duration == "explicit":
            self.duration_text = nn.Linear(c.context_dim, c.duration_dim)
            self.duration_clock = nn.Linear(c.clock_dim, c.duration_dim, bias=False)
        self.advance = nn.Linear(c.duration_dim if c.duration == "explicit" else c.dim, 1)
        # Upsampling: a map of its own to each of a frame's F samples; with a rank, to so many features each, and then
        # one map to S that all of them share.
        self.upsample = nn.Linear(c.dim, c.frame_size * (c.upsample_rank or c.sample_dim))
        if c.upsample_rank:
            self.conditioning = nn.Linear(c.upsample_rank, c.sample_dim, bias=False)
        # Sample tier.
        if c.history == "real":
            self.last_code = nn.Embedding(c.q_levels, c.sample_dim)
            self.history_in = nn.Linear(c.hist_size, c.sample_dim, bias=False)
        else:
            self.code_embedding = nn.Embedding(c.q_levels, c.embedding_dim)
            self.history_in = nn.Linear(c.hist_size * c.embedding_dim, c.sample_dim, bias=False)
        if c.pitch_taps:
            self.pitch_in = nn.Linear(c.pitch_taps + 1, c.sample_dim, bias=False)
            self.gate = nn.Linear(c.dim, c.sample_dim)
            table = torch.from_numpy(audio.decode_table(c.q_levels, c.quantization)).double()
            self.register_buffer("wave_table", table, persistent=False)
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
        if c.pitch_taps:  # zeros: a model without them, which training may begin from
            nn.init.zeros_(self.pitch_in.weight)
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)
        nn.init.constant_(self.advance.bias, INITIAL_ADVANCE)
        if c.cell == "lstm":
            for k in range(c.n_rnn):
                bias = getattr(self.rnn, f"bias_ih_l{k}")
                nn.init.ones_(bias.data[c.dim : 2 * c.dim])  # the forget gate is open (Jozefowicz et al. 2015)

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
        """Predict each code of known sequences from the codes before it.

        Args:
            codes: (B, T) int64, 0 … Q - 1; T a multiple of F.
            units: (B, U, word_dim) float32, the units' vectors, padded.
            n_units: (B,) int64, the number of units of each text.
            pointer: (B, N) int64, 0 … n_units - 1, never falling; n_units where a shorter sequence has ended.
            speaker: (B,) int64.
            loss_frames: (L,) int64, the frames whose samples are predicted, as places in the flattened (B x N); None:
                all.
            keep_frame: (B, N) bool, False where the previous frame is zeros in the frame tier's input (frame dropout).
        """
        F, N = self.config.frame_size, pointer.shape[1]
        assert codes.shape[1] == F * N, (codes.shape, pointer.shape, F)
        units, n_units, pointer = self._pool(units, n_units, pointer)
        inputs = self.frame_inputs(codes, units, n_units, pointer, speaker, keep_frame)
        found = None
        if self.config.pitch_taps:
            found = self.find_pitch(codes)
            inputs = torch.cat([inputs, found.features(self.config)], dim=-1)
        states = self.run_frames(inputs)
        chosen = states if loss_frames is None else states.flatten(0, 1)[loss_frames]
        taps = self.taps(codes, found, loss_frames) if found else None
        conditioning = self.condition(chosen)
        logits = self.run_samples(self.history(codes, loss_frames), conditioning, taps, chosen)
        return Output(logits, self.advance_logits(inputs, states), states, conditioning)

    def _pool(self, units: Tensor, n_units: Tensor, pointer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """With `conditioning: pooled`, the mean of a text's units as its only unit; else as they are."""
        if self.config.conditioning == "pointer":
            return units, n_units, pointer
        mask = torch.arange(units.shape[1], device=units.device) < n_units[:, None]
        mean = (units * mask[..., None]).sum(1, keepdim=True) / n_units[:, None, None]
        return mean, torch.ones_like(n_units), torch.zeros_like(pointer)

    # Frame tier

    def embed_units(self, units: Tensor, n_units: Tensor) -> Tensor:
        """(B, U, word_dim) to (B, U + 1, text_dim): the embedded units, and `end` from place n_units on."""
        embedded = torch.tanh(self.unit(self.word_norm(units)))
        end = torch.tanh(self.end).to(embedded.dtype).expand(units.shape[0], 1, -1)
        embedded = torch.cat([embedded, end], dim=1)
        is_unit = torch.arange(embedded.shape[1], device=units.device) < n_units[:, None]
        return torch.where(is_unit[..., None], embedded, end)

    def frame_inputs(
        self,
        codes: Tensor,
        units: Tensor,
        n_units: Tensor,
        pointer: Tensor,
        speaker: Tensor,
        keep_frame: Tensor | None = None,
    ) -> Tensor:
        """(B, N, input_dim): previous frame, context (unit, next unit, speaker), clocks. Arguments as in `forward`.

        With pitch taps the features of the pitch are still to be added, as the last ones.
        """
        c = self.config
        B, N = pointer.shape
        frames = self.values(codes).view(B, N, c.frame_size)
        previous = functional.pad(frames, (0, 0, 1, 0))[:, :N]  # before the first frame: silence, which is 0
        if keep_frame is not None:
            previous = previous * keep_frame[..., None]
        embedded = self.embed_units(units, n_units)

        def unit_at(place: Tensor) -> Tensor:
            place = place.clamp(max=embedded.shape[1] - 1)
            return embedded.gather(1, place[..., None].expand(-1, -1, c.text_dim))

        context = [unit_at(pointer), unit_at(pointer + 1), self.speaker(speaker)[:, None].expand(-1, N, -1)]
        counts = [frames_since(pointer)]
        if c.duration == "explicit":
            counts.append(frames_since(pointer.flip(1)).flip(1))  # the frames left
        clocks = [self.clock_table[count.clamp(max=c.clock_frames - 1)] for count in counts]
        return torch.cat([previous, *context, *clocks], dim=-1)

    def run_frames(self, inputs: Tensor) -> Tensor:
        """(B, N, input_dim) to the last layer's states (B, N, D), from the learned initial state."""
        B = inputs.shape[0]
        h0 = self.h0[:, None].expand(-1, B, -1).contiguous()
        if self.config.cell == "gru":
            return self.rnn(inputs, h0)[0]
        return self.rnn(inputs, (h0, self.c0[:, None].expand(-1, B, -1).contiguous()))[0]

    def advance_logits(self, inputs: Tensor, states: Tensor) -> Tensor:
        """(B, N): of the advance bit, from the results of `frame_inputs` and `run_frames`."""
        c = self.config
        if c.duration == "implicit":
            return self.advance(states).squeeze(-1)
        context = inputs[..., c.frame_size :][..., : c.context_dim]
        clock = inputs[..., c.frame_size + c.context_dim :][..., : c.clock_dim]
        hidden = torch.tanh(self.duration_text(context) + self.duration_clock(clock))
        return self.advance(hidden).squeeze(-1)

    def condition(self, states: Tensor) -> Tensor:
        """(…, D) states to (…, F, S) conditioning, one vector for each of a frame's samples."""
        upsampled = self.upsample(states).unflatten(-1, (self.config.frame_size, -1))
        return self.conditioning(upsampled) if self.config.upsample_rank else upsampled

    # Sample tier

    def values(self, codes: Tensor) -> Tensor:
        """Codes as float32 in [-1, 1), silence as 0; companded where they are. Exact in bfloat16 up to 256 codes."""
        middle = self.config.q_levels // 2
        return (codes - middle).to(torch.float32) / middle

    def history(self, codes: Tensor, loss_frames: Tensor | None = None) -> Tensor:
        """(B, N, F, H) int64, or (L, F, H) with `loss_frames`: the H codes before each sample, oldest first."""
        c = self.config
        padded = functional.pad(codes, (c.hist_size, 0), value=c.q_levels // 2)[:, :-1]
        # First a window of F + H - 1 codes per frame, so that only loss frames are unfolded into one of H per sample.
        windows = padded.unfold(1, c.hist_size + c.frame_size - 1, c.frame_size)
        if loss_frames is not None:
            windows = windows.flatten(0, 1)[loss_frames]
        return windows.unfold(-1, c.hist_size, 1)

    def find_pitch(self, codes: Tensor) -> pitch.Pitch:
        """The pitch (B, N) before each frame of (B, T) codes."""
        with torch.no_grad(), torch.autocast(codes.device.type, enabled=False):
            return pitch.pitch_of(self.wave_table[codes].double(), self.config)

    def taps(self, codes: Tensor, found: pitch.Pitch, loss_frames: Tensor | None = None) -> Tensor:
        """(B, N, F, J + 1), or (L, F, J + 1) with `loss_frames`: see `pitch.taps`."""
        c = self.config
        B, N = found.lag.shape
        frames = torch.arange(B * N, device=codes.device) if loss_frames is None else loss_frames
        past = pitch.past_samples(c)
        pieces = functional.pad(self.values(codes), (past, 0)).unfold(1, past + c.frame_size, c.frame_size)
        t = past + torch.arange(c.frame_size, device=codes.device).expand(len(frames), -1)
        own = pitch.Pitch(*(part.flatten()[frames] for part in found))
        taps = pitch.taps(pieces.flatten(0, 1)[frames], own, t, c)
        return taps if loss_frames is not None else taps.unflatten(0, (B, N))

    def run_samples(
        self,
        history: Tensor | None,
        conditioning: Tensor,
        taps: Tensor | None = None,
        states: Tensor | None = None,
    ) -> Tensor:
        """(…, F, H) history and (…, F, S) conditioning to logits (…, F, Q).

        With pitch taps also those, (…, F, J + 1), and the frame tier's states, (…, D).

        With `history` None: the frame tier's prediction of the whole frame without history (SampleRNN's "independent
        prediction"), which an auxiliary loss trains.
        """
        x = conditioning
        if history is not None:
            if self.config.history == "real":
                past = self.history_in(self.values(history))
                if taps is not None and states is not None:
                    past = (past + self.pitch_in(taps)) * (2 * torch.sigmoid(self.gate(states)))[..., None, :]
                x = x + past + self.last_code(history[..., -1])
            else:
                x = x + self.history_in(self.code_embedding(history).flatten(-2))
        x = functional.relu(x)
        for layer in self.hidden:
            x = functional.relu(layer(x))
        return self.output(x)


def clock_features(frames: int, dim: int) -> Tensor:
    """(frames, dim) float32: sinusoids of a frame count, with periods from 4 to 4 x `frames`, geometrically spaced.

    Reference: Vaswani et al. 2017, arXiv 1706.03762, section 3.5; the periods are ours.
    """
    with torch.device("cpu"):  # also of a model that is built without weights, on the device "meta"
        if dim == 0:
            return torch.zeros(frames, 0)
        period = 4.0 * torch.logspace(0, math.log10(frames), dim // 2, dtype=torch.float64)
        angle = 2 * math.pi * torch.arange(frames, dtype=torch.float64)[:, None] / period
        return torch.cat([angle.sin(), angle.cos()], dim=1).float()


def frames_since(pointer: Tensor) -> Tensor:
    """(B, N) int64: frames since the segment began, 0 in its first frame."""
    N = pointer.shape[1]
    place = torch.arange(N, device=pointer.device).expand_as(pointer)
    begins = functional.pad(pointer[:, 1:] != pointer[:, :-1], (1, 0), value=True)
    return place - torch.where(begins, place, 0).cummax(dim=1).values

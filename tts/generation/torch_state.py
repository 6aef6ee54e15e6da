"""What the torch engine's batch has on the device: buffers, which a CUDA graph of a frame reads and writes in place.

Letters: B places, F = frame_size, H = hist_size, D = dim, K frames of a block, R rows of the window on a text.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tts.models.config import TwoTierConfig

COUNTS = (
    *("unit", "since", "frames", "units", "max_frames", "max_unit_frames", "text_first", "durations_first"),
    "speaker",
)
"""The unit being said, frames since it began, frames made, units in all, the caps on frames and on a unit's frames, the
first unit of the window, the first unit of `durations`, the speaker's index."""


@dataclass
class State:
    """The buffers; the number of a place is the index in a dimension named B."""

    h: Tensor  # (n_rnn, B, D) float32: the frame tier's states
    c: Tensor  # (n_rnn, B, D) float32: the LSTM's cells
    codes: Tensor  # (1, B, P + F) int64: the P codes before the frame, P at least max(H, F), and the frame's own
    text: Tensor  # (1, B, R, 2 x text_dim) float32: of each unit in the window, the unit and the next one, embedded
    temperatures: Tensor  # (1, B, R) float32: of each unit in the window
    counts: Tensor  # (9, B) int64: see `COUNTS`
    timing: Tensor  # (3, B) float64: summed hazard, its threshold, duration_spread
    durations: Tensor  # (1, B, K) int64: frames of the units from `durations_first` on, negative where cut
    uniforms: Tensor  # (1, B, F + 1) float32: of the frame
    events: Tensor  # (1, B) uint8: of the frame

    @classmethod
    def empty(
        cls, config: TwoTierConfig, places: int, past: int, window: int, block_frames: int, device: torch.device
    ) -> "State":
        """So many places (B) that hold nothing; past is P, window R, block_frames K."""
        c = config

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            h=zeros(c.n_rnn, places, c.dim),
            c=zeros(c.n_rnn, places, c.dim),
            codes=zeros(1, places, past + c.frame_size, dtype=torch.int64),
            text=zeros(1, places, window, 2 * c.text_dim),
            temperatures=zeros(1, places, window) + 1,  # which divide, in free places too
            counts=zeros(len(COUNTS), places, dtype=torch.int64),
            timing=zeros(3, places, dtype=torch.float64),
            durations=zeros(1, places, block_frames, dtype=torch.int64),
            uniforms=zeros(1, places, c.frame_size + 1),
            events=zeros(1, places, dtype=torch.uint8),
        )

    def first(self, n: int) -> "State":
        """Views of the first n places."""
        return State(**{one.name: getattr(self, one.name)[:, :n] for one in fields(self)})

    def live(self) -> Tensor:
        """(B,) bool: which places hold an utterance that has not ended."""
        unit, _, frames, units, max_frames, *_ = self.counts
        return (unit < units) & (frames < max_frames)

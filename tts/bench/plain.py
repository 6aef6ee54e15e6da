"""What `tts bench` compares with: the two-tier SampleRNN, written straight from the paper.

Mehri et al. 2017, arXiv 1612.07837, section 2, with the widths of a model of ours: a GRU over frames of real values, a
linear upsampling of its own for each place of a frame, the embeddings of the last frame_size codes through one
convolution, two hidden layers, a softmax at every sample; float32. No text, no speaker, no advance bit. The paper's
weight normalization is left out, which makes this the faster.

Letters: B batch, T samples, N frames, F = frame_size, S = sample_dim, Q codes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts.models.config import TwoTierConfig


class PlainSampleRNN(nn.Module):
    """Of a config, `q_levels`, `frame_size`, `dim`, `n_rnn` and `sample_dim` count."""

    def __init__(self, config: TwoTierConfig, embedding_dim: int = 256) -> None:
        super().__init__()
        self.config = c = config
        self.expand = nn.Linear(c.frame_size, c.dim)  # equation 4
        self.rnn = nn.GRU(c.dim, c.dim, num_layers=c.n_rnn, batch_first=True)
        self.h0 = nn.Parameter(torch.zeros(c.n_rnn, c.dim))
        self.upsample = nn.Linear(c.dim, c.frame_size * c.sample_dim)  # equation 7
        self.embedding = nn.Embedding(c.q_levels, embedding_dim)
        self.history_in = nn.Conv1d(embedding_dim, c.sample_dim, c.frame_size, bias=False)  # equation 8
        self.hidden = nn.Linear(c.sample_dim, c.sample_dim)
        self.output = nn.Linear(c.sample_dim, c.q_levels)

    def forward(self, codes: Tensor) -> Tensor:
        """(B, T) int64, T a multiple of frame_size, to the logits (B, T, Q) of each given those before it."""
        c = self.config
        silence = c.q_levels // 2
        frames = (codes - silence).float().div(silence).unflatten(1, (-1, c.frame_size))
        frames = functional.pad(frames, (0, 0, 1, 0))[:, :-1]  # (B, N, F): the frame before
        state = self.h0[:, None].expand(-1, len(codes), -1).contiguous()
        states = self.rnn(self.expand(frames), state)[0]
        conditioning = self.upsample(states).view(*codes.shape, c.sample_dim)
        past = functional.pad(codes, (c.frame_size, 0), value=silence)[:, :-1]
        x = conditioning + self.history_in(self.embedding(past).transpose(1, 2)).transpose(1, 2)
        return self.output(functional.relu(self.hidden(functional.relu(x))))

    @torch.inference_mode()
    def generate(self, samples: int, generator: torch.Generator) -> Tensor:
        """Draw one stream, as PyTorch code for SampleRNN usually does: a call of each layer for each sample.

        Returns (samples,) int64 codes, so many as a multiple of frame_size; `generator` is on the CPU.
        """
        c = self.config
        silence = c.q_levels // 2
        codes = torch.full((c.frame_size + samples,), silence)
        state = self.h0[:, None].contiguous()
        for frame in range(c.frame_size, len(codes), c.frame_size):
            values = (codes[frame - c.frame_size : frame] - silence).float() / silence
            states, state = self.rnn(self.expand(values)[None, None], state)
            for place, conditioning in enumerate(self.upsample(states[0, 0]).view(c.frame_size, -1), frame):
                past = self.embedding(codes[place - c.frame_size : place])
                x = functional.relu(conditioning + self.history_in(past.T[None])[0, :, 0])
                logits = self.output(functional.relu(self.hidden(x)))
                codes[place] = torch.multinomial(logits.softmax(0), 1, generator=generator)[0]
        return codes[c.frame_size :]

    def multiply_adds(self) -> float:
        """Multiply-adds of one forward pass per sample: all matrix products."""
        c = self.config
        frame = c.frame_size * c.dim + c.n_rnn * 3 * c.dim * 2 * c.dim + c.dim * c.frame_size * c.sample_dim
        history = c.frame_size * self.embedding.embedding_dim * c.sample_dim
        return frame / c.frame_size + history + c.sample_dim * c.sample_dim + c.sample_dim * c.q_levels

"""The reference sampler: the model's own layers, one sample at a time. Slow (minutes per second), meant to be right."""

import math
from collections.abc import Generator, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tts.generation.plan import Planner
from tts.generation.request import Generated, Request, Uniforms, draw_level, timing_threshold
from tts.models.two_tier import TwoTier


class ReferenceEngine:
    """Speaks with a `TwoTier` in plain PyTorch, on the device where the model lies."""

    def __init__(self, model: TwoTier) -> None:
        self.model = model
        weights = {name: tensor.detach().cpu().float().numpy() for name, tensor in model.state_dict().items()}
        self._planner = Planner(model.config, weights) if model.config.timing == "planned" else None

    def generate(self, requests: Sequence[Request]) -> list[Generated]:
        """Make each utterance in turn."""
        return list(self.generate_each(requests))

    def generate_each(self, requests: Iterable[Request], streams: int | None = None) -> Iterator[Generated]:
        """Make one utterance after the other, whatever `streams` is."""
        for request in requests:
            yield self._whole(request)

    def _whole(self, request: Request) -> Generated:
        stream = self.stream(request)
        while True:
            try:
                next(stream)
            except StopIteration as end:
                return end.value

    @torch.inference_mode()
    def stream(self, request: Request) -> Generator[np.ndarray, None, Generated]:
        """Yield (frame_size,) int16, a frame at a time; the generator returns the whole utterance."""
        model, c = self.model, self.model.config
        device = model.h0.device
        vectors = torch.from_numpy(np.ascontiguousarray(request.words, dtype=np.float32)).to(device)
        if c.conditioning == "pooled":
            vectors = vectors.mean(0, keepdim=True)
        n_words = len(vectors)
        max_word_frames = request.max_word_frames if c.conditioning == "pointer" else request.max_frames + 1
        words = model.embed_words(vectors[None], torch.tensor([n_words], device=device))[0]  # (W + 1, text_dim)
        voice = model.speaker.weight[request.speaker]

        uniforms = Uniforms(request.seed, c.frame_size)
        silence = c.q_levels // 2
        levels = torch.full((max(c.hist_size, c.frame_size),), silence, dtype=torch.int64, device=device)
        before = len(levels)
        state = _initial_state(model)
        plan = self._planner.plan(request) if self._planner else None
        word, since, hazard, threshold, forced = 0, 0, 0.0, 0.0, 0
        word_ends: list[int] = []
        for frame in range(request.max_frames):
            row = uniforms.rows(1)[0]
            if since == 0:
                hazard, threshold = 0.0, timing_threshold(row[-1], request.sampling.timing_spread)
            heard = model.values(levels[-c.frame_size :])
            clocks = [since] if plan is None else [since, abs(plan[word]) - since - 1]
            shown = [model.clock_table[min(clock, c.clock_frames - 1)] for clock in clocks]
            step = torch.cat([heard, words[word], words[word + 1], voice, *shown])
            out, state = model.rnn(step[None, None], state)
            conditioning = model.condition(out.view(-1))
            for place in range(c.frame_size):
                past = levels[-c.hist_size :].view(1, 1, 1, -1)
                told = conditioning[place].view(1, 1, 1, -1)
                logits = model.run_samples(past, told).view(-1)
                level = draw_level(logits.cpu().numpy(), row[place], request.sampling.temperature)
                levels = torch.cat([levels, torch.tensor([level], device=device)])
            yield levels[-c.frame_size :].cpu().numpy().astype(np.int16)
            since += 1
            if plan is None:
                hazard += _softplus(model.advance(out).item())
            over = hazard > threshold if plan is None else plan[word] == since
            if over or since >= (max_word_frames if plan is None else abs(plan[word])):
                forced += not over
                word_ends.append((frame + 1) * c.frame_size)
                word, since = word + 1, 0
                if word == n_words:
                    break
        made = levels[before:].cpu().numpy().astype(np.int16)
        return Generated(made, word_ends, "stop" if word == n_words else "cap", forced)


def _initial_state(model: TwoTier) -> Tensor | tuple[Tensor, Tensor]:
    if model.config.cell == "gru":
        return model.h0[:, None]
    return model.h0[:, None], model.c0[:, None]


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))

"""Whose voice a wave is in: its speaker embedding beside those of the speakers' training recordings.

The weights are Resemblyzer's. Its wheel requires `webrtcvad`, which must be compiled and is not used here, so the
network and its input are written out below. It was trained to tell thousands of speakers apart (LibriSpeech and
VoxCeleb), never on this project's corpora. Its input is 16 kHz: the upper half of a voice of 8 kHz is empty, and so is
that of its real recordings. Compare the two.

Departures: pauses are kept, and every wave is brought to -30 dBFS, where Resemblyzer only makes quieter ones louder.

Reference: Wan et al. 2018 ("Generalized end-to-end loss for speaker verification", arXiv 1710.10467).

Letters: B waves, T samples, N frames, M mel bands, P partial utterances, D width of an embedding, K speakers.
"""

import hashlib
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torchaudio
from torch import nn

from data_recipes.sequences import Sequence as Real
from tts import audio
from tts.core.errors import InputError
from tts.core.extras import missing
from tts.evaluation.fingerprint import model_fingerprint
from tts.evaluation.judges.judge import Measure
from tts.evaluation.utterance import Score

SIMILARITY, WRONG = "speaker similarity", "wrong speaker"
NEEDS = "resemblyzer"
INSTALL = f"pip install --no-deps {NEEDS}"
RATE = 16_000
WINDOW, HOP = 400, 160
MELS, WIDTH, LAYERS = 40, 256, 3
FRAMES, STEP = 160, 77
"""Of a partial utterance, 1.6 s, and from one to the next."""
COVERED = 0.75
"""A further partial utterance is taken where the wave fills this share of it."""
LEVEL_DBFS = -30.0


class SpeakerEncoder(nn.Module):
    """Resemblyzer's network."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, WIDTH, LAYERS, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)
        # As librosa's defaults; power, not its logarithm.
        self.mels = torchaudio.transforms.MelSpectrogram(
            RATE, WINDOW, hop_length=HOP, n_mels=MELS, norm="slaney", mel_scale="slaney", pad_mode="constant"
        )

    @classmethod
    def load(cls) -> "SpeakerEncoder":
        """With the wheel's weights. Raises: InputError where it is not installed."""
        spec = None if missing(NEEDS) else find_spec(NEEDS)  # not imported: that would need webrtcvad
        if spec is None or spec.origin is None:
            raise InputError(f"this needs {NEEDS}, which is not installed; run: {INSTALL}")
        weights = torch.load(Path(spec.origin).with_name("pretrained.pt"), map_location="cpu", weights_only=True)
        encoder = cls()
        own = {name: value for name, value in weights["model_state"].items() if name.startswith(("lstm.", "linear."))}
        encoder.load_state_dict({**encoder.mels.state_dict(prefix="mels."), **own})
        return encoder

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Embeddings (P, D) of length 1, none negative, of partial utterances (P, N, M)."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)

    def partials(self, wave: np.ndarray) -> torch.Tensor:
        """The partial utterances (P, FRAMES, M) of a wave (T,) float32 at 16 kHz, zeros after its end."""
        count = 1 + max(0, int(len(wave) - COVERED * FRAMES * HOP) // (STEP * HOP))
        length = ((count - 1) * STEP + FRAMES) * HOP
        padded = np.pad(wave, (0, max(0, length - len(wave))))
        mels: torch.Tensor = self.mels(torch.from_numpy(padded))  # (M, N)
        return mels.unfold(1, FRAMES, STEP)[:, :count].permute(1, 2, 0)

    @torch.inference_mode()
    def embed(self, waves: Sequence[np.ndarray], sample_rate: int) -> np.ndarray:
        """Embeddings (B, D) of length 1: of each wave (T,) the direction of the mean over its partial utterances."""
        partials = [self.partials(_leveled(audio.resample(wave, sample_rate, RATE))) for wave in waves]
        found = self(torch.cat(partials)).split([len(part) for part in partials])
        means = torch.stack([part.mean(dim=0) for part in found])
        embeddings: np.ndarray = nn.functional.normalize(means, dim=1).numpy()
        return embeddings


def _leveled(wave: np.ndarray) -> np.ndarray:
    """A wave at `LEVEL_DBFS`, as float32; silence as it is."""
    rms = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
    scaled: np.ndarray = (wave * (10 ** (LEVEL_DBFS / 20) / rms if rms else 1.0)).astype(np.float32)
    return scaled


class SpeakerJudge:
    """How near a wave is to the speaker who should speak, and whether another one is nearer. Call `enroll` first."""

    name = "speaker"
    measures: ClassVar[dict[str, Measure]] = {
        SIMILARITY: Measure(
            "cosine of its embedding with the mean of the speaker's training recordings, 1 at most", places=3
        ),
        WRONG: Measure("share of the texts that are nearest to another speaker's mean", share=True),
    }

    def __init__(self, encoder: SpeakerEncoder | None = None) -> None:
        self.encoder = encoder or SpeakerEncoder.load()
        self.speakers: list[str] = []
        self.means = np.zeros((0, WIDTH), dtype=np.float32)  # (K, D)
        self.recordings = ""

    def enroll(self, sequences: Sequence[Real], speakers: Collection[str]) -> None:
        """Take the mean embedding of each speaker.

        Args: sequences, training recordings joined, of the speakers to tell apart; speakers, who should speak.

        Raises: InputError where there are no recordings of any of these.
        """
        self.speakers = sorted({item.speaker for item in sequences})
        if not set(self.speakers) & set(speakers):
            known = ", ".join(self.speakers) or "nobody; give them as --source"
            raise InputError(
                f"the judge speaker needs training recordings of who speaks, which is {', '.join(sorted(speakers))}, "
                f"and has those of {known}; or leave it out of --judges"
            )
        of = [[item for item in sequences if item.speaker == speaker] for speaker in self.speakers]
        found = [self.encoder.embed([x.audio for x in items], items[0].sample_rate).mean(axis=0) for items in of]
        self.means = np.stack([mean / np.linalg.norm(mean) for mean in found])
        digest = hashlib.sha256()
        for item in sequences:
            digest.update(f"{item.speaker}\0".encode() + np.ascontiguousarray(item.audio).tobytes())
        self.recordings = digest.hexdigest()

    def settings(self) -> Any:
        """What its answers depend on."""
        return [model_fingerprint(self.encoder), self.recordings]

    def __call__(self, wave: np.ndarray, sample_rate: int, said: Sequence[str], speaker: str) -> dict[str, Score]:
        """As `Judge`: nothing of a speaker without training recordings, similarity alone where there is one speaker."""
        if speaker not in self.speakers:
            return {}
        row = self.means @ self.encoder.embed([wave], sample_rate)[0]
        scores = {SIMILARITY: Score(float(row[self.speakers.index(speaker)]), 1)}
        if len(self.speakers) > 1:
            nearest = self.speakers[int(row.argmax())]
            scores[WRONG] = Score(float(nearest != speaker), 1, nearest)
        return scores

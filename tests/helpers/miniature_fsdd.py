"""A miniature of FSDD: its layout, complete for the speakers asked for, each digit a short tone of its own."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 8000


def tone(digit: int, take: int, rate: int = RATE) -> np.ndarray:
    """(T,) float32: 0.1 s or more of a tone with a DC offset, silence of the same length around it."""
    rng = np.random.default_rng([digit, take])
    count = int(rate * (0.1 + 0.001 * take))
    wave = np.sin(2 * np.pi * (200 + 100 * digit) * np.arange(count) / rate) * (0.02 + 0.01 * (take % 7))
    silence = np.zeros(count)
    whole = np.concatenate([silence, wave, silence]) + 0.01
    return (whole + 1e-4 * rng.standard_normal(len(whole))).astype(np.float32)


def write_corpus(folder: Path, speakers: tuple[str, ...] = ("theo",), rate: int = RATE) -> Path:
    """Write all 50 takes of each digit of the speakers; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for speaker in speakers:
        for digit in range(10):
            for take in range(50):
                soundfile.write(folder / f"{digit}_{speaker}_{take}.wav", tone(digit, take, rate), rate)
    return folder

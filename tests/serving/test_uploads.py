"""Recordings that change on the way."""

import io

import av
import numpy as np
import pytest
import soundfile

from tts.core.errors import InputError
from tts.serving.uploads import decoded


def mp3(channels: int) -> bytes:
    file = io.BytesIO()
    wave = np.random.default_rng(0).normal(0, 0.1, (16000, channels))
    soundfile.write(file, wave, 16000, format="MP3")
    return file.getvalue()


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_channels_that_change_are_refused(first: int, then: int) -> None:
    """Before PyAV sees them: a broken AAC of one channel and then 27 ended the process."""
    with pytest.raises(InputError, match=r"^file: its channels, sample rate or format change"):
        decoded(mp3(first) + mp3(then), 60)


def test_pieces_that_do_not_fit_together_are_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """As FFmpeg gives for some broken files, though it was asked for one layout."""

    class Resampler:
        def __init__(self, **_: object) -> None:
            self.channels = 0

        def resample(self, frame: object) -> list["Resampler"]:
            self.channels = 3 - self.channels if self.channels else 1
            return [self]

        samples = 10

        def to_ndarray(self) -> np.ndarray:
            return np.zeros((self.channels, 10), np.float32)

    monkeypatch.setattr(av, "AudioResampler", Resampler)
    with pytest.raises(InputError, match="not readable as audio"):
        decoded(mp3(1), 60)

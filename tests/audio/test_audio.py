"""Waves to codes and back, files in and out."""

import io
import os
import stat

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tts import audio
from tts.core.errors import InputError

EVEN = st.integers(2, 512).map(lambda half: 2 * half)
QUANTIZATIONS = st.sampled_from(["mu-law", "linear"])
WAVES = arrays.arrays(np.float32, st.integers(0, 50), elements=st.floats(-1, 1, width=32))


@pytest.mark.parametrize("q_levels", [16, 256, 1024])
def test_mu_law_is_torchaudio_s(q_levels):
    rng = np.random.default_rng(0)
    wave = np.concatenate([rng.uniform(-1, 1, 50_000), rng.normal(0, 0.01, 50_000), [-1, -0.0, 0, 1e-40, 1]])
    wave = wave.astype(np.float32)
    ours = audio.encode(wave, q_levels)
    theirs = torchaudio.functional.mu_law_encoding(torch.from_numpy(wave), q_levels).numpy()
    # Where log1p rounds otherwise, a value on the border between two codes may fall to either side: about one in a
    # million does, and a border runs there.
    differ = ours != theirs
    assert differ.sum() <= 2
    mu = q_levels - 1
    x = wave[differ].astype(np.float64)
    place = (np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(mu) + 1) / 2 * mu
    np.testing.assert_allclose(place % 1, 0.5, atol=1e-3)
    decoded = torchaudio.functional.mu_law_decoding(torch.arange(q_levels), q_levels).numpy()
    table = audio.decode_table(q_levels, "mu-law")
    other = np.arange(q_levels) != q_levels // 2
    np.testing.assert_allclose(table[other], decoded[other], rtol=1e-5, atol=1e-7)
    assert table[q_levels // 2] == 0 < decoded[q_levels // 2]


@given(wave=WAVES, q_levels=EVEN, quantization=QUANTIZATIONS)
@settings(max_examples=100, deadline=None)
def test_the_error_is_at_most_half_a_step(wave, q_levels, quantization):
    codes = audio.encode(wave, q_levels, quantization)
    assert codes.dtype == np.int64
    assert ((codes >= 0) & (codes < q_levels)).all()

    def companded(x):
        x = x.astype(np.float64)
        return np.sign(x) * np.log1p((q_levels - 1) * np.abs(x)) / np.log(q_levels) if quantization == "mu-law" else x

    decoded = audio.decode(codes, q_levels, quantization)
    half = 1 / (q_levels - 1)
    error = np.abs(companded(decoded) - companded(wave))
    # The middle code decodes to silence instead of to half a step above it.
    allowed = np.where(codes == q_levels // 2, 2 * half, half)
    assert (error <= allowed + 1e-5).all()


@given(q_levels=EVEN, quantization=QUANTIZATIONS)
@settings(max_examples=50, deadline=None)
def test_codes_survive_a_round_trip(q_levels, quantization):
    codes = np.arange(q_levels)
    np.testing.assert_array_equal(
        audio.encode(audio.decode(codes, q_levels, quantization), q_levels, quantization), codes
    )
    assert (np.diff(audio.decode_table(q_levels, quantization)) > 0).all()


@pytest.mark.parametrize("quantization", ["mu-law", "linear"])
def test_silence_is_the_middle_level_and_exactly_zero(quantization):
    assert audio.encode(np.zeros(3), 256, quantization).tolist() == [128] * 3
    assert (audio.decode(np.array([128]), 256, quantization) == 0).all()


def test_what_is_too_loud_is_clipped():
    assert audio.encode(np.array([-7.0, 7.0])).tolist() == [0, 255]


def test_pre_emphasis_is_torchaudios_and_taken_back():
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.standard_normal((2, 400))).astype(np.float32)
    coding = audio.Coding(4096, "linear", 0.85)
    emphasized = torchaudio.functional.preemphasis(torch.from_numpy(wave), 0.85).numpy()
    codes = coding.encode(wave)
    assert np.abs(codes - audio.encode(emphasized, 4096, "linear")).max() <= 1  # it may round on the border of two
    values = torch.from_numpy(audio.decode(codes, 4096, "linear"))
    back = torchaudio.functional.deemphasis(values, 0.85).numpy()
    np.testing.assert_allclose(coding.decode(codes), back, atol=1e-5)
    assert np.abs(coding.decode(codes) - wave).max() < 0.002 < np.abs(emphasized - wave).max()


@given(wave=WAVES, cuts=st.lists(st.integers(0, 400), max_size=5), coefficient=st.sampled_from([0.0, 0.85, 0.99]))
@settings(max_examples=50, deadline=None)
def test_pieces_joined_are_the_whole(wave, cuts, coefficient):
    coding = audio.Coding(pre_emphasis=coefficient)
    codes = coding.encode(wave)
    decoder = audio.Decoder(coding)
    pieces = [decoder(piece) for piece in np.split(codes, sorted(min(cut, len(codes)) for cut in cuts))]
    joined = np.concatenate(pieces)
    np.testing.assert_array_equal(joined, coding.decode(codes))
    assert joined.dtype == np.float32 and (np.abs(joined) <= 1).all()


@pytest.mark.parametrize(("q_levels", "quantization"), [(255, "mu-law"), (2, "mu-law"), (256, "a-law")])
def test_refused_codes(q_levels, quantization):
    with pytest.raises(InputError):
        audio.encode(np.zeros(1), q_levels, quantization)


@pytest.mark.parametrize(("name", "container"), [("a.wav", "WAV"), ("a.flac", "FLAC"), ("a.WAV", "WAV")])
def test_written_files_are_read_back(tmp_path, name, container):
    wave = np.random.default_rng(0).uniform(-1, 1, 1000).astype(np.float32)
    audio.write(tmp_path / name, wave, 8000)
    assert soundfile.info(tmp_path / name).format == container
    assert soundfile.info(tmp_path / name).subtype == "PCM_16"
    again, rate = audio.read(tmp_path / name)
    assert rate == 8000
    assert np.abs(again - wave).max() <= 2**-15
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([[0.5, 0.0], [-0.5, 0.0]]), 8000)
    assert audio.read(tmp_path / "a.wav")[0].tolist() == pytest.approx([0.25, -0.25], abs=1e-4)


def test_refused_recordings(tmp_path):
    path = tmp_path / "a.wav"
    with pytest.raises(InputError, match="no audio file"):
        audio.read(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        audio.read(path)
    path.write_bytes(b"this is no sound at all, but it is long enough to be looked at")
    with pytest.raises(InputError, match="not readable as audio"):
        audio.read(path)
    soundfile.write(path, np.zeros(0), 8000)
    with pytest.raises(InputError, match="no samples"):
        audio.read(path)
    soundfile.write(path, np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    with pytest.raises(InputError, match="NaN"):
        audio.read(path)


def test_loud_samples_are_clipped_not_wrapped(tmp_path):
    audio.write(tmp_path / "a.wav", np.array([1.0, 1.5, -1.0, -1.5], np.float32), 8000)
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], [1, 1, -1, -1], atol=2**-14)


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        audio.write(tmp_path / "a.wav", np.zeros(8, np.float32), 8000)
    finally:
        assert os.umask(before) == 0o027
    assert stat.S_IMODE((tmp_path / "a.wav").stat().st_mode) == 0o640


def test_refused_outputs(tmp_path):
    wave = np.zeros(8, np.float32)
    (tmp_path / "old.wav").write_bytes(b"old")
    (tmp_path / "folder.wav").mkdir()
    for name, message in (
        ("a.mp3", r"must end in \.wav or \.flac"),
        ("a", "must end in"),
        ("folder.wav", "is a folder"),
        ("missing/a.wav", "does not exist"),
        ("old.wav", "exists; choose another name or give --force"),
    ):
        with pytest.raises(InputError, match=message):
            audio.write(tmp_path / name, wave, 8000)
    assert (tmp_path / "old.wav").read_bytes() == b"old"
    audio.write(tmp_path / "old.wav", wave, 8000, force=True)
    assert (tmp_path / "old.wav").read_bytes()[:4] == b"RIFF"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.wav", "old.wav"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="read-only"):
        audio.write(tmp_path / "a.wav", np.zeros(8, np.float32), 8000)
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_noise_is_written_for_what_is_not_finite(tmp_path, bad):
    with pytest.raises(AssertionError):
        audio.write(tmp_path / "a.wav", np.array([0.0, bad], np.float32), 8000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left on device"), InputError)],
)
def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch, raised, seen):
    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(seen, match="No space left" if seen is InputError else None):
        audio.write(tmp_path / "a.wav", np.zeros(8, np.float32), 8000)
    assert list(tmp_path.iterdir()) == []


def test_a_wav_file_is_what_libsndfile_writes():
    """Byte for byte, also where samples are between two integers, at full scale and beyond."""
    edges = [k / 32768 + offset for k in (-32768, -2, -1, 0, 1, 32767) for offset in (0, 0.4e-5, -0.4e-5, 1.5e-5)]
    drawn = np.random.default_rng(0).uniform(-1.2, 1.2, 50_000)
    wave = np.concatenate([edges, [1, -1, 1.5, -1.5, 0.99999997], drawn]).astype(np.float32)
    expected = io.BytesIO()
    soundfile.write(expected, wave, 8000, format="WAV", subtype="PCM_16")
    assert audio.to_bytes(wave, 8000) == expected.getvalue()


def test_a_stream_in_pieces_is_the_file(tmp_path):
    """In memory and in a file, where the header can be corrected, the bytes are those of a whole file."""
    wave = np.random.default_rng(0).uniform(-1, 1, 1000).astype("f")
    whole = audio.to_bytes(wave, 8000)
    buffer = io.BytesIO()
    with audio.wav_stream(buffer, 8000) as write:
        for piece in np.split(wave, [1, 300, 999]):
            write(piece)
    assert buffer.getvalue() == whole
    with (tmp_path / "x.wav").open("wb") as file, audio.wav_stream(file, 8000):
        pass
    assert (tmp_path / "x.wav").read_bytes() == b""
    with (tmp_path / "x.wav").open("wb") as file:
        file.write(b"before")
        with audio.wav_stream(file, 8000) as write:
            write(wave)
        file.write(b"after")
    assert (tmp_path / "x.wav").read_bytes() == b"before" + whole + b"after"
    with open("/dev/null", "wb") as file, audio.wav_stream(file, 8000) as write:
        write(wave)
    read, pipe = os.pipe()
    with os.fdopen(pipe, "wb") as file, audio.wav_stream(file, 8000) as write:
        write(wave)
    with os.fdopen(read, "rb") as file:
        piped = file.read()
    assert piped[44:] == whole[44:]
    assert piped[:4] + piped[8:40] == whole[:4] + whole[8:40]
    assert piped[4:8] == piped[40:44] == b"\xff" * 4

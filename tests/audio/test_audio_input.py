"""The one reader of recordings: headers, pipes, values, channels, rates; bad files among good ones."""

import argparse
import io
import itertools
import os
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile
import soxr

from data_recipes import fsdd
from tts import audio
from tts.cli import recognize as cli
from tts.core.errors import InputError
from tts.recognition.model import Recognizer

COUNT = 800
PLACEHOLDERS = [0, 10**9, 10**9 + 36, 2 * 10**9, 2 * 10**9 - 8, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]
LIST = b"LIST" + struct.pack("<I", 4) + b"INFO"
FORM = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)


def samples(count=COUNT):
    return np.arange(count, dtype=np.int16) * 7 + 1


def wav(riff_size=None, data_size=None, before=b"", after=b"", content=None):
    """A 16-bit mono WAV file; sizes None are the true ones."""
    content = samples().astype("<i2").tobytes() if content is None else content
    body = b"WAVE" + FORM + before + b"data"
    body += struct.pack("<I", len(content) if data_size is None else data_size) + content + after
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def rf64(riff_size, data_size):
    content = samples().astype("<i2").tobytes()
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, riff_size, data_size, COUNT, 0)
    return b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + ds64 + FORM + b"data\xff\xff\xff\xff" + content


def read_bytes(tmp_path, data, name="a.wav"):
    (tmp_path / name).write_bytes(data)
    return audio.read(tmp_path / name)


def assert_whole(wave, count=COUNT):
    np.testing.assert_array_equal((wave * 32768).round(), samples(count))


@pytest.mark.parametrize(("riff_size", "data_size"), itertools.product([*PLACEHOLDERS, None], PLACEHOLDERS))
@pytest.mark.parametrize("before", [b"", LIST])
def test_placeholder_sizes_are_read_to_the_end(tmp_path, riff_size, data_size, before):
    assert_whole(read_bytes(tmp_path, wav(riff_size, data_size, before))[0])


@pytest.mark.parametrize("riff_size", [36, *PLACEHOLDERS])
def test_a_true_data_size_is_believed_whatever_the_riff_size(tmp_path, riff_size):
    assert_whole(read_bytes(tmp_path, wav(riff_size, None, after=LIST))[0])


@pytest.mark.parametrize(("riff_size", "data_size"), [(36, 0), (36, 0xFFFFFFFF), (1000, 10**9)])
def test_a_riff_size_below_the_files_is_no_end(tmp_path, riff_size, data_size):
    """Python's `wave` writes 36 and 0 into a pipe."""
    assert_whole(read_bytes(tmp_path, wav(riff_size, data_size))[0])


@pytest.mark.parametrize("riff_size", [None, *PLACEHOLDERS])
@pytest.mark.parametrize("data_size", [2 * COUNT + 1, 10**6, 10**9 - 10**5, 2 * 10**9 + 10**5])
def test_a_file_with_less_than_its_data_size_is_cut_short(tmp_path, riff_size, data_size):
    with pytest.raises(InputError, match=rf"a\.wav: the file is cut short.*{data_size} bytes of audio, and 1600"):
        read_bytes(tmp_path, wav(riff_size, data_size))


@pytest.mark.parametrize("data_size", PLACEHOLDERS)
def test_a_true_riff_size_shows_that_a_streamed_file_was_cut(tmp_path, data_size):
    with pytest.raises(InputError, match="cut short"):
        read_bytes(tmp_path, wav(5000, data_size))


@pytest.mark.parametrize("left", range(8, 44))
def test_a_header_that_was_cut(tmp_path, left):
    with pytest.raises(InputError, match="cut short"):
        read_bytes(tmp_path, wav()[:left])


@pytest.mark.parametrize("after", [b"", LIST, b"\0", LIST + LIST])
def test_no_samples_and_a_size_of_0_is_no_placeholder(tmp_path, after):
    with pytest.raises(InputError, match="holds no samples"):
        read_bytes(tmp_path, wav(content=b"", after=after))


@pytest.mark.parametrize("after", [b"", b"\0", LIST, b"\0" + LIST])
def test_odd_sizes_and_trailing_chunks_are_left_alone(tmp_path, after):
    """8-bit audio of 799 bytes, with and without the byte of padding, and a chunk behind it."""
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    body = b"WAVE" + form + b"data" + struct.pack("<I", 799) + bytes([130]) * 799 + after
    wave, _ = read_bytes(tmp_path, b"RIFF" + struct.pack("<I", len(body)) + body)
    assert len(wave) == 799 and set(wave.tolist()) == {2 / 128}


@pytest.mark.parametrize(
    ("riff_size", "data_size"),
    [(2 * COUNT + 72, 2 * COUNT), (0, 0), (2**64 - 1, 2**64 - 1), (0xFFFFFFFF, 0xFFFFFFFF), (72, 0)],
)
def test_rf64(tmp_path, riff_size, data_size):
    assert_whole(read_bytes(tmp_path, rf64(riff_size, data_size))[0])


def test_rf64_cut_short(tmp_path):
    with pytest.raises(InputError, match="cut short"):
        read_bytes(tmp_path, rf64(10**7, 10**7 - 72))


def flac(frames=None):
    """FLAC of 20,000 noisy samples; `frames` replaces the number in its header (the low 36 bits of bytes 18 to 26)."""
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000).astype(np.float32)
    data = bytearray(audio.to_bytes(wave, 8000, "FLAC"))
    if frames is not None:
        field = int.from_bytes(data[18:26], "big")
        data[18:26] = ((field >> 36 << 36) | frames).to_bytes(8, "big")
    return bytes(data)


def test_streamed_flac_states_no_length(tmp_path):
    assert len(read_bytes(tmp_path, flac(0), "a.flac")[0]) == 20_000


@pytest.mark.parametrize("frames", [20_001, 100_000, 2**36 - 1])
def test_flac_with_less_than_it_states_is_cut_short(tmp_path, frames):
    with pytest.raises(InputError, match=r"a\.flac: "):
        read_bytes(tmp_path, flac(frames), "a.flac")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_flac_that_was_cut(tmp_path, share):
    with pytest.raises(InputError, match=r"a\.flac: "):
        read_bytes(tmp_path, flac()[: int(len(flac()) * share)], "a.flac")


@pytest.mark.parametrize(
    ("value", "says"),
    [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite"), (1e300, "infinite"), (1001, "divide"),
     (-32768, "divide"), (3e38, "divide")],
)  # fmt: skip
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_out_of_range_name_the_file(tmp_path, value, says, subtype):
    path = tmp_path / "loud.wav"
    with np.errstate(over="ignore"):
        soundfile.write(path, np.array([0.0, value, 0.1]), 8000, subtype=subtype)
    with pytest.raises(InputError, match=says) as error:
        audio.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("peak", [1.0, 1.4, 999.0])
def test_floating_point_above_full_scale_is_kept(tmp_path, peak):
    soundfile.write(tmp_path / "a.wav", np.array([0.0, peak, -peak]), 8000, subtype="FLOAT")
    assert audio.read(tmp_path / "a.wav")[0].tolist() == pytest.approx([0, peak, -peak])


@pytest.mark.parametrize(
    ("offset", "form", "value", "says"),
    [(24, "<I", 1, "1 Hz"), (24, "<I", 999, "999 Hz"), (24, "<I", 10**9, "1000000000 Hz"), (24, "<I", 0, "a.wav"),
     (22, "<H", 1024, "channels"), (22, "<H", 65, "channels"), (22, "<H", 65535, "a.wav"), (22, "<H", 0, "a.wav")],
)  # fmt: skip
def test_absurd_headers_are_refused_in_one_line(tmp_path, offset, form, value, says):
    data = bytearray(wav(content=bytes(2048 * 4)))
    struct.pack_into(form, data, offset, value)
    if offset == 22 and value in (65, 1024):
        struct.pack_into("<H", data, 32, 2 * value)
    with pytest.raises(InputError, match=says) as error:
        read_bytes(tmp_path, data)
    assert "a.wav" in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 400


def test_too_large_a_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(audio.files, "MAX_BYTES", len(wav()) - 1)
    with pytest.raises(InputError, match="larger than"):
        read_bytes(tmp_path, wav())
    monkeypatch.setattr(audio.files, "MAX_BYTES", len(wav()))
    assert_whole(read_bytes(tmp_path, wav())[0])


def test_too_many_samples_in_a_small_file_are_refused(tmp_path, monkeypatch):
    """A minute of silence takes a few hundred bytes of FLAC."""
    monkeypatch.setattr(audio.files, "MAX_SAMPLES", 10_000)
    soundfile.write(tmp_path / "a.flac", np.zeros((6000, 2)), 8000)
    with pytest.raises(InputError, match="more than 10000 samples"):
        audio.read(tmp_path / "a.flac")
    soundfile.write(tmp_path / "b.flac", np.zeros((5000, 2)), 8000)
    assert len(audio.read(tmp_path / "b.flac")[0]) == 5000


@pytest.mark.parametrize("gain", [-1.0, -0.8])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_channels_that_cancel_out_are_not_averaged(tmp_path, capsys, gain, offset):
    tone = 0.5 * np.sin(np.arange(4000) / 5)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([gain * tone + offset, tone + offset], axis=1), 8000, subtype="FLOAT")
    wave, _ = audio.read(path)
    error = capsys.readouterr().err
    np.testing.assert_allclose(abs(wave - offset), abs(tone), atol=1e-6)
    assert error.count("\n") == 1 and str(path) in error and "opposite phase" in error


@pytest.mark.parametrize("channels", [2, 6, 64])
@pytest.mark.parametrize("kind", ["alike", "unrelated", "one of them", "silent"])
def test_other_channels_are_averaged_without_a_word(tmp_path, capsys, channels, kind):
    wave = 0.1 * np.random.default_rng(0).standard_normal((4000, channels))
    if kind == "alike":
        wave[:] = wave[:, :1]
    elif kind == "one of them":
        wave[:, 1:] = 0
    elif kind == "silent":
        wave[:] = 0
    soundfile.write(tmp_path / "a.wav", wave, 8000, subtype="FLOAT")
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], wave.mean(axis=1), atol=1e-6)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("rate", [1000, 7999, 11025, 44100, 47_999, 383_987])
def test_any_rate_is_resampled_by_soxr(monkeypatch, rate):
    """The rates of most of these have no divisor in common with 8000; torchaudio takes minutes for that."""
    calls = []

    def watched(wave, from_rate, to_rate):
        calls.append((from_rate, to_rate))
        return original(wave, from_rate, to_rate)

    original = soxr.resample
    monkeypatch.setattr(soxr, "resample", watched)
    tone = np.sin(2 * np.pi * 300 * np.arange(rate) / rate).astype(np.float32) + np.float32(0.2)
    wave = audio.resample(tone, rate, 8000)
    assert calls == [(rate, 8000)]
    assert wave.dtype == np.float32 and len(wave) == pytest.approx(8000, abs=1)
    expected = np.sin(2 * np.pi * 300 * np.arange(len(wave)) / 8000) + 0.2
    np.testing.assert_allclose(wave[800:-800], expected[800:-800], atol=2e-3)


@pytest.mark.parametrize("count", [0, 1, 2, 10])
def test_resampling_very_little(count):
    assert np.isfinite(audio.resample(np.full(count, 0.5, np.float32), 48_000, 8000)).all()


def test_the_recognizer_and_the_recipes_resample_by_it(monkeypatch):
    assert fsdd.resample is audio.resample and fsdd.read_channels is audio.read_channels
    calls = []
    original = audio.resample
    monkeypatch.setattr(audio, "resample", lambda *args: calls.append(args[1:]) or original(*args))
    Recognizer.load().recognize([np.zeros(47_999, np.float32)], 47_999)
    assert calls == [(47_999, 8000)]


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_a_fifo_is_read(tmp_path, container):
    data = audio.to_bytes(samples().astype(np.float32) / 32768, 8000, container)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(data), daemon=True)
    writer.start()
    assert_whole(audio.read(path)[0])
    writer.join()


@pytest.mark.parametrize("data", [wav(), wav(0xFFFFFFFF, 0xFFFFFFFF)])
def test_standard_input_is_read(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert_whole(audio.read("-")[0])
    with pytest.raises(InputError, match="standard input: the file is empty"):
        audio.read("-")


def test_closed_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input: cannot be read"):
        audio.read("-")


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte", ".", "a/b"])
def test_names_that_cannot_be_opened(tmp_path, name):
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError) as error:
        audio.read(f"{tmp_path}/{name}")
    assert "\n" not in str(error.value)


def recognize(*arguments):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.run(parser.parse_args([str(x) for x in arguments]))


def test_a_bad_file_costs_only_itself(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tts.recognition.files.FILES_AT_ONCE", 3)
    names = ["good0.wav", "cut.wav", "good1.wav", "missing.wav", "text.wav", "inf.wav", "good2.wav", "folder.wav"]
    for name in names:
        if name.startswith("good"):
            audio.write(tmp_path / name, np.zeros(8000, np.float32), (8000, 16000, 47_999)[int(name[4])])
    (tmp_path / "cut.wav").write_bytes(wav()[:500])
    (tmp_path / "text.wav").write_text("no audio at all")
    soundfile.write(tmp_path / "inf.wav", np.array([np.inf, 0]), 8000, subtype="FLOAT")
    (tmp_path / "folder.wav").mkdir()
    assert recognize(*(tmp_path / name for name in names)) == 2
    output = capsys.readouterr()
    good = [name for name in names if name.startswith("good")]
    assert [line.split("\t")[0] for line in output.out.splitlines()] == [str(tmp_path / name) for name in good]
    errors = output.err.splitlines()
    bad = [name for name in names if name not in good]
    assert len(errors) == len(bad)
    assert all(line.startswith("tts: error: ") and name in line for line, name in zip(errors, bad, strict=True))


def test_only_good_files_exit_with_0_and_only_bad_ones_with_2(tmp_path, capsys):
    audio.write(tmp_path / "good.wav", np.zeros(8000, np.float32), 8000)
    assert recognize(tmp_path / "good.wav") == 0
    assert capsys.readouterr().err == ""
    assert recognize(tmp_path / "a.wav", tmp_path / "b.wav") == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 2


def test_the_command_reads_a_pipe_and_a_process_substitution(tmp_path):
    audio.write(tmp_path / "a.wav", np.zeros(4000, np.float32), 47_999)
    command = f"cat a.wav | {sys.executable} -m tts recognize - <(cat a.wav)"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    names = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert names[0] == "-" and names[1].startswith("/dev/fd/")

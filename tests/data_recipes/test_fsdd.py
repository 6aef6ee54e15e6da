"""The FSDD recipe: what it prepares, and what it refuses."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.miniature_fsdd import RATE, tone, write_corpus

from data_recipes.corpus import PEAK_LIMIT, Recording, RecordingOptions, frame_levels, prepare
from data_recipes.fsdd import SPEAKERS, build_recordings, load_corpus, split_of_take
from tts.core.errors import InputError

THEO = ("theo",)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("fsdd"))


@pytest.fixture
def corpus(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "recordings")


@pytest.fixture
def real(fsdd_recordings: dict[str, list[Recording]]) -> dict[str, list[Recording]]:
    return fsdd_recordings


def test_splits_by_take_and_order(corpus: Path) -> None:
    splits = build_recordings(corpus, speakers=THEO)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 420, "validation": 30, "test": 50}
    for name, rows in splits.items():
        assert [row.id for row in rows] == [f"{row.digit}_theo_{row.take}" for row in rows]
        assert all(split_of_take(row.take) == name for row in rows)
        assert [(row.digit, row.take) for row in rows] == sorted((row.digit, row.take) for row in rows)
    assert {row.take for row in splits["test"]} == {0, 1, 2, 3, 4}


def test_repository_root_is_a_source_too(corpus: Path) -> None:
    by_root, by_folder = build_recordings(corpus.parent, speakers=THEO), build_recordings(corpus, speakers=THEO)
    assert all(np.array_equal(a.audio, b.audio) for a, b in zip(by_root["test"], by_folder["test"], strict=True))


def test_prepared_recording_is_trimmed_leveled_centered_and_faded(corpus: Path) -> None:
    for row in build_recordings(corpus, speakers=THEO)["train"][::37]:
        tone_seconds = 0.1 + 0.001 * row.take
        assert row.audio.dtype == np.float32
        assert abs(len(row.audio) / RATE - (tone_seconds + 2 * 0.020)) < 0.025
        levels = frame_levels(row.audio, RATE)
        active = levels[levels > levels.max() - 20]
        assert 10 * np.log10(np.mean(10 ** (active / 10))) == pytest.approx(-20, abs=0.3)
        assert abs(row.audio.mean()) < 1e-3
        assert abs(row.audio[0]) < 2e-3 and abs(row.audio[-1]) < 2e-3


def test_options_switch_each_step_off() -> None:
    wave = tone(3, 4)
    plain = RecordingOptions(remove_dc=False, trim=False, level_dbfs=None, fade_seconds=0)
    assert np.array_equal(prepare(wave, plain), wave)
    assert abs(prepare(wave, dataclasses.replace(plain, remove_dc=True)).mean()) < 1e-6
    assert len(prepare(wave, dataclasses.replace(plain, trim=True))) < len(wave) / 2
    assert prepare(wave, dataclasses.replace(plain, fade_seconds=0.005))[0] == pytest.approx(wave[0] / 80)


def test_peak_stays_under_full_scale() -> None:
    wave = np.zeros(RATE // 2, np.float32)
    wave[1000:3000] = 0.01
    wave[1000:3000:400] = 0.9  # spikes: at the level of the options they would clip
    audio = prepare(wave, RecordingOptions(level_dbfs=0.0))
    assert audio is not None and np.abs(audio).max() <= PEAK_LIMIT + 1e-6


def test_lone_clicks_at_the_ends_are_cut_and_the_closing_burst_kept() -> None:
    rng = np.random.default_rng(0)
    wave = 1e-4 * rng.standard_normal(2 * RATE).astype(np.float32)
    wave[4000:6400] += np.sin(np.arange(2400) * 0.3).astype(np.float32) * 0.2  # 0.5-0.8 s
    wave[7200:7360] += 0.05 * rng.standard_normal(160).astype(np.float32)  # burst 0.1 s later, as in "eight"
    wave[3200:3280] += 0.05  # click 0.1 s before
    wave[-80:] += 0.05  # click at the end
    audio = prepare(wave, RecordingOptions())
    assert audio is not None
    assert len(audio) / RATE == pytest.approx(0.42 + 2 * 0.02, abs=0.025)


def test_a_fricative_forty_db_under_the_vowel_is_kept() -> None:
    rng = np.random.default_rng(0)
    vowel = 0.3 * np.sin(2 * np.pi * 300 * np.arange(1600) / RATE)
    hiss = 0.02 * np.diff(rng.standard_normal(1601)) * 0.14  # high-pass noise, 0.004 RMS
    wave = np.concatenate([np.zeros(1600), hiss, vowel, np.zeros(1600)]) + 2e-4 * rng.standard_normal(6400)
    audio = prepare(wave.astype(np.float32), RecordingOptions())
    assert audio is not None and len(audio) >= 3200


def test_other_rates_and_channels_are_converted_and_said(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = build_recordings(corpus, speakers=THEO)
    wave = tone(4, 7, 16000)
    soundfile.write(corpus / "4_theo_7.wav", np.stack([wave, wave], axis=1), 16000)
    capsys.readouterr()
    after = load_corpus(corpus, speakers=THEO)
    error = capsys.readouterr().err
    assert "1 of 500 files had several channels" in error and "1 of 500 files were resampled to 8000 Hz" in error
    assert {"channels", "resampled"} <= {word for note in after.notes for word in note.replace(";", "").split()}
    (old,) = (row for row in before["validation"] if row.id == "4_theo_7")
    (new,) = (row for row in after.splits["validation"] if row.id == "4_theo_7")
    assert new.sample_rate == RATE and len(new.audio) == pytest.approx(len(old.audio), abs=200)


def test_foreign_files_are_left_out_and_said(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (corpus / "notes.txt").write_text("hello")
    soundfile.write(corpus / "1_jason_0.wav", tone(1, 0), RATE)
    assert len(build_recordings(corpus, speakers=THEO)["train"]) == 420
    assert "2 files in the source are not part of the corpus" in capsys.readouterr().err


def test_another_revision_is_said(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build_recordings(corpus, speakers=THEO)
    assert "not those of revision 26eb9aa in 10 of 10 digits" in capsys.readouterr().err


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _silent(path: Path) -> None:
    soundfile.write(path, np.full(1000, 0.25, np.float32), RATE)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "says"), [(_cut, "truncated"), (_silent, "only silence"), (_folder, "cannot be read")]
)
def test_a_file_that_cannot_be_used_is_named(corpus: Path, spoil, says: str) -> None:
    spoil(corpus / "7_theo_3.wav")
    with pytest.raises(InputError, match=f"7_theo_3.wav: .*{says}") as caught:
        build_recordings(corpus, speakers=THEO)
    assert "\n" not in str(caught.value)


def test_missing_takes_are_named(corpus: Path) -> None:
    for take in range(7):
        (corpus / f"5_theo_{take}.wav").unlink()
    with pytest.raises(InputError, match=r"7 of 500 recordings are missing: 5_theo_0.wav, .*5_theo_4.wav, \.\.\."):
        build_recordings(corpus, speakers=THEO)
    with pytest.raises(InputError, match=r"2507 of 3000 recordings are missing: 0_george_0.wav"):
        build_recordings(corpus)


@pytest.mark.parametrize("speakers", [("nobody",), ()])
def test_unknown_or_no_speakers_are_refused(corpus: Path, speakers: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="george, jackson, lucas, nicolas, theo, yweweler"):
        build_recordings(corpus, speakers=speakers)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        build_recordings(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "bad",
    [
        {"sample_rate": 10},
        {"trim_floor_db": -10.0},
        {"trim_margin_db": -1.0},
        {"denoise_db": 90.0},
        {"pad_seconds": float("nan")},
        {"fade_seconds": -0.1},
        {"level_dbfs": 3.0},
    ],
)
def test_options_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        RecordingOptions(**bad)


@pytest.mark.slow
def test_real_corpus_is_whole_and_the_pinned_one(fsdd_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = load_corpus(fsdd_dir)
    assert {name: len(rows) for name, rows in corpus.splits.items()} == {"train": 2520, "validation": 180, "test": 300}
    assert corpus.notes == [] and capsys.readouterr().err == ""


@pytest.mark.slow
def test_real_recordings_are_level_short_and_sound(real: dict[str, list[Recording]]) -> None:
    rows = [row for split in real.values() for row in split]
    assert {row.speaker for row in rows} == set(SPEAKERS)
    seconds = np.array([len(row.audio) for row in rows]) / 8000
    assert seconds.min() > 0.11 and seconds.max() < 1.0  # the longest file is 2.28 s, most of it silence
    assert 1150 < seconds.sum() < 1250
    assert max(np.abs(row.audio).max() for row in rows) <= PEAK_LIMIT + 1e-6
    assert max(abs(float(row.audio.mean())) for row in rows) < 0.01
    for speaker in SPEAKERS:
        loudness = [frame_levels(row.audio, 8000).max() for row in rows if row.speaker == speaker]
        assert -20 < np.mean(loudness) < -13

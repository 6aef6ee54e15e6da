"""`tts bench`: what it measures, what it prints and writes, and the mistakes that it refuses before it measures."""

import json
import os
from pathlib import Path

import pytest
import torch

import tts
from tts.bench import report as reports
from tts.bench import rows, timing
from tts.bench.plain import PlainSampleRNN
from tts.cli.main import main, make_parser


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    return tmp_path


def bench(voice_folder, *arguments):
    return main(["bench", "--voice", str(voice_folder), "--seconds", "0.01", *map(str, arguments)])


def test_a_row_is_measured(here, voice_folder, capsys):
    """The real thing, in miniature: processes, timer, memory."""
    assert bench(voice_folder, "--rows", "native", "--out", "b.json") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    report = json.loads(Path("b.json").read_text())
    (row,) = report["rows"]
    limit = report["limits"]["one"]["samples_per_second"]
    assert row["share_of_limit"] == pytest.approx(row["samples_per_second"] / limit)
    assert report["limits"]["isa"] in ("v2", "v3", "v4", "neon")
    assert row["samples"] == len(tts.load_voice(voice_folder).speak(rows.TEXT).samples)
    assert row["samples_per_second"] == pytest.approx(row["samples"] / row["run_median_s"])
    assert row["times_real_time"] == pytest.approx(row["samples_per_second"] / 8000)
    assert 0 < row["first_audio_ms"] < 10_000
    assert row["streams"] == 1
    assert 30 < row["memory_mb"] < 400  # torch would make it more
    settings = {"voice": "small", "seconds": 0.01, "streams": 32, "torch_streams": 256, "threads": None}
    assert report["settings"] == settings
    assert report["versions"]["torch"] == torch.__version__.split("+")[0]
    assert report["machine"]["cores"] >= 1
    for part in ("Voice small, 8000 Hz", row["title"], f"{row['samples_per_second']:,.0f}"):
        assert part in captured.out


@pytest.mark.slow
def test_what_rows_measure(here, voice_folder, monkeypatch):
    """In this process, which therefore keeps its cores."""
    kept = []
    monkeypatch.setattr(rows, "_stay_on", kept.append)
    settings = rows.Settings(str(voice_folder), 0.01, 2, 3, None)
    one = rows._measure("torch", settings)
    assert one["samples"] == rows.TORCH_SECONDS * 8000
    assert one["first_audio_ms"] > 0
    assert rows._measure("torch-many", settings)["samples"] == 3 * one["samples"]
    many = rows._measure("native-many", settings)
    assert kept == [1, None, None]
    texts = [rows.TEXT] * 8
    voice = tts.load_voice(voice_folder)
    assert many["samples"] == sum(len(one.samples) for one in voice.speak_batch(texts, ["ann", "bob"] * 4))
    assert "first_audio_ms" not in many
    assert many["memory_mb"] > 30


def test_the_peer_is_as_wide_as_the_voice_and_repeats_its_draws(voice_folder, monkeypatch):
    monkeypatch.setattr(rows, "_stay_on", lambda _: None)
    state = torch.get_rng_state()
    metrics = rows._measure("plain", rows.Settings(str(voice_folder), 0.01, 2, 3, None))
    assert metrics["samples"] == rows.TORCH_SECONDS * 8000
    assert metrics["samples_per_second"] > 0
    assert torch.equal(torch.get_rng_state(), state)
    peer = PlainSampleRNN(tts.load_voice(voice_folder).config.model).eval()
    one, again, other = (peer.generate(64, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    with torch.no_grad():
        peer.output.bias[7] = 100.0
    assert (peer.generate(32, torch.Generator().manual_seed(1)) == 7).all()


@pytest.mark.parametrize("name", ["help", "cold"])
def test_starts(voice_folder, monkeypatch, name):
    asked = []
    monkeypatch.setattr(rows.subprocess, "run", lambda command, **_: asked.append(command))
    metrics = rows._measure(name, rows.Settings(str(voice_folder), 0.001, 2, 3, None))
    assert metrics["runs"] >= 1
    command = asked[0]
    if name == "help":
        assert command[1:] == ["-m", "tts", "--help"]
    else:
        assert command[1:7] == ["-m", "tts", "speak", "4 7 2", "--voice", str(voice_folder)]


def test_a_row_that_fails_leaves_the_others(here, voice_folder, monkeypatch, capsys):
    settings = rows.Settings("nowhere", 0.01, 2, 3, None)
    failed = rows.measure_in_process("native", settings)
    assert "there is no voice 'nowhere'" in failed["failed"]
    monkeypatch.setattr(reports, "measure_in_process", lambda name, _: dict(METRICS[name]))
    monkeypatch.setattr(reports, "measure_limits", lambda _: dict(LIMITS))
    assert bench(voice_folder, "--rows", "native-many,native", "--markdown", "b.md") == 1
    assert "failed: MemoryError" in capsys.readouterr().out
    assert "| native, one stream on one core | 1 | 160,000 | 20.0 | 3.2 ms | 95 MB | 45 % |" in Path("b.md").read_text()


METRICS = {
    "torch": {"streams": 1, "samples_per_second": 1234.5, "times_real_time": 0.154, "first_audio_ms": 130.0}
    | {"memory_mb": 600.2},
    "native": {"streams": 1, "samples_per_second": 160_000.0, "times_real_time": 20.0, "first_audio_ms": 3.21}
    | {"memory_mb": 95.3},
    "native-many": {"streams": 32, "failed": "MemoryError"},
    "help": {"seconds": 0.1234, "runs": 50},
    "cold": {"failed": "it broke"},
}
LIMITS = {
    "alone": {"L1": 31.84e9, "L2": 30e9, "memory": 15e9},
    "fourfold": {"L1": 63e9, "L2": 57e9, "memory": 22e9},
    "parts": {
        "frame": {"dense": 1000.0, "effective": 1000.0, "bytes_held": 2048},
        "output": {"dense": 600.0, "effective": 234.5, "bytes_held": 4096},
    },
    "one": {
        "levels": {"frame": "L2", "output": "L1"},
        "seconds": {"frame": 1e-6, "output": 2e-6},
        "samples_per_second": 355_555.0,
    },
    "many": {"seconds": {"frame": 5e-7, "output": 2e-6}, "samples_per_second": 400_000.0},
}
for name, metrics in METRICS.items():
    metrics |= {"row": name, "title": rows.ROWS[name].title}


def test_tables(here, voice_folder, monkeypatch, capsys):
    monkeypatch.setattr(reports, "measure_in_process", lambda name, _: dict(METRICS[name]))
    monkeypatch.setattr(reports, "measure_limits", lambda _: dict(LIMITS))
    assert bench(voice_folder, "--rows", ",".join(METRICS), "--markdown", "b.md") == 1
    out = capsys.readouterr().out
    about, speech, starts, rates, parts = out.strip().split("\n\n")
    assert about.startswith("Voice small, 8000 Hz; ")
    header, plain, native, many = speech.splitlines()
    assert header.split()[:3] == ["engine", "streams", "samples/s"]
    assert "1,234" in plain
    assert "0.15" in plain
    assert native.endswith("45 %")
    assert len(native) == len(header)
    assert many.endswith("32  failed: MemoryError")
    assert starts.splitlines()[1].split() == ["tts", "--help", "0.12", "50"]
    assert "failed: it broke" in starts
    assert rates.splitlines()[1].split()[-3:] == ["31.8", "30.0", "15.0"]
    assert parts.splitlines()[2].split() == ["output", "600", "234", "4", "KB", "L1", "2,000", "ns", "2,000", "ns"]
    assert parts.splitlines()[3].split() == ["all", "1,600", "1,234", "6", "KB", "2,813", "ns", "2,500", "ns"]
    page = Path("b.md").read_text()
    assert page.startswith("# What `tts bench` measured\n")
    cells = [line.count("|") for line in page.splitlines() if line.startswith("|")]
    assert cells == [8] * 5 + [4] * 4 + [5] * 4 + [8] * 5


def test_a_busy_machine_brings_a_warning(here, voice_folder, monkeypatch, capsys):
    monkeypatch.setattr(os, "getloadavg", lambda: (1.94, 0.0, 0.0))
    monkeypatch.setattr(reports, "measure_in_process", lambda name, _: dict(METRICS[name]))
    monkeypatch.setattr(reports, "measure_limits", lambda _: dict(LIMITS))
    assert bench(voice_folder, "--rows", "help") == 0
    assert capsys.readouterr().err.startswith("tts: warning: the load average is 1.9: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "gpu"], "--rows names 'gpu'; the rows are native, native-many, torch, torch-many, plain, help"),
        (["--rows", ""], "--rows names ''"),
        (["--seconds", "0"], "--seconds is 0"),
        (["--seconds", "nan"], "--seconds is nan"),
        (["--streams", "0"], "--streams is 0"),
        (["--torch-streams", "0"], "--torch-streams is 0"),
        (["--threads", "0"], "--threads is 0"),
        (["--threads", "99999"], "--threads is 99999; this process may use"),
        (["--voice", "nobody"], "there is no voice 'nobody'"),
        (["--out", "none/b.json"], "cannot write none/b.json"),
        (["--out", "."], "cannot write ."),
        (["--out", "old.json"], "old.json exists; choose another name or give --force"),
        (["--markdown", "old.json"], "old.json exists"),
    ],
    ids=str,
)
def test_mistakes(here, voice_folder, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(reports, "measure_in_process", None)
    Path("old.json").write_text("precious")
    assert bench(voice_folder, *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert [path.name for path in here.iterdir()] == ["old.json"]
    assert Path("old.json").read_text() == "precious"


@pytest.mark.parametrize(("threads", "share"), [(1, 0.5), (2, 0.25)])
def test_many_streams_are_held_against_all_cores(here, voice_folder, monkeypatch, threads, share):
    for module in ("core.machine", "bench.report"):
        monkeypatch.setattr(f"tts.{module}.cores", lambda: [0, 1])
    many = {"row": "native-many", "title": "", "streams": 32, "samples_per_second": 2e5, "times_real_time": 25.0}
    monkeypatch.setattr(reports, "measure_in_process", lambda *_: many | {"memory_mb": 1.0})
    monkeypatch.setattr(reports, "measure_limits", lambda _: dict(LIMITS))
    assert bench(voice_folder, "--rows", "native-many", "--threads", threads, "--out", "b.json") == 0
    (row,) = json.loads(Path("b.json").read_text())["rows"]
    assert row["share_of_limit"] == pytest.approx(share)


def test_a_limit_that_cannot_be_measured(here, voice_folder, monkeypatch, capsys):
    monkeypatch.setattr(reports, "measure_in_process", lambda name, _: dict(METRICS[name]))
    monkeypatch.setattr(reports, "measure_limits", lambda _: {"failed": "no room"})
    assert bench(voice_folder, "--rows", "native") == 1
    assert "failed: no room" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["--rows", "native", "--seconds", "3"], ["--voice", "speak"]], ids=str)
def test_without_a_subcommand_it_is_speak(flags):
    parser = make_parser()
    assert parser.parse_args(["bench", *flags]) == parser.parse_args(["bench", "speak", *flags])
    assert parser.parse_args(["bench", "train"]) != parser.parse_args(["bench", "speak"])


@pytest.mark.parametrize(
    "arguments", [["speak", "--config", "c.yaml"], ["--config", "c.yaml"], ["train", "--rows", "native"]], ids=str
)
def test_each_subcommand_has_its_own_flags(capsys, arguments):
    assert main(["bench", *arguments]) == 2
    assert f"unrecognized arguments: {' '.join(arguments[-2:])}; see `tts" in capsys.readouterr().err


def test_help_names_both(capsys):
    for flag in ("-h", "--help"):
        with pytest.raises(SystemExit):
            main(["bench", flag])
        assert "speak|train" in capsys.readouterr().out


def test_timing_by_hand(monkeypatch):
    """On a clock that only the function moves: 5 s are full after the fourth timed run, the first being a trial."""
    clock, durations = [0.0], iter([9.0, 1.0, 2.0, 1.0, 4.0, 99.0])

    def run():
        clock[0] += next(durations)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    assert timing.timed(run, 5) == {"median_s": 1.5, "iqr_s": 1.5, "runs": 4}


def test_short_runs_are_timed_in_blocks(monkeypatch):
    clock, calls = [0.0], []

    def run():
        calls.append(1)
        clock[0] += timing.BLOCK_SECONDS / 4

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    found = timing.timed(run, 3 * timing.BLOCK_SECONDS)
    assert found["median_s"] == pytest.approx(timing.BLOCK_SECONDS / 4)
    assert found["runs"] == len(calls) - 1 == 12


def test_memory_of_a_gpu_counts(monkeypatch):
    without = rows._peak_memory()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5_000_000_000)
    assert 0 <= rows._peak_memory() - without - 5_000_000_000 < 50e6

"""The report: tables, page, players, from utterances made by hand."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from tts import audio
from tts.evaluation.metrics import summarize
from tts.evaluation.report import drawn, make_tables, markdown, total_confusion, worst, write_reports
from tts.evaluation.utterance import Likelihood, Limits, Sound, Utterance

LIMITS = Limits(0.3, 1.0)
SOUND = Sound(0.5, 0.1, -50.0, 0.2, 0.0, 0.0, -20.0, -60.0, 0)


def utterance(index, system, digits, recognized, split="test_seen", speaker="ann & <b>", **options):
    words, found = ([*map(str, side)] for side in (digits, recognized))
    path = f"audio/{system}/{split}/{index:04d}.flac" if system != "ground_truth" else None
    return Utterance(
        split, index, system, " ".join(words), words, speaker, found, SOUND, real_seconds=0.5, path=path, **options
    )


@pytest.fixture
def judged():
    texts = [[4, 7, 2], [1], [9, 9], [0, 3], [5]] * 5
    items = []
    for split in ("test_seen", "long"):
        for index, digits in enumerate(texts):
            likelihood = Likelihood(1000.0, 400, 5.0, len(digits), 0.1)
            recognized = [] if index == 7 else [8, *digits[1:]] if index == 3 else digits
            items.append(utterance(index, "voice", digits, recognized, split, likelihood=likelihood, forced_advances=0))
            items.append(utterance(index, "ground_truth", digits, digits, split))
    return items


def report_of(items):
    return {
        "settings": {
            "voice": {"name": "test"},
            "seed": 3,
            "temperature": None,
            "nucleus_temperature": 0.7,
            "duration_spread": 0.5,
            "comb_filter": 1.0,
        },
        "notes": ["a note"],
        "limits": vars(LIMITS),
        "splits": {
            split: {
                system: summarize([x for x in items if (x.split, x.system) == (split, system)], LIMITS, 0)
                for system in ("voice", "ground_truth")
            }
            for split in ("test_seen", "long")
        },
    }


@pytest.fixture
def folder(judged, tmp_path):
    rng = np.random.default_rng(0)
    for item in judged:
        if item.path:
            (tmp_path / item.path).parent.mkdir(parents=True, exist_ok=True)
            audio.write(tmp_path / item.path, rng.normal(0, 0.1, 4000), 8000, force=True)
    return tmp_path


def test_every_table_has_the_ground_truth(judged):
    tables = make_tables(report_of(judged))
    assert [table.title for table in tables][:4] == ["What was recognized", "Where it stopped", "Sound", "Likelihood"]
    for table in tables[:-1]:
        assert "ground_truth" in table.header or any("ground_truth" in row for row in table.rows), table.title
        assert all(len(row) == len(table.header) for row in table.rows), table.title


def test_metrics_reach_the_tables(judged):
    text = markdown(report_of(judged), make_tables(report_of(judged)))
    # 45 digits: text 3, "0 3", begins with an 8; of text 7, "9 9", nothing is recognized.
    assert "| test_seen | voice | 25 | 45 | 1 | 0 | 2 | 6.7 (" in text
    assert "| test_seen | ground_truth | 25 | 45 | 0 | 0 | 0 | 0.0 (0.0-7.9) | 100.0 (86.7-100.0) |" in text
    assert "| ann & <b> | 9 | - | 4 | 20 |" in text
    assert "| test_seen | ground_truth | 20.0 | 0.000 | 0.00 | -20.0 | -60.0 | 0.0 | - |" in text
    # By speaker, on every split, the ground truth beside it.
    assert re.search(r"\| long \| ann & <b> \| 6\.7 \([\d.]+-[\d.]+\) of 45 \| 0\.0 \(0\.0-7\.9\) of 45 \|", text)
    assert "temperature: the voice's own, nucleus temperature: 0.7, duration spread: 0.5, comb filter: 1.0" in text
    assert "- a note" in text
    assert total_confusion(report_of(judged)["splits"], "voice")["ann & <b>"][9, 10] == 4


@pytest.mark.slow
def test_the_page_stands_alone(judged, folder):
    write_reports(folder, report_of(judged), judged)
    page = (folder / "report.html").read_text()
    sources = re.findall(r'src="([^"]*)"', page)
    assert all(source.startswith(("data:image/png;base64,", "data:audio/wav;base64,")) for source in sources)
    assert not re.search(r"https?:|<link|<script|url\(", page)
    assert "ann &amp; &lt;b&gt;" in page and "ann & <b>" not in page
    players = [source for source in sources if source.startswith("data:audio")]
    assert len(players) == 20
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(players[0].split(",")[1])))
    assert (len(wave), rate) == (4000, 8000)
    first = {name: (folder / name).read_bytes() for name in ("report.md", "report.html")}
    write_reports(folder, report_of(judged), judged)
    assert first == {name: (folder / name).read_bytes() for name in first}


def test_worst_and_drawn(judged):
    spoken = [item for item in judged if item.system == "voice"]
    assert [(item.split, item.index) for item in worst(spoken, LIMITS)][:4] == [
        ("test_seen", 7), ("long", 7), ("test_seen", 3), ("long", 3),
    ]  # fmt: skip
    chosen = drawn(spoken)
    assert len(chosen) == 10 and chosen == drawn(spoken)
    assert len({(item.split, item.index) for item in chosen}) == 10
    assert drawn(spoken[:3]) == spoken[:3]

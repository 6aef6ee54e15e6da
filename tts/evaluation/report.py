"""The results of an evaluation, for people: `report.md`, and `report.html`, one file that needs no other.

Every table has the ground truth, the same metrics of real recordings joined in the same way, beside the voice.
"""

import base64
import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tts import audio
from tts.core.files import atomic_write
from tts.evaluation import plots
from tts.evaluation.judges.tables import Table, headline, judge_tables
from tts.evaluation.metrics import stop_errors
from tts.evaluation.test_sets import FILES
from tts.evaluation.utterance import NO_LIMITS, Limits, Unit, Utterance
from tts.recognition.alignment import align, count_errors
from tts.recognition.plots import LABELS, confusions

PLAYED = 10
"""So many of the worst, and so many drawn at random, can be played."""

CONFUSIONS_LISTED = 12

Cell = Callable[[Mapping[str, Any]], str]
"""The text of a cell, from the metrics of one system."""


def write_reports(out: Path, report: Mapping[str, Any], utterances: Sequence[Utterance]) -> None:
    """Write `report.md` and `report.html`.

    Args: out, the evaluation's folder; report and utterances, as `running.run` returns them.
    """
    tables = make_tables(report)
    atomic_write(out / "report.md", markdown(report, tables).encode(errors="backslashreplace"))
    atomic_write(out / "report.html", page(out, report, tables, utterances).encode(errors="backslashreplace"))


# Tables


def _number(name: str, places: int = 0, scale: float = 1) -> Cell:
    return lambda x: "-" if x[name] is None else f"{scale * x[name]:.{places}f}"


def _percent(name: str) -> Cell:
    return _number(name, 1, 100)


def _interval(name: str) -> Cell:
    """ "12.3 (10.1-14.9)", in per cent."""
    return lambda x: "{:.1f} ({:.1f}-{:.1f})".format(*(100 * share for share in (x[name], *x[f"{name}_95"])))


def columns(unit: Unit) -> list[tuple[str, str, dict[str, Cell]]]:
    """Of the tables with a row for each split and system: title, what it shows, and columns. Where nothing is known in
    the last one, it is left out."""
    return [
        (
            "What was recognized",
            f"{unit.capitalize()} error: substitutions, insertions and deletions per {unit} said. Exact: texts "
            f"recognized {unit} for {unit}. In brackets 95 % intervals.",
            {"texts": _number("texts"), f"{unit}s": _number(f"{unit}s"), "S": _number("substitutions")}
            | {"I": _number("insertions"), "D": _number("deletions")}
            | {f"{unit} error, %": _interval(f"{unit}_error"), "exact, %": _interval("exact")},
        ),
        (
            "Where it stopped",
            f"Shares of the texts, %: the last {unit} missing or the end in the middle of a sound (cut short), longer "
            f"after the last {unit} than real speech ever is (over-run), cut at the longest time allowed (cap). "
            "Forced: units cut at the voice's longest unit, % of the words. Duration: seconds relative to the real "
            "sequences of the same texts.",
            {"any, %": _interval("stop_error"), "cut short": _percent("cut_short"), "over-run": _percent("over_run")}
            | {"cap": _percent("cap"), "forced": _percent("forced_advances"), "duration": _number("duration_ratio", 2)},
        ),
        SOUND,
        LIKELIHOOD,
    ]


SOUND: tuple[str, str, dict[str, Cell]] = (
    "Sound",
    "Silence: 10 ms frames 35 dB under the loudest, %. Clipping: samples at full scale, %. DC: mean, in "
    "thousandths of full scale. Level: of the active frames, dBFS. Noise floor: of the quietest tenth of the "
    "frames, dBFS. Clicks: places that stand out from all around them, per minute of audio; those within 10 ms "
    "of the place between two segments, per 1,000 such places.",
    {"silence, %": _percent("silence"), "clipping, %": _number("clipping", 3, 100)}
    | {"DC, 1/1000": _number("dc", 2, 1000), "level, dBFS": _number("loudness_dbfs", 1)}
    | {"noise floor, dBFS": _number("noise_floor_dbfs", 1)}
    | {"clicks per minute": _number("clicks_per_minute", 1)}
    | {"clicks per 1,000 joins": _number("clicks_per_1000_joins", 1)},
)
LIKELIHOOD: tuple[str, str, dict[str, Cell]] = (
    "Likelihood",
    "Of the real sequences under the voice's model (teacher forcing): bits per sample, bits of the advance bit "
    "per segment; the pointer's timing: probability of ending a segment more than 50 ms too early, %, the "
    "expected time by which it is ended too early, and the probability of not ending it at its real end, %. "
    "The ground truth has none: it is the recordings themselves.",
    {"bits per sample": _number("nll_bits", 3), "advance bits per segment": _number("advance_bits", 2)}
    | {"early, %": _percent("early"), "lead, ms": _number("lead_seconds", 1, 1000), "late, %": _percent("late")},
)
QUALITY = {"FID": _number("fid", 3), "IS": _number("is", 3), "mIS": _number("mis", 3), "AM": _number("am", 3)}


def breakdowns(unit: Unit) -> list[tuple[str, str, str, str, Cell]]:
    """Title, measure, metric, first column and cell of the tables by length, speaker and place."""
    error, measure = _interval(f"{unit}_error"), f"{unit.capitalize()} error, %. "
    return [
        (f"By number of {unit}s", measure, "by_length", f"{unit}s", error),
        ("By speaker", measure, "by_speaker", "speaker", error),
        (
            "By place in the text",
            f"{unit.capitalize()}s substituted or deleted, %. ",
            "by_position",
            "place",
            _interval("error"),
        ),
    ]


def unit_of(report: Mapping[str, Any]) -> Unit:
    """What the errors are counted in."""
    unit: Unit = report.get("unit", "digit")
    return unit


def make_tables(report: Mapping[str, Any]) -> list[Table]:
    """All tables of the report."""
    splits, unit = report["splits"], unit_of(report)
    systems = plots.systems_of(splits)
    tables = judge_tables(splits, systems)
    for title, about, cells in columns(unit):
        rows = [
            [split, system, *(cell(part[system]) for cell in cells.values())]
            for split, part in splits.items()
            for system in systems
        ]
        if title != "Likelihood" or any(row[2] != "-" for row in rows):
            tables.append(Table(title, about, ["split", "system", *cells], rows))
    if quality := report.get("quality"):
        about = (
            "Of single digits, by the features of our recognizer (own) and against real training recordings; not "
            "comparable with published ones. FID and AM: lower is better; IS (at most 10) and mIS: higher is better."
        )
        rows = [[system, *(cell(quality[system]) for cell in QUALITY.values())] for system in systems]
        tables.append(Table("Quality and variety of single digits", about, ["system", *QUALITY], rows))
    for title, measure, name, first, cell in breakdowns(unit):
        about = f"{measure}In brackets 95 % intervals, then the number of {unit}s."
        rows = list(_breakdown(splits, systems, name, cell, unit))
        tables.append(Table(title, about, ["split", first, *systems], rows))
    return tables + [_frequent_confusions(splits, system, unit) for system in systems if system != "ground_truth"]


def _breakdown(
    splits: Mapping[str, Any], systems: Sequence[str], name: str, cell: Cell, unit: Unit
) -> Iterable[list[str]]:
    for split, part in splits.items():
        for label in dict.fromkeys(label for system in systems for label in part[system][name]):
            values = [part[system][name].get(label) for system in systems]
            yield [split, label, *("-" if x is None else f"{cell(x)} of {x[f'{unit}s']}" for x in values)]


def total_confusion(splits: Mapping[str, Any], system: str) -> dict[str, np.ndarray]:
    """Confusion matrices of a system over all splits, by speaker."""
    total: dict[str, np.ndarray] = {}
    for part in splits.values():
        for speaker, table in part[system]["confusion_by_speaker"].items():
            total[speaker] = total.get(speaker, 0) + np.array(table)
    return dict(sorted(total.items()))


def _frequent_confusions(splits: Mapping[str, Any], system: str, unit: Unit) -> Table:
    rows = _digit_errors(splits, system) if unit == "digit" else _word_errors(splits, system)
    about = f"- for nothing: said -, a {unit} was added; recognized -, it was missed."
    return Table(
        f"Errors of the {system}",
        f"The most frequent errors over all splits; {about}",
        ["speaker", "said", "recognized", "times", "of"],
        rows[:CONFUSIONS_LISTED],
    )


def _digit_errors(splits: Mapping[str, Any], system: str) -> list[list[str]]:
    found = []
    for speaker, table in total_confusion(splits, system).items():
        for row, column in zip(*np.nonzero(table), strict=True):
            if row != column:
                found.append((int(table[row, column]), int(table[row].sum()), speaker, int(row), int(column)))
    found.sort(key=lambda x: (-x[0], x[2:]))
    return [
        [speaker, LABELS[row], LABELS[column], str(count), str(said) if row < 10 else "-"]
        for count, said, speaker, row, column in found
    ]


def _word_errors(splits: Mapping[str, Any], system: str) -> list[list[str]]:
    rows = [(split, *row) for split, part in splits.items() for row in part[system]["confusions"]]
    times: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for _, speaker, said, recognized, count, of in rows:
        times.setdefault((speaker, said, recognized), []).append((count, of))
    total = {key: [sum(column) for column in zip(*counts, strict=True)] for key, counts in times.items()}
    found = sorted(total.items(), key=lambda item: (-item[1][0], item[0]))
    return [[*key, str(count), str(of) if key[1] != "-" else "-"] for key, (count, of) in found]


# Markdown


def facts(report: Mapping[str, Any]) -> list[str]:
    """What decides the results, and what to know about them, one line each."""
    settings, limits = report["settings"], report["limits"]
    lines = headline(report["splits"])
    lines += [f"{name}: {settings[name]['name']}" for name in ("voice", "baseline") if name in settings]
    if "seed" in settings:
        drawn = [f"seed {settings['seed']}"]
        for name in ("temperature", "nucleus_temperature", "duration_spread", "comb_filter"):
            value = "the voice's own" if settings[name] is None else settings[name]
            drawn.append(f"{name.replace('_', ' ')}: {value}")
        lines.append(", ".join(drawn))
    if limits:
        lines.append(
            f"longest in real speech: a closing silence of {limits['trailing_seconds']:.2f} s, "
            f"a {unit_of(report)}'s segment of {limits['segment_seconds']:.2f} s"
        )
    return [*lines, *report["notes"]]


def markdown(report: Mapping[str, Any], tables: Iterable[Table]) -> str:
    """`report.md`."""
    lines = ["# Evaluation", "", *(f"- {fact}" for fact in facts(report))]
    splits = report["splits"]
    whole = plots.systems_of(splits) if unit_of(report) == "digit" else ()
    for table in [*tables, *(_whole_confusion(splits, system) for system in whole)]:
        lines += ["", f"## {table.title}", "", table.about, ""]
        lines += [f"| {' | '.join(cells)} |" for cells in (table.header, ["---"] * len(table.header), *table.rows)]
    return "\n".join(lines) + "\n"


def _whole_confusion(splits: Mapping[str, Any], system: str) -> Table:
    total = np.asarray(sum(total_confusion(splits, system).values()))
    rows = [[label, *(str(count or "") for count in row)] for label, row in zip(LABELS, total, strict=True)]
    about = "All splits; rows said, columns recognized, - for nothing."
    return Table(f"Confusion: {system}", about, ["", *LABELS], rows)


# The page

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2328; background: #fff; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } p { max-width: 46rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.86rem; }
th, td { padding: 0.2rem 0.6rem; text-align: right; border-bottom: 1px solid #d8dee4; white-space: nowrap; }
th { background: #f6f8fa; } th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
tr.ground_truth td { color: #6e7781; }
img { max-width: 100%; }
.utterance { display: grid; grid-template-columns: 19rem 1fr; gap: 0.4rem 1rem; align-items: center;
  border-bottom: 1px solid #d8dee4; padding: 0.4rem 0; }
.utterance p { margin: 0; font-size: 0.88rem; } audio { height: 2rem; width: 18rem; }
.wrong { color: #b42318; } .right { color: #1a7f37; }
@media (max-width: 40rem) { .utterance { grid-template-columns: 1fr; } }
"""


def page(out: Path, report: Mapping[str, Any], tables: Iterable[Table], utterances: Sequence[Utterance]) -> str:
    """`report.html`."""
    splits, unit = report["splits"], unit_of(report)
    parts = [
        "<h1>Evaluation</h1>",
        *("<ul>", *(f"<li>{html.escape(fact)}</li>" for fact in facts(report)), "</ul>"),
        _picture(plots.errors_by_split(splits, unit=unit), f"{unit} error by split"),
        *map(_html_table, tables),
        f"<h2>By number of {unit}s and by place</h2><p>Shaded: 95 % intervals.</p>",
        _picture(plots.errors_along(splits, "by_length", f"{unit}_error", f"{unit}s"), "error by length"),
        _picture(plots.errors_along(splits, "by_position", "error", "place"), "error by place"),
    ]
    for system in plots.systems_of(splits) if unit == "digit" else ():
        pictures = confusions(total_confusion(splits, system))
        parts.append(f"<h2>Confusion by speaker: {system}</h2>{_picture(pictures, f'confusion of the {system}')}")
    spoken = [item for item in utterances if item.system == "voice"]
    limits = Limits(**report["limits"]) if report["limits"] else NO_LIMITS
    for title, chosen in (("The worst", worst(spoken, limits)), ("At random", drawn(spoken))):
        parts.append(f"<h2>{title}</h2>")
        parts += [_player(out, item, limits) for item in chosen]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Evaluation</title>'
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def worst(utterances: Iterable[Utterance], limits: Limits) -> list[Utterance]:
    """Those with most errors per word, then with most stop errors; in the order of the texts where alike."""

    def badness(item: Utterance) -> tuple[float, int]:
        pairs = align(item.words, item.recognized)
        return -count_errors(pairs).total / len(item.words), -len(stop_errors(item, limits, pairs))

    return sorted(utterances, key=badness)[:PLAYED]


def drawn(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Some at random, each once, in their order."""
    chosen = np.random.default_rng(0).permutation(len(utterances))[:PLAYED]
    return [utterances[i] for i in sorted(chosen)]


def _player(out: Path, item: Utterance, limits: Limits) -> str:
    assert item.path is not None, item
    wave, rate = audio.read(item.path if item.split == FILES else out / item.path)
    pairs = align(item.words, item.recognized)
    stops = stop_errors(item, limits, pairs)
    color = "wrong" if count_errors(pairs).total else "right"
    recognized = html.escape(" ".join(item.recognized)) or "nothing"
    flags = "".join(f", <span class=wrong>{name.replace('_', ' ')}</span>" for name in stops)
    source = base64.b64encode(audio.to_bytes(wave, rate)).decode()
    return (
        f'<div class="utterance"><div><p><b>{html.escape(item.text)}</b>, '
        f'recognized <b class="{color}">{recognized}</b></p>'
        f"<p>{html.escape(item.speaker)}, {item.split} {item.index}, {item.sound.seconds:.2f} s{flags}</p>"
        f'<audio controls preload="none" src="data:audio/wav;base64,{source}"></audio></div>'
        f"{_picture(plots.spectrogram(wave, rate), 'spectrogram')}</div>"
    )


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.header)
    body = ""
    for row in table.rows:
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        body += f"<tr{' class=ground_truth' if 'ground_truth' in row else ''}>{cells}</tr>\n"
    return (
        f"<h2>{html.escape(table.title)}</h2><p>{html.escape(table.about)}</p>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'
    )


def _picture(data: bytes, about: str) -> str:
    return f'<img alt="{html.escape(about)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'

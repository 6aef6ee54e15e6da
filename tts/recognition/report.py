"""`docs/results/recognizer.md`: what `tts.recognition.evaluation` measured, for people."""

from typing import Any

from tts.core.machine import heading, percent
from tts.recognition.plots import LABELS


def markdown(results: dict[str, Any]) -> str:
    """The tables of docs/results/recognizer.md."""
    lines = ["# The recognizer's results", "", *heading(results), "", "## Joined test recordings", "",
             "| set | digits | S | I | D | digit error | the same, bootstrap over recordings | exact sequences |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, x in results["sequences"].items():
        low, high = x["digit_error_95_by_recording"]
        counts = " | ".join(str(x[key]) for key in ("digits", "substitutions", "insertions", "deletions"))
        lines.append(f"| {name} | {counts} | {percent(x['digit_error'], x['digit_error_95'])} | "
                     f"{100 * low:.2f}-{100 * high:.2f} | {percent(x['exact'], x['exact_95'])} |")  # fmt: skip
    joined = results["sequences"]["joined"]
    lines += ["", f"The sequences of \"joined\" hold {joined['recordings']} recordings over and over; "
              f"{joined['recordings_with_errors']} of them were misrecognized at least once."]  # fmt: skip
    exact = [f"{length}: {right}/{count}" for length, (right, count) in joined["exact_by_length"].items()]
    lines += ["", f'Exact sequences of "joined" by length: {", ".join(exact)}.']
    for name, x in results["singles"].items():
        lines += ["", f"## Single recordings: {name}", "",
                  f"{x['right']} of {x['recordings']} right: {percent(x['accuracy'], x['accuracy_95'])}.", "",
                  "| " + " | ".join(x["by_name"]) + " |", "| " + " | ".join("---" for _ in x["by_name"]) + " |",
                  "| " + " | ".join(f"{right}/{count}" for right, count in x["by_name"].values()) + " |", "",
                  "Errors: " + ("; ".join(x["errors"]) or "none") + "."]  # fmt: skip
    x = results["empty"]
    lines += ["", "## Waves without a digit", "",
              f"Silence, noise, hum, swelling noise, shredded speech: nothing recognized in {x['recognized_nothing']} "
              f"of {x['waves']}, {percent(x['share'], x['share_95'])}."]  # fmt: skip
    lines += ["", "## Confusion by speaker", "", "![confusion](recognizer_confusion.png)", "",
              "\"joined\" above; rows said, columns recognized."]  # fmt: skip
    for speaker, table in joined["confusion"].items():
        lines += ["", f"### {speaker}", "", f"| said | {' | '.join(LABELS)} |", "| --- |" + " --- |" * 11]
        for label, row in zip(LABELS, table, strict=True):
            lines.append(f"| {label} | " + " | ".join(str(n) if n else "" for n in row) + " |")
    if rejection := results.get("rejection"):
        lines += rejection_lines(rejection)
    if factors := results.get("real_time_factor_one_core"):
        lines += ["", "## Speed", "", "| batch | real-time factor, one core |", "| --- | --- |"]
        lines += [f"| {size} | {factor:.4f} |" for size, factor in factors.items()]
    if rates := results.get("loader_waves_per_second"):
        lines += ["", "## Training loader", "", "| workers | waves a second |", "| --- | --- |"]
        lines += [f"| {workers} | {rate:.0f} |" for workers, rate in rates.items()]
    return "\n".join(lines) + "\n"


def rejection_lines(x: dict[str, Any]) -> list[str]:
    """The section "Rejection" of docs/results/recognizer.md."""
    lines = ["", "## Rejection", "",
             f"Digits with a confidence below {x['threshold']} are left out. The confidence was learned from prompts "
             f"of {', '.join(x['learned_from'])}.", "",
             "| exactly right | without threshold | with it |", "| --- | --- | --- |"]  # fmt: skip
    names = {"digits": "{}", "prompts": "prompts without digits, nothing recognized: {}"}
    for part, label in names.items():
        for name, pair in x[part].items():
            cells = [f"{y['count']}/{y['of']}, {percent(y['share'], y['share_95'])}" for y in
                     (pair["without"], pair["with"])]  # fmt: skip
            lines.append(f"| {label.format(name)} | {cells[0]} | {cells[1]} |")
    return lines

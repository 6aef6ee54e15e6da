"""`docs/results/recognizer.md`: what `tts.recognition.evaluation` measured, for people."""

from typing import Any

from tts.core.machine import heading, percent
from tts.core.tables import markdown_table
from tts.recognition.plots import LABELS


def markdown(results: dict[str, Any]) -> str:
    """The tables of docs/results/recognizer.md."""
    lines = ["# The recognizer's results", "", *heading(results), "", "## Joined test recordings", ""]
    header = ["set", "digits", "S", "I", "D", "digit error", "the same, bootstrap over recordings", "exact sequences"]
    rows = []
    for name, x in results["sequences"].items():
        low, high = x["digit_error_95_by_recording"]
        counts = [x[key] for key in ("digits", "substitutions", "insertions", "deletions")]
        shares = [percent(x[key], x[f"{key}_95"]) for key in ("digit_error", "exact")]
        rows.append([name, *counts, shares[0], f"{100 * low:.2f}-{100 * high:.2f}", shares[1]])
    lines.append(markdown_table(header, rows))
    joined = results["sequences"]["joined"]
    lines += ["", f"The sequences of \"joined\" hold {joined['recordings']} recordings over and over; "
              f"{joined['recordings_with_errors']} of them were misrecognized at least once."]  # fmt: skip
    exact = [f"{length}: {right}/{count}" for length, (right, count) in joined["exact_by_length"].items()]
    lines += ["", f'Exact sequences of "joined" by length: {", ".join(exact)}.']
    for name, x in results["singles"].items():
        lines += ["", f"## Single recordings: {name}", "",
                  f"{x['right']} of {x['recordings']} right: {percent(x['accuracy'], x['accuracy_95'])}.", "",
                  markdown_table(x["by_name"], [[f"{right}/{count}" for right, count in x["by_name"].values()]]), "",
                  "Errors: " + ("; ".join(x["errors"]) or "none") + "."]  # fmt: skip
    x = results["empty"]
    lines += ["", "## Waves without a digit", "",
              f"Silence, noise, hum, swelling noise, shredded speech: nothing recognized in {x['recognized_nothing']} "
              f"of {x['waves']}, {percent(x['share'], x['share_95'])}."]  # fmt: skip
    lines += ["", "## Confusion by speaker", "", "![confusion](recognizer_confusion.png)", "",
              "\"joined\" above; rows said, columns recognized."]  # fmt: skip
    for speaker, table in joined["confusion"].items():
        rows = [[label, *(n or "" for n in row)] for label, row in zip(LABELS, table, strict=True)]
        lines += ["", f"### {speaker}", "", markdown_table(["said", *LABELS], rows)]
    if rejection := results.get("rejection"):
        lines += rejection_lines(rejection)
    if factors := results.get("real_time_factor_one_core"):
        rows = [[size, f"{factor:.4f}"] for size, factor in factors.items()]
        lines += ["", "## Speed", "", markdown_table(["batch", "real-time factor, one core"], rows)]
    if rates := results.get("loader_waves_per_second"):
        rows = [[workers, f"{rate:.0f}"] for workers, rate in rates.items()]
        lines += ["", "## Training loader", "", markdown_table(["workers", "waves a second"], rows)]
    return "\n".join(lines) + "\n"


def rejection_lines(x: dict[str, Any]) -> list[str]:
    """The section "Rejection" of docs/results/recognizer.md."""
    lines = ["", "## Rejection", "",
             f"Digits with a confidence below {x['threshold']} are left out. The confidence was learned from prompts "
             f"of {', '.join(x['learned_from'])}.", ""]  # fmt: skip
    names = {"digits": "{}", "prompts": "prompts without digits, nothing recognized: {}"}
    rows = []
    for part, label in names.items():
        for name, pair in x[part].items():
            found = (pair["without"], pair["with"])
            cells = [f"{y['count']}/{y['of']}, {percent(y['share'], y['share_95'])}" for y in found]
            rows.append([label.format(name), *cells])
    return [*lines, markdown_table(["exactly right", "without threshold", "with it"], rows)]

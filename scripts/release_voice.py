"""Turn the voice of a training run into one that ships: its license, its sampling settings, its card with the metrics.

python scripts/release_voice.py runs/fsdd/voice tts/voices/digits --duration-spread 0.25 --report report/report.json

Run it once without `--report`, evaluate the result, and run it again with the report: the weights do not change.
`CORPORA` has what the card says of each corpus.
"""

import argparse
import hashlib
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from data_recipes.download import FSDD_REVISION
from tts.core.console import Parser, script
from tts.core.errors import InputError
from tts.core.files import check_folder, is_file, path_argument
from tts.core.sampling import Sampling
from tts.core.tables import markdown_table, percent_cell
from tts.evaluation.judges.tables import judge_tables
from tts.training.config import without_local_paths
from tts.voice import Voice, load_voice

NAMES = {
    "test_seen": "combinations that training may have",
    "test_unseen": "combinations that training never has",
    "bigram": "pairs of neighbors that training never has",
    "position": "digits that training never has in that place",
    "length": "four and five digits",
    "repeat": "three times the same digit and more",
    "long": "6 to 20 digits",
    "words": "number words",
    "single": "single digits",
    "digits20": "20 digits",
    "digits100": "100 digits",
    "any": "any texts",
}


@dataclass(frozen=True)
class CorpusCard:
    """What a voice's card and record say of the corpus that it was trained on."""

    data: str
    license: str
    attribution: str
    says: str
    text: str
    """An example."""
    limits: str
    checksums: str | None = None
    """File in `data_recipes` with the list that the recordings are compared with when they are read."""


CORPORA = {
    "fsdd": CorpusCard(
        data=f"Free Spoken Digit Dataset, revision {FSDD_REVISION}, takes 8-49",
        license="CC BY-SA 4.0",
        attribution="Derived from recordings of the [Free Spoken Digit Dataset]"
        "(https://github.com/Jakobovski/free-spoken-digit-dataset) by Zohar Jackson and contributors, CC BY-SA 4.0; "
        f"revision {FSDD_REVISION}, takes 8-49 of each digit (takes 0-4 are the corpus's test split, 5-7 validation).",
        says="digits",
        text="4 7 2",
        limits="English digits only, as numerals or words. 8 kHz, with the noise of the recordings.",
        checksums="fsdd_sha256.txt",
    ),
    "prompts": CorpusCard(
        data="Asterisk core sounds 1.6.1, en_US_f_Allison: digits, letters, phonetic",
        license="CC BY-SA 3.0",
        attribution="Derived from the English prompts of the [Asterisk core sounds]"
        "(https://downloads.asterisk.org/pub/telephony/sounds/), spoken by Allison Smith, copyright Digium, Inc., "
        "CC BY-SA 3.0.",
        says="the words of telephone prompts (digits, cardinals, ordinals, letters, days, months)",
        text="three hundred forty two",
        limits="One recording of each word, so each word is always said in the same way; words that are not in "
        "`vocabulary` are refused.",
    ),
}
"""By `data.corpus` of the run's config."""

HEADER = """---
license: {license}
language: en
library_name: twotier-tts
pipeline_tag: text-to-speech
tags:
- samplernn
---"""
"""Of the card, for the Hugging Face Hub."""


def released(voice: Voice, arguments: argparse.Namespace) -> Voice:
    """The voice with its settings for speaking and its record of where it comes from."""
    try:
        step, config = voice.config.training["step"], voice.config.training["config"]
    except KeyError as error:
        message = f"{arguments.run} does not say its training's {error}; give a voice that tts train wrote"
        raise InputError(message) from None
    corpus = corpus_of(config)
    training: dict[str, Any] = {"data": corpus.data}
    if corpus.checksums:
        training["data_sha256"] = hashlib.sha256(
            files("data_recipes").joinpath(corpus.checksums).read_bytes()
        ).hexdigest()
    training |= {
        **{key: getattr(arguments, key) for key in ("command", "commit", "hardware", "minutes")},
        "step": step,
        "config": without_local_paths(config),
    }
    c = voice.config
    vectors = {word: voice.word_vectors([word])[0] for word in c.shipped}
    rounded = Voice.from_model(
        voice.model(),
        speakers=c.speakers,
        sample_rate=c.sample_rate,
        text_encoder=c.text_encoder,
        word_vectors=vectors,
        vocabulary=c.vocabulary,
    )
    changed = replace(
        c,
        name=arguments.to.name,
        default_speaker=arguments.default_speaker or c.default_speaker,
        license=corpus.license,
        sampling=Sampling(
            arguments.temperature, arguments.duration_spread, arguments.nucleus_temperature, arguments.comb_filter
        ),
        max_unit_seconds=arguments.max_unit_seconds or c.max_unit_seconds,
        training=training,
    )
    return rounded.with_config(changed)


def corpus_of(config: Mapping[str, Any]) -> CorpusCard:
    """Raises: InputError for a corpus without an entry in `CORPORA`."""
    name = config["data"].get("corpus", "fsdd")  # older records have only the one
    if name not in CORPORA:
        raise InputError(f"the run's data.corpus is {name}, which scripts/release_voice.py has no entry for; add one")
    return CORPORA[name]


def card(voice: Voice, report: dict[str, Any] | None, report_command: str) -> str:
    """README.md of the voice's folder."""
    c, t = voice.config, voice.config.training
    speakers = " and ".join(filter(None, [", ".join(c.speakers[:-1]), c.speakers[-1]]))
    corpus = corpus_of(t["config"])
    checksums = f" The list of the recordings' checksums has sha256 {t['data_sha256']}." if corpus.checksums else ""
    lines = [
        HEADER.format(license=corpus.license.lower().replace(" ", "-")),
        f"# {c.name}",
        f"Says {corpus.says}, sample by sample at {c.sample_rate} Hz, as {speakers} said them (by default "
        f"{c.default_speaker}): a two-tier SampleRNN, conditioned on word vectors of MiniLM.",
        f'```bash\ntts speak "{corpus.text}" --voice {c.name} --speaker {c.speakers[-1]} -o out.wav\n```',
        "## License and attribution",
        f"{corpus.license}. {corpus.attribution} Speakers {', '.join(c.speakers)}. Trimmed, brought to one level and "
        "joined: `training.config` in `config.json` says how.",
        "## Training",
        f"By {t['command']}, commit {t['commit']}: {t['step']:,} steps in {t['minutes']} minutes on {t['hardware']}."
        f"{checksums} The whole config is in `config.json`.",
        f"Sampling settings, chosen on other texts than those measured here: temperature {c.sampling.temperature:g}, "
        f"nucleus_temperature {c.sampling.nucleus_temperature:g} (times that, in the vowels), "
        f"comb_filter {c.sampling.comb_filter:g}, "
        f"duration_spread {c.sampling.duration_spread:g}, max_unit_seconds {c.max_unit_seconds:g}.",
    ]
    if report is not None:
        lines += ["## Metrics"]
        if report["unit"] == "digit":
            lines += [_metrics(report["splits"]), _speakers(report["splits"])]
        for table in judge_tables(report["splits"], ["voice", "ground_truth"]):
            lines += [f"### {table.title}", table.about, markdown_table(table.header, table.rows)]
        lines += [f"By `{report_command}`."]
    longest = t["config"]["data"]["sequences"]["max_digits"]
    lines += ["## Limits", f"{corpus.limits} Training had sequences of one to {longest} words."]
    return "\n\n".join(map(_wrapped, lines)) + "\n"


def _wrapped(part: str) -> str:
    """A paragraph in lines of 120 characters; tables, code and headings as they are."""
    if "\n" in part or part.startswith("#"):
        return part
    return textwrap.fill(part, 120, break_long_words=False, break_on_hyphens=False)


def _metrics(splits: Mapping[str, Any]) -> str:
    header = ["texts", "voice: digit error, %", "real recordings: digit error, %", "voice: exact, %", "cap, %"]
    rows = []
    for name, metrics in splits.items():
        voice = metrics["voice"]
        errors = [percent_cell(x["digit_error"], x["digit_error_95"]) for x in (voice, metrics["ground_truth"])]
        texts = f"{NAMES.get(name, name)} ({voice['texts']})"
        rows.append([texts, *errors, percent_cell(voice["exact"]), percent_cell(voice["cap"])])
    return markdown_table(header, rows)


def _speakers(splits: Mapping[str, Any]) -> str:
    """Digit error by speaker, over all splits together."""
    rows = []
    for speaker in next(iter(splits.values()))["voice"]["by_speaker"]:
        cells = [speaker]
        for system in ("voice", "ground_truth"):
            found = [split[system]["by_speaker"].get(speaker) for split in splits.values()]
            parts = [part for part in found if part]
            errors = sum(part["digit_error"] * part["digits"] for part in parts)
            cells.append(percent_cell(errors / sum(part["digits"] for part in parts)))
        rows.append(cells)
    return markdown_table(["speaker", "voice: digit error, %", "real recordings: digit error, %"], rows)


def read_report(path: Path) -> dict[str, Any]:
    """The report of `tts evaluate`. Raises: InputError where it is no report of a voice beside real recordings."""
    if not is_file(path):
        raise InputError(f"--report {path}: there is no such file; give the report.json of tts evaluate")
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        for metrics in report["splits"].values():
            _ = metrics["voice"], metrics["ground_truth"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"--report {path}: is no report of tts evaluate; give its report.json") from None
    return report


def run(argv: Sequence[str] | None) -> None:
    """The command."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=path_argument, help="a run's voice folder, e.g. runs/fsdd/voice")
    parser.add_argument("to", type=path_argument, help="e.g. tts/voices/digits")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--nucleus-temperature", type=float, default=1.0, help="times the temperature, in the vowels")
    parser.add_argument("--comb-filter", type=float, default=0.0, help="0 to 1: how much of the comb filter there is")
    parser.add_argument("--duration-spread", type=float, default=1.0)
    parser.add_argument("--max-unit-seconds", type=float, help="default: what the run wrote")
    parser.add_argument("--default-speaker", help="default: the run's first")
    parser.add_argument("--command", required=True, help="what trained it")
    parser.add_argument("--hardware", required=True)
    parser.add_argument("--minutes", type=int, required=True)
    parser.add_argument("--commit", required=True, help="of the code that trained it")
    parser.add_argument("--report", type=path_argument, help="report.json of tts evaluate")
    parser.add_argument("--report-command", default="tts evaluate --source FSDD --out report")
    arguments = parser.parse_args(argv)
    check_folder(arguments.to, "to")
    report = read_report(arguments.report) if arguments.report else None
    voice = released(load_voice(arguments.run), arguments)
    voice.save(arguments.to, card(voice, report, arguments.report_command))
    size = sum(path.stat().st_size for path in arguments.to.iterdir())
    print(f"{arguments.to}: {size / 1e6:.1f} MB")


main = script("release_voice", run)

if __name__ == "__main__":
    sys.exit(main())

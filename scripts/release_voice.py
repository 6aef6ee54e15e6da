"""Turn the voice of a training run into one that ships: its license, its sampling settings, its card with the metrics.

python scripts/release_voice.py runs/fsdd/voice tts/voices/digits --duration-spread 0.5 --report report/report.json

Run it once without `--report`, evaluate the result, and run it again with the report: the weights do not change.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from data_recipes.download import FSDD_REVISION
from tts.core.console import Parser, run_command
from tts.core.errors import InputError
from tts.core.files import check_folder, is_file, path_argument
from tts.core.sampling import Sampling
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


def checksum() -> str:
    """SHA-256 of the list of the corpus's checksums, which the recordings are checked with when they are read."""
    listed = files("data_recipes").joinpath("fsdd_sha256.txt").read_bytes()
    return hashlib.sha256(listed).hexdigest()


def released(voice: Voice, arguments: argparse.Namespace) -> Voice:
    """The voice with its settings for speaking and its record of where it comes from."""
    try:
        step, config = voice.config.training["step"], voice.config.training["config"]
    except KeyError as error:
        raise InputError(
            f"{arguments.run} does not say its training's {error}; give a voice that tts train wrote"
        ) from None
    training = {
        "data": f"Free Spoken Digit Dataset, revision {FSDD_REVISION}, takes 8-49",
        "data_sha256": checksum(),
        "command": arguments.command,
        "commit": arguments.commit,
        "hardware": arguments.hardware,
        "minutes": arguments.minutes,
        "step": step,
        "config": without_local_paths(config),
    }
    c = voice.config
    vectors = {word: voice.word_vectors([word])[0] for word in c.vocabulary}
    rounded = Voice.from_model(
        voice.model(), speakers=c.speakers, sample_rate=c.sample_rate, text_encoder=c.text_encoder, word_vectors=vectors
    )
    changed = replace(
        c,
        name=arguments.to.name,
        default_speaker=arguments.default_speaker or voice.config.default_speaker,
        license="CC BY-SA 4.0",
        sampling=Sampling(arguments.temperature, arguments.duration_spread),
        max_unit_seconds=arguments.max_unit_seconds or voice.config.max_unit_seconds,
        training=training,
    )
    return rounded.with_config(changed)


def card(voice: Voice, report: dict[str, Any] | None, report_command: str) -> str:
    """README.md of the voice's folder; its header is what the Hugging Face Hub reads."""
    c, t = voice.config, voice.config.training
    header = {
        "license": "cc-by-sa-4.0",
        "language": "en",
        "library_name": "twotier-tts",
        "pipeline_tag": "text-to-speech",
        "tags": ["samplernn", "digits"],
    }
    lines = [
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---",
        f"# {c.name}",
        f"Says digits, sample by sample at {c.sample_rate} Hz, as {_listed(c.speakers)} said them (by default "
        f"{c.default_speaker}): a two-tier SampleRNN, conditioned on word vectors of MiniLM.",
        f'```bash\ntts speak "4 7 2" --speaker {c.speakers[-1]} -o 472.wav\n```',
        "## License and attribution",
        "CC BY-SA 4.0. Derived from recordings of the [Free Spoken Digit Dataset]"
        "(https://github.com/Jakobovski/free-spoken-digit-dataset) by Zohar Jackson and contributors, CC BY-SA 4.0; "
        f"revision {FSDD_REVISION}, speakers {', '.join(c.speakers)}, takes 8-49 of each digit (takes 0-4 are the "
        "corpus's test split, 5-7 validation). Trimmed, brought to one level and joined: `training.config` in "
        "`config.json` says how.",
        "## Training",
        f"By {t['command']}, commit {t['commit']}: {t['step']:,} steps in {t['minutes']} minutes on {t['hardware']}. "
        f"The list of the recordings' checksums has sha256 {t['data_sha256']}; the whole config is in `config.json`.",
        f"Sampling settings, chosen on other texts than those measured here: temperature {c.sampling.temperature:g}, "
        f"duration_spread {c.sampling.duration_spread:g}, max_unit_seconds {c.max_unit_seconds:g}.",
    ]
    if report is not None:
        lines += ["## Metrics", _metrics(report), _speakers(report)]
        lines += [f"By the recognizer of this project: `{report_command}`."]
    lines += [
        "## Limits",
        "English digits only, as numerals or words. Training had sequences of one to "
        f"{t['config']['data']['sequences']['max_digits']} digits. 8 kHz, with the noise of the recordings.",
    ]
    return "\n\n".join(lines) + "\n"


def _metrics(report: dict[str, Any]) -> str:
    rows = [
        "| texts | voice: digit error, % | real recordings: digit error, % | voice: exact, % | cap, % |",
        "| --- | --- | --- | --- | --- |",
    ]
    for split, metrics in report["splits"].items():
        voice, ground_truth = metrics["voice"], metrics["ground_truth"]
        cells = [f"{NAMES[split]} ({voice['texts']})", _percent(voice), _percent(ground_truth)]
        rows.append(f"| {' | '.join(cells)} | {100 * voice['exact']:.1f} | {100 * voice['cap']:.1f} |")
    return "\n".join(rows)


def _speakers(report: dict[str, Any]) -> str:
    """Digit error by speaker, over all splits together."""
    rows = ["| speaker | voice: digit error, % | real recordings: digit error, % |", "| --- | --- | --- |"]
    splits = report["splits"].values()
    for speaker in next(iter(splits))["voice"]["by_speaker"]:
        cells = [speaker]
        for system in ("voice", "ground_truth"):
            parts = [split[system]["by_speaker"][speaker] for split in splits if speaker in split[system]["by_speaker"]]
            errors = sum(part["digit_error"] * part["digits"] for part in parts)
            cells.append(f"{100 * errors / sum(part['digits'] for part in parts):.1f}")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _percent(metrics: dict[str, Any]) -> str:
    low, high = metrics["digit_error_95"]
    return f"{100 * metrics['digit_error']:.1f} ({100 * low:.1f}-{100 * high:.1f})"


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


def main() -> int:
    """Read the arguments and write the folder."""
    return run_command("release_voice", run)


def run() -> None:
    """The command."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=path_argument, help="a run's voice folder, e.g. runs/fsdd/voice")
    parser.add_argument("to", type=path_argument, help="e.g. tts/voices/digits")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--duration-spread", type=float, default=1.0)
    parser.add_argument("--max-unit-seconds", type=float, help="default: what the run wrote")
    parser.add_argument("--default-speaker", help="default: the run's first")
    parser.add_argument("--command", required=True, help="what trained it")
    parser.add_argument("--hardware", required=True)
    parser.add_argument("--minutes", type=int, required=True)
    parser.add_argument("--commit", required=True, help="of the code that trained it")
    parser.add_argument("--report", type=path_argument, help="report.json of tts evaluate")
    parser.add_argument("--report-command", default="tts evaluate --source FSDD --out report")
    arguments = parser.parse_args()
    check_folder(arguments.to, "to")
    report = read_report(arguments.report) if arguments.report else None
    voice = released(load_voice(arguments.run), arguments)
    voice.save(arguments.to, card(voice, report, arguments.report_command))
    size = sum(path.stat().st_size for path in arguments.to.iterdir())
    print(f"{arguments.to}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())

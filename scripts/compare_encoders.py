"""Text encoders and their layers at equal training: which forms of a digit that training never had are said right?

    OMP_NUM_THREADS=1 python scripts/compare_encoders.py configs/forms.yaml data.source=FSDD --out runs/forms

Every training has the config's steps, data and seed, and numerals alone; only the encoder or its layer differs. Then
each voice says the ten digits in forms that it never had (number words, Roman numerals, ordinals, six languages): the
encoder's vectors go straight to the model, since `Voice.speak` refuses such words. Single words and pairs are read back
by our own recognizer, one judge. A training is `OUT/NAME/`, with what it said in `OUT/NAME/forms.json`. What is done is
not done again, and an interrupted run is resumed. `--only NAME,NAME` trains and judges these alone; whoever comes last
writes OUT/forms.md, .json and .png of all that is there.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from num2words import num2words

from data_recipes.sequences import DIGITS
from tts.cli.train import train
from tts.core.console import script
from tts.core.errors import InputError
from tts.core.files import atomic_write, is_file
from tts.core.statistics import wilson
from tts.core.tables import markdown_table, percent_cell
from tts.evaluation import trainings
from tts.evaluation.plots import errors_by_split
from tts.evaluation.trainings import Comparison, Settings
from tts.generation.interface import SynthesisRequest
from tts.recognition.model import Recognizer
from tts.text.encoder import TextEncoder
from tts.text.normalize import DIGIT_NAMES
from tts.text.units import nuclei, unit_vectors
from tts.voice import Voice, load_voice
from tts.voice.output import Output

TRAININGS = {
    f"{name}-{layer}": (f"text.encoder={name}", f"text.layer={layer}")
    for name, layer in (("minilm", 5), ("smollm2", 20), ("smollm2", 5), ("minilm", 2))
}
"""What each changes in the config: the encoders at their default layers, then another layer of each."""

LANGUAGES = {"Spanish": "es", "French": "fr", "German": "de", "Italian": "it", "Russian": "ru"}
NUMERALS = "numerals"
FORMS: dict[str, Sequence[str]] = {
    NUMERALS: DIGITS,
    "number words": DIGIT_NAMES,
    "Roman numerals": ["", *["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]],
    "ordinals": [num2words(digit, to="ordinal") for digit in range(10)],
    "ordinal numerals": [num2words(digit, to="ordinal_num") for digit in range(10)],
    **{name: [num2words(digit, lang=code) for digit in range(10)] for name, code in LANGUAGES.items()},
    "Chinese": list("零一二三四五六七八九"),
}
"""The words of 0 to 9; empty where there is none. The Italian zero and the French six are written as in English."""

TIMES = 3
"""How often each speaker says a single word."""
PAIRS = 20
"""Pairs of two different or equal words that each speaker says once, the same for every form and voice."""
SPLITS = ("test_seen", "test_unseen")
COLORS = ("#1f6feb", "#d97706", "#8ab4f8", "#f0b26b")


def encoded(encoder: TextEncoder, words: Sequence[str]) -> dict[int, np.ndarray]:
    """(D,) float32 of each word, by digit; without those that there are not, or that the tokenizer cannot read."""
    vectors = {}
    for digit, word in enumerate(words):
        try:
            if word:
                vectors[digit] = encoder.encode([[word]])[0][0]
        except InputError as error:
            if "cannot read the word" not in str(error):
                raise
    return vectors


def texts_of(speakers: int, seed: int) -> list[tuple[tuple[int, ...], int]]:
    """The digits and the speaker of each utterance: single digits, then pairs."""
    rng = np.random.default_rng(seed)
    singles = [((digit,), speaker) for speaker in range(speakers) for digit in range(10) for _ in range(TIMES)]
    pairs = [tuple(map(int, rng.integers(10, size=2))) for _ in range(PAIRS)]
    return singles + [(pair, speaker) for speaker in range(speakers) for pair in pairs]


def said(
    voice: Voice, vectors: Mapping[int, np.ndarray], recognizer: Recognizer, settings: Settings
) -> list[dict[str, Any]]:
    """Say a form's words, one by one and in pairs, and read them back, but for words that have no vector."""
    config = voice.config
    sampling = replace(config.sampling, duration_spread=settings.duration_spread)
    texts = [
        (number, *text)
        for number, text in enumerate(texts_of(len(config.speakers), settings.seed))
        if all(digit in vectors for digit in text[0])
    ]
    requests = [
        SynthesisRequest(
            units=unit_vectors(np.stack([vectors[digit] for digit in digits]), config.model.units_per_word),
            speaker=speaker,
            seed=int(np.random.default_rng([settings.seed, number]).integers(2**63)),
            max_frames=config.frames("max_seconds", 1 + len(digits) * config.max_unit_seconds),
            max_unit_frames=config.frames("max_unit_seconds", config.max_unit_seconds),
            sampling=sampling,
            nuclei=nuclei([1] * len(digits), config.model.units_per_word),
        )
        for number, digits, speaker in texts
    ]
    waves = []
    for one in voice.engine().generate(requests):
        output = Output(config.model.coding, config.sample_rate, sampling.comb_filter)
        waves.append(np.concatenate([output(one.codes), output.rest()]))
    return [
        {"digits": list(digits), "speaker": config.speakers[speaker], "recognized": answer}
        for (_, digits, speaker), answer in zip(texts, recognizer.recognize(waves, config.sample_rate), strict=True)
    ]


def nearest(vectors: Mapping[int, np.ndarray], numerals: Mapping[int, np.ndarray]) -> dict[str, Any]:
    """How many words are nearest (cosine) to their own numeral, and the mean cosine with it and with the others."""
    normed = np.stack([numerals[digit] / np.linalg.norm(numerals[digit]) for digit in range(10)])
    cosines = {digit: normed @ vector / np.linalg.norm(vector) for digit, vector in vectors.items()}
    return {
        "nearest": sum(int(each.argmax()) == digit for digit, each in cosines.items()),
        "own": float(np.mean([each[digit] for digit, each in cosines.items()])),
        "others": float(np.mean([np.delete(each, digit) for digit, each in cosines.items()])),
    }


def judge_forms(run: Path, recognizer: Recognizer, settings: Settings) -> None:
    """Say every form in the voice of a run and write RUN/forms.json, unless that is done.

    Raises: InputError where it was made with other settings.
    """
    path = run / "forms.json"
    if is_file(path):
        if json.loads(path.read_text(encoding="utf-8"))["settings"] != asdict(settings):
            raise InputError(f"{path} was made with other settings; remove it, or name another --out")
        return
    voice = load_voice(run / "voice")
    encoder = TextEncoder(voice.config.text_encoder)
    vectors = {form: encoded(encoder, words) for form, words in FORMS.items()}
    encoder.release()
    forms = {
        form: {
            "unreadable": [word for digit, word in enumerate(words) if word and digit not in vectors[form]],
            "missing": [digit for digit, word in enumerate(words) if not word],
            **nearest(vectors[form], vectors[NUMERALS]),
            "said": said(voice, vectors[form], recognizer, settings),
        }
        for form, words in FORMS.items()
        if vectors[form]
    }
    atomic_write(path, (json.dumps({"settings": asdict(settings), "forms": forms}, indent=1) + "\n").encode())


def shares(form: Mapping[str, Any]) -> dict[str, Any]:
    """What was said right of a form: of single words and pairs (right, all), and of how many words the most part.

    A word that the tokenizer cannot read is not said right, as often as it would have been said.
    """
    singles = [item for item in form["said"] if len(item["digits"]) == 1]
    pairs = [item for item in form["said"] if len(item["digits"]) == 2]
    by_word: dict[int, list[bool]] = {}
    for item in singles:
        by_word.setdefault(item["digits"][0], []).append(item["recognized"] == item["digits"])
    unreadable = len(form["unreadable"]) * (len(singles) // len(by_word))
    return {
        "single": (sum(map(sum, by_word.values())), len(singles) + unreadable),
        "pair": (sum(item["recognized"] == item["digits"] for item in pairs), len(pairs)),
        "words": (sum(2 * sum(right) > len(right) for right in by_word.values()), 10 - len(form["missing"])),
    }


def share(right: int, count: int) -> dict[str, Any]:
    """A share and its 95 % Wilson interval, as a plot of errors takes them."""
    return {"digit_error": right / count, "digit_error_95": wilson(right, count)}


def collect(out: Path) -> dict[str, Any]:
    """Of every training that is done: forms, unseen combinations, effort."""
    rows = {}
    for run in (out / name for name in TRAININGS):
        report = trainings.report_of(run, "strings")
        if not (is_file(run / "forms.json") and report):
            continue
        forms = json.loads((run / "forms.json").read_text(encoding="utf-8"))["forms"]
        splits = report["splits"]
        rows[run.name] = {
            "forms": {form: shares(found) | {key: found[key] for key in ("nearest", "own", "others", "unreadable")}
                      for form, found in forms.items()},
            "combinations": {split: {system: {key: found[key] for key in ("digit_error", "digit_error_95")}
                                     for system, found in splits[split].items()} for split in SPLITS},
            "effort": trainings.effort(run / "metrics.jsonl"),
        }  # fmt: skip
    return rows


def form_table(rows: Mapping[str, Any], what: str) -> str:
    """A Markdown table: a row for each form, a column for each training."""
    body = []
    for form in FORMS:
        cells = []
        for row in rows.values():
            found = row["forms"].get(form)
            if found is None:
                cells.append("unreadable")
            elif what == "words":
                cells.append("{} of {}".format(*found["words"]))
            elif what == "nearest":
                cells.append(f"{found['nearest']} of {found['words'][1]} ({found['own']:.2f}, {found['others']:.2f})")
            else:
                cells.append(percent_cell(*share(*found[what]).values()))
        body.append([form, *cells])
    return markdown_table(["", *map(label, rows)], body)


def label(name: str) -> str:
    """A training's name in tables and plots."""
    return name.replace("-", ", layer ")


def draw(rows: Mapping[str, Any]) -> bytes:
    """Share of single words said right, with intervals, by form and training, as PNG."""
    columns = {
        form.replace(" ", "\n"): {
            label(name): share(*row["forms"][form]["single"]) for name, row in rows.items() if form in row["forms"]
        }
        for form in FORMS
    }
    colors = dict(zip(map(label, TRAININGS), COLORS, strict=True))
    return errors_by_split(columns, colors, ylabel="single words said right, %")


def write(asked: Comparison) -> None:
    """Write forms.md, forms.json and forms.png of all that is done."""
    if not (rows := collect(asked.out)):
        return
    combinations = [
        [label(name), *(percent_cell(row["combinations"][split][system]["digit_error"],
                                     row["combinations"][split][system]["digit_error_95"])
                        for split in SPLITS for system in ("voice", "ground_truth"))]
        for name, row in rows.items()
    ]  # fmt: skip
    efforts = {label(name): row["effort"] for name, row in rows.items()}
    unreadable = {
        label(name): [word for found in row["forms"].values() for word in found["unreadable"]]
        for name, row in rows.items()
    }
    page = [
        "Forms that training never had: trained on numerals alone, judged by our own recognizer, which is one judge. "
        "95 % Wilson intervals in brackets.",
        f"Single words said right, %: each of the words {TIMES} times by each speaker. Chance is about 10.",
        form_table(rows, "single"),
        "![Single words said right by form and encoder](forms.png)",
        f"Pairs of which both words were said right, and no other, %: {PAIRS} by each speaker.",
        form_table(rows, "pair"),
        "Words that were said right more often than not. An interval above is about utterances; words are only ten:",
        form_table(rows, "words"),
        "In the encoder: words nearest to their own numeral by cosine (mean cosine with it, with the other numerals):",
        form_table(rows, "nearest"),
        "Not readable by the tokenizer, counted as not said right: "
        + "; ".join(f"{name}: {' '.join(words) or 'none'}" for name, words in unreadable.items())
        + ".",
        "Numerals in combinations, which may have one digit more than training's: digit error, %.",
        markdown_table(["", "seen", "real recordings", "unseen", "real recordings"], combinations),
        trainings.effort_table(efforts, asked.base.data.recordings.sample_rate),
    ]
    trainings.write_results(asked, "forms", page, rows, draw(rows))


def run(argv: Sequence[str] | None) -> None:
    """Parse, train, judge, write."""
    asked = trainings.parse(argv, "compare_encoders", "configs/forms.yaml", TRAININGS, 60)
    recognizer = Recognizer.load()
    for one in asked.trainings.values():
        if not is_file(one.output / "forms.json"):
            train(one, resume=trainings.is_begun(one))
        judge_forms(one.output, recognizer, asked.settings)
        # One digit more than training's: of two digits there are too few combinations that are held out.
        material = trainings.material_of(one, asked.settings, SPLITS, one.data.sequences.max_digits + 1)
        trainings.judge(one.output, {"strings": material}, recognizer, asked.settings)
    write(asked)


main = script("compare_encoders", run)

if __name__ == "__main__":
    sys.exit(main())

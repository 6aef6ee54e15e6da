"""`tts data list|build|show`: which datasets can be built, build one, look at one."""

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from tts.core.errors import InputError
from tts.core.files import path_argument

CORPORA = {
    "fsdd": "the recordings of the Free Spoken Digit Dataset: single digits by six speakers",
    "speech_commands": "words of Google Speech Commands by hundreds of speakers, from its folder, archive or the hub",
    "prompts": "recordings of words in folders: telephone prompts of Asterisk and FreeSWITCH, or files named WORD.wav",
    "espeak": "words said by any number of eSpeak NG's synthetic voices; nothing is downloaded",
}
RECIPES = {
    **CORPORA,
    "folder": "any audio files cut in equal pieces, without text",
    "sequences": "recordings of one of these corpora joined: train, validation and test splits with hold-outs",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of `tts data` its subcommands; `run` carries out what they parse."""
    commands = parser.add_subparsers(dest="data_command", required=True, metavar="list|build|show")
    commands.add_parser("list", help="which datasets can be built")
    show = commands.add_parser("show", help="rows, hours, speakers and options of a dataset folder")
    show.add_argument("folder", type=path_argument, metavar="DIR")
    build = commands.add_parser("build", help="build a dataset folder that datasets.load_dataset reads")
    recipes = build.add_subparsers(dest="recipe", required=True, metavar="|".join(RECIPES))
    for name, text in RECIPES.items():
        _add_build_arguments(recipes.add_parser(name, help=text, description=f"Build {text}."), name)


def _add_build_arguments(parser: argparse.ArgumentParser, recipe: str) -> None:
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR", help="folder to write")
    source = "where the corpus lies, in its own layout; fsdd is downloaded if not given, espeak has none"
    parser.add_argument("--source", type=path_argument, nargs="+", metavar="PATH", help=source)
    parser.add_argument("--force", action="store_true", help="replace a dataset that was built there before")
    parser.add_argument("--push-to-hub", metavar="OWNER/NAME", help="upload the folder once it is written")
    parser.add_argument("--num-proc", type=int, default=1, metavar="N", help="processes; the rows do not depend on it")
    parser.add_argument("--speakers", nargs="+", metavar="NAME", help="these speakers only")
    _add_corpus_arguments(parser, recipe)
    group = parser.add_argument_group("recordings")
    group.add_argument("--sample-rate", type=int, metavar="HZ", help="default 8000")
    group.add_argument("--denoise-db", type=float, metavar="DB", help="lower steady noise by up to this; default 0")
    group.add_argument("--dequantize", action="store_true", default=None, help="noise of a step where bits are few")
    group.add_argument("--no-trim", dest="trim", action="store_const", const=False, help="keep silence at the ends")
    group.add_argument("--trim-floor-db", type=float, metavar="DB", help="lowest trim threshold; default -40")
    group.add_argument("--trim-ceiling-db", type=float, metavar="DB", help="highest trim threshold; default -28")
    group.add_argument("--trim-margin-db", type=float, metavar="DB", help="threshold over the quietest; default 10")
    group.add_argument("--pad-seconds", type=float, metavar="S", help="kept on both sides; default 0.02")
    group.add_argument("--level-dbfs", type=_level, metavar="DB", help="level of the speech, or 'none'; default -20")
    group.add_argument("--keep-dc", dest="remove_dc", action="store_const", const=False, help="keep the mean")
    group.add_argument("--fade-seconds", type=float, metavar="S", help="at both ends; default 0.005")
    _add_augment_arguments(parser)
    if recipe != "sequences":
        return
    group = parser.add_argument_group("sequences")
    group.add_argument("--count", type=int, default=10_000, metavar="N", help="rows of train; default 10000")
    group.add_argument("--eval-count", type=int, default=500, metavar="N", help="rows of each other split; default 500")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    group.add_argument("--min-digits", type=int, metavar="K", help="default 1")
    group.add_argument("--max-digits", type=int, metavar="K", help="default 5")
    group.add_argument("--gap-seconds", type=float, nargs=2, metavar=("LOW", "HIGH"), help="default 0 0.12")
    group.add_argument("--edge-seconds", type=float, nargs=2, metavar=("LOW", "HIGH"), help="default 0.03 0.12")
    group.add_argument("--long-gap-probability", type=float, metavar="P", help="share of longer gaps; default 0.1")
    group.add_argument("--long-gap-seconds", type=float, metavar="S", help="how long those get; default 0.35")
    group.add_argument("--dither", type=float, metavar="RMS", help="noise added throughout; default 0.0002")
    group.add_argument("--hold-outs", nargs="*", metavar="NAME", help="default repeat bigram position unseen")


def _add_corpus_arguments(parser: argparse.ArgumentParser, recipe: str) -> None:
    """What is taken of the corpus. `sequences` has the options of all; each corpus refuses those that it has not."""
    any_corpus = recipe == "sequences"
    if any_corpus:
        parser.add_argument("--corpus", choices=CORPORA, default="fsdd", help="whose recordings; default fsdd")
    if any_corpus or recipe not in ("fsdd", "folder"):
        parser.add_argument("--words", nargs="+", metavar="WORD", help="these words (default: digits; prompts: all)")
    if any_corpus or recipe in ("prompts", "espeak"):
        text = "language of the prompts, for all folders or for each, or of eSpeak's voices"
        parser.add_argument("--language", nargs="+", metavar="XX", dest="languages", help=text)
    if any_corpus or recipe == "espeak":
        parser.add_argument("--voices", type=int, metavar="N", help="how many voices of eSpeak's; default 10")
        parser.add_argument("--takes", type=int, metavar="N", help="how often each says a word; default 20")
    if recipe == "folder":
        parser.add_argument("--piece-seconds", type=float, metavar="S", help="length of a piece; default 2")
    text = "take all speakers as one, for a corpus in which hardly anybody says all words"
    parser.add_argument("--one-speaker", action="store_const", const=True, help=text)


def _add_augment_arguments(parser: argparse.ArgumentParser) -> None:
    """What is drawn for each row of train."""
    group = parser.add_argument_group("augmentation of train, drawn for each row")
    text = "add a piece of the audio there to each row"
    group.add_argument("--background", type=path_argument, metavar="DIR", help=text)
    pair: dict[str, Any] = {"type": float, "nargs": 2, "metavar": ("LOW", "HIGH")}
    group.add_argument("--snr-db", **pair, help="speech over background; default 5 30")
    group.add_argument("--gain-db", **pair, help="default 0 0")
    group.add_argument("--speed", **pair, help="a factor, which changes pitch as well; default 1 1")
    group.add_argument("--highpass-hz", **pair, help="lowest frequency that is left; default: all")
    group.add_argument("--lowpass-hz", **pair, help="highest frequency that is left; default: all")
    group.add_argument("--augment-seed", type=int, metavar="N", help="default 0")


def _level(text: str) -> float | str:
    return text if text == "none" else float(text)


def run(args: argparse.Namespace) -> int:
    """Carry out `tts data ...`; returns the exit code. Raises InputError for the user's mistakes."""
    if args.data_command == "list":
        width = max(map(len, RECIPES))
        for name, text in RECIPES.items():
            print(f"{name:{width}}  {text}")
    elif args.data_command == "show":
        print(show(args.folder))
    else:
        out = build(args)
        print(show(out))
        if args.push_to_hub:
            from data_recipes.dataset import push_to_hub

            print(f"pushed to {push_to_hub(out, args.push_to_hub)}", file=sys.stderr)
    return 0


def build(args: argparse.Namespace) -> Path:
    """Build what the parsed arguments of `tts data build` say; returns the folder."""
    from data_recipes.augment import AugmentOptions
    from data_recipes.build import build_corpus, build_sequences
    from data_recipes.corpora import load_corpus
    from data_recipes.corpus import CorpusOptions, RecordingOptions
    from data_recipes.dataset import check_output, check_repo_id
    from data_recipes.sequences import SequenceOptions

    if args.push_to_hub:
        check_repo_id(args.push_to_hub)
    check_output(args.out, args.force)  # before the work, not after it
    recording_options = RecordingOptions(**_given(args, RecordingOptions))
    augmenting = AugmentOptions(**_given(args, AugmentOptions))
    joined = args.recipe == "sequences"
    if joined:
        options = SequenceOptions(**_given(args, SequenceOptions))
    for name, least in (("count", 1), ("eval_count", 1), ("seed", 0), ("num_proc", 1)):
        if getattr(args, name, least) < least:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)}: need at least {least}")
    corpus = load_corpus(
        args.corpus if joined else args.recipe,
        args.source,
        recording_options,
        args.speakers,
        CorpusOptions(**_given(args, CorpusOptions)),
        args.num_proc,
        progress=True,
    )
    if not joined:
        return build_corpus(corpus, args.out, args.force, args.num_proc, augmenting)
    return build_sequences(
        corpus, options, args.out, args.count, args.eval_count, args.seed, args.force, args.num_proc, augmenting
    )


def _given(args: argparse.Namespace, options: type) -> dict[str, Any]:
    """The options' fields that the command line sets; for the others the dataclass has the default."""
    given = {item.name: getattr(args, item.name, None) for item in fields(options)}
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return {name: None if value == "none" else value for name, value in plain.items() if value is not None}


def show(folder: Path) -> str:
    """What a dataset folder holds, as text. Raises: InputError if it is not a whole dataset built here."""
    from data_recipes.dataset import read_recipe, speakers_text

    recipe = read_recipe(folder)
    lines = [f"{folder}: recipe {recipe['recipe']}, {recipe['sample_rate']} Hz", f"source: {recipe['source']}"]
    lines += [f"note: {note}" for note in recipe["notes"]]
    lines += [f"{'split':12} {'rows':>7} {'hours':>7}  speakers"]
    for name, split in recipe["splits"].items():
        lines += [f"{name:12} {split['rows']:7} {split['hours']:7.3f}  {speakers_text(split['speakers'])}"]
    return "\n".join([*lines, "options: " + json.dumps(recipe["options"])])

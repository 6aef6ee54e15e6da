"""`tts evaluate`: a voice or files judged on texts, as a report and a line for each split."""

import argparse

from tts.core.errors import InputError
from tts.core.files import check_folder, path_argument

DEFAULT_SPLITS = {
    "digit": "test_seen,test_unseen,bigram,position,length,repeat,long",
    "word": "test_unseen,cardinal,time",
}
"""By what the voice's errors are counted in; `BASE` has the default judge."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts evaluate`."""
    what = parser.add_argument_group("what is judged")
    what.add_argument("--voice", metavar="VOICE", help="name, folder or hub id (default: the one that ships)")
    what.add_argument("--baseline", metavar="VOICE", help="a second voice for every table")
    what.add_argument("--wav-dir", type=path_argument, metavar="DIR", help="judge these files instead of a voice")
    rows = "what the files say: CSV or .jsonl, path,text,speaker"
    what.add_argument("--manifest", type=path_argument, metavar="FILE", help=rows)
    real = parser.add_argument_group("real recordings")
    real.add_argument("--data", type=path_argument, metavar="DIR", help="dataset that `tts data build sequences` wrote")
    corpus = "FSDD in its own layout (default: download it); of other words, the voice's corpus"
    real.add_argument("--source", type=path_argument, metavar="DIR", help=corpus)
    how = parser.add_argument_group("how")
    others = (
        f"default: {DEFAULT_SPLITS['digit']}; also: words, single, digits20, digits100, any; default of a voice of "
    )
    how.add_argument("--splits", metavar="A,B", help=f"{others}other words than digits: {DEFAULT_SPLITS['word']}")
    how.add_argument("--n", type=int, default=100, metavar="N", help="texts in each split (default: %(default)s)")
    how.add_argument("--seed", type=int, default=0, metavar="S", help="of the texts and the speaking (default: 0)")
    how.add_argument(
        "--max-digits", type=int, default=5, metavar="K", help="longest combinations, in words (default: 5)"
    )
    how.add_argument("--temperature", type=float, metavar="T", help="default: the voice's own")
    vowels = "times --temperature in the vowels; default: the voice's own"
    how.add_argument("--nucleus-temperature", type=float, metavar="X", help=vowels)
    how.add_argument("--comb-filter", type=float, metavar="X", help="0 to 1; default: the voice's own")
    how.add_argument("--duration-spread", type=float, metavar="X", help="default: the voice's own")
    judges = (
        "own, our recognizer, and second, both of digits; whisper, dnsmos, periodicity, speaker "
        "(default: own or whisper)"
    )
    how.add_argument("--judges", metavar="A,B", help=judges)
    how.add_argument("--recognizer", type=path_argument, metavar="DIR", help="default: the one that ships")
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--force", action="store_true", help="replace the evaluation that lies there")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the report, print a line for each split and system. Raises InputError for the user's mistakes."""
    _check(args)
    from tts.evaluation import running
    from tts.evaluation.judges.loading import BASE, load_judges
    from tts.evaluation.judges.tables import headline
    from tts.evaluation.manifest import read_manifest
    from tts.evaluation.material import for_voice, unit_of
    from tts.evaluation.report import write_reports
    from tts.evaluation.systems import of_files, of_voice
    from tts.evaluation.test_sets import for_texts
    from tts.recognition.model import Recognizer
    from tts.training.precision import accelerate_state
    from tts.voice import load_voice
    from tts.voice.options import SpeakChanges

    voice = None if args.wav_dir else load_voice(args.voice)
    unit = unit_of(voice) if voice else "digit"
    judges = load_judges(
        _names(BASE[unit] if args.judges is None else args.judges), unit, voice.config.language if voice else "en"
    )
    if unit == "word" and args.recognizer:
        raise InputError("--recognizer reads digits, and the voice says other words; leave it out")
    recognizer = Recognizer.load(args.recognizer) if unit == "digit" else None
    if voice:
        baseline = load_voice(args.baseline) if args.baseline else None
        splits = _names(DEFAULT_SPLITS[unit] if args.splits is None else args.splits)
        progress = accelerate_state().is_main_process
        material = for_voice(voice, args.data, args.source, splits, args.n, args.seed, args.max_digits, progress)
        options: SpeakChanges = {
            "temperature": args.temperature,
            "nucleus_temperature": args.nucleus_temperature,
            "comb_filter": args.comb_filter,
            "duration_spread": args.duration_spread,
        }
        evaluation = of_voice(voice, material, recognizer, args.out, args.seed, baseline, options, judges)
    else:
        rows = read_manifest(args.manifest, args.wav_dir)
        material = for_texts([row.text for row in rows], args.source, args.seed)
        assert recognizer is not None, "without a voice the unit is the digit"
        evaluation = of_files(rows, material, recognizer, judges)
    if judged := running.run(evaluation, args.out, args.force, args.seed):
        write_reports(args.out, *judged)
        running.finish(args.out, *judged)
        for split, systems in judged[0]["splits"].items():
            for system, metrics in systems.items():
                low, high = metrics[f"{unit}_error_95"]
                print(
                    f"{split:12} {system:8} {unit} error {100 * metrics[f'{unit}_error']:6.2f} % "
                    f"({100 * low:.2f}-{100 * high:.2f}), exact {100 * metrics['exact']:6.2f} %, "
                    f"stop errors {100 * metrics['stop_error']:6.2f} %, {metrics['texts']} texts"
                )
        if judges:
            print(*headline(judged[0]["splits"]), sep="\n")
    return 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _check(args: argparse.Namespace) -> None:
    check_folder(args.out, "--out")
    for name, least in (("n", 1), ("seed", 0), ("max_digits", 1)):
        if getattr(args, name) < least:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(args, name)}; it must be at least {least}")
    if args.max_digits > 5:
        raise InputError(f"--max-digits is {args.max_digits}; it must be at most 5; longer: long, digits20, digits100")
    if bool(args.wav_dir) != bool(args.manifest):
        raise InputError("--wav-dir and --manifest belong together; give both or neither")
    if args.n < 2 and "single" in (args.splits or ""):
        raise InputError(f"--n is {args.n}; the split single, whose clips are compared as a set, needs at least 2")
    if args.wav_dir and (args.voice or args.baseline or args.data):
        raise InputError("--wav-dir judges files; leave --voice, --baseline and --data out")
    if args.data and args.source:
        raise InputError("--data and --source both name the real recordings; give one of them")

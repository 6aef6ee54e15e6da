"""`tts plot softmax`: what a voice's softmax says, sample by sample, as a picture or a video."""

import argparse

from tts.core.errors import InputError
from tts.core.files import check_new_file, path_argument

PICTURE, VIDEO = ".png", ".mp4"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of `tts plot` its subcommands."""
    plots = parser.add_subparsers(dest="plot", required=True, metavar="softmax")
    what = (
        "the predicted distribution of each sample of a clip: how often it has one mode, how near it is to a Gaussian"
    )
    softmax = plots.add_parser("softmax", help=what, description=f"Plot {what}.")
    softmax.add_argument("text", metavar="TEXT", nargs="+", help="the voice's words; the voice says them")
    recording = "a recording of TEXT beside it, teacher-forced; of several words they must be digits"
    softmax.add_argument("--recording", type=path_argument, metavar="FILE", help=recording)
    out = f"{PICTURE}: a picture of the whole clip; {VIDEO}: a video, one image a sample"
    softmax.add_argument("-o", "--out", type=path_argument, required=True, metavar="FILE", help=out)
    softmax.add_argument("--voice", metavar="VOICE", help="name, folder or hub id (default: the one that ships)")
    softmax.add_argument("--speaker", metavar="NAME", help="default: the voice's first")
    softmax.add_argument("--seed", type=int, default=0, metavar="N", help="of the speaking (default: 0)")
    group = softmax.add_argument_group("video")
    group.add_argument("--frames", type=int, default=250, metavar="N", help="images, one a sample (default: 250)")
    group.add_argument("--fps", type=int, default=25, metavar="N", help="images a second (default: 25)")
    start = "of the first image (default: so that the loudest moment is in the middle)"
    group.add_argument("--start", type=float, metavar="S", help=f"second {start}")
    softmax.add_argument("--force", action="store_true", help="replace a file that exists")


def run(args: argparse.Namespace) -> int:
    """Plot, and print the measures of each clip. Raises InputError for the user's mistakes."""
    suffix = args.out.suffix.lower()
    if suffix not in (PICTURE, VIDEO):
        raise InputError(f"cannot write {args.out}: its name must end in {PICTURE} (a picture) or {VIDEO} (a video)")
    for name in ("frames", "fps"):
        if not 1 <= getattr(args, name) <= 100_000:
            raise InputError(f"--{name} is {getattr(args, name)}; it must be from 1 to 100000")
    if args.start is not None and not 0 <= args.start < 1e6:
        raise InputError(f"--start is {args.start}; it must be a second of the clip, at least 0")
    check_new_file(args.out, args.force)
    from tts.core.files import atomic_write
    from tts.evaluation.softmax import Predictor, prepared_recording
    from tts.evaluation.softmax_plots import picture, video
    from tts.voice import load_voice

    voice = load_voice(args.voice)
    words = voice.check(" ".join(args.text), args.speaker)
    said = voice.speak(" ".join(args.text), args.speaker, args.seed)
    predictor = Predictor(voice)
    predictions = [predictor.spoken(said)]
    if args.recording:
        recorded = prepared_recording(args.recording, words, voice.sample_rate)
        predictions.insert(0, predictor.recorded(recorded[0], words, recorded[1], said.speaker))
    for prediction in predictions:
        found = prediction.shape.summary()
        print(
            f"{prediction.title}: {len(prediction.codes)} samples, entropy {found['entropy']:.2f} bits; over codes "
            f"{100 * found['unimodal']:.1f} % unimodal, {found['kl_codes']:.3f} bits from a Gaussian; over wave values "
            f"{100 * found['unimodal_wave']:.1f} % and {found['kl_wave']:.3f} bits"
        )
    data = picture(predictions) if suffix == PICTURE else video(predictions, args.frames, args.fps, args.start)
    atomic_write(args.out, data)
    print(args.out)
    return 0

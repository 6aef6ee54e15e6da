"""`tts voices`: the voices that ship with the package, or the words of one voice."""

import argparse

SHOWN = 5  # words of a voice in its line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The argument of `tts voices`."""
    parser.add_argument("voice", metavar="VOICE", nargs="?", help="name, folder or hub id: list the words that it says")


def run(arguments: argparse.Namespace) -> int:
    """One line a voice: name, size, sample rate, license, speakers, words; of one voice, one line a word."""
    from tts.text.normalize import SPOKEN, is_digits
    from tts.voice import installed_voices, load_voice, read_config

    if arguments.voice is not None:
        print(*load_voice(arguments.voice).vocabulary, sep="\n")
        return 0
    rows = [("voice", "size", "rate", "license", "speakers", "words")]
    for name, folder in installed_voices().items():
        config = read_config(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        license = config.license or "not stated"
        words = sorted(config.sayable)
        more = f", … ({len(words)})" if len(words) > SHOWN else ""
        said = "digits" if is_digits(words) and len(words) == len(SPOKEN) else ", ".join(words[:SHOWN]) + more
        speakers = ", ".join(config.speakers)
        rows.append((name, f"{size / 1e6:.1f} MB", f"{config.sample_rate} Hz", license, speakers, said))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0

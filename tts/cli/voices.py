"""`tts voices`: the voices that ship with the package."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`tts voices` takes none."""


def run(arguments: argparse.Namespace) -> int:
    """One line a voice: name, size, sample rate, license, speakers."""
    from tts.voice import installed_voices, read_config

    rows = [("voice", "size", "rate", "license", "speakers")]
    for name, folder in installed_voices().items():
        config = read_config(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        license = config.license or "not stated"
        rows.append((name, f"{size / 1e6:.1f} MB", f"{config.sample_rate} Hz", license, ", ".join(config.speakers)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0

"""Write the samples that README links to: a few WAV files spoken by a voice, and a spectrogram beside a recording.

    python scripts/make_samples.py --source FSDD --out docs/samples

The WAV files hold synthetic speech only. The picture `472.png` shows what `tts speak "4 7 2"` says (the voice's default
speaker, seed 0) above test recordings of the same digits by the same speaker, joined with 60 ms of silence. The
recordings are from the Free Spoken Digit Dataset (license CC BY-SA 4.0, takes 0-4, which no training uses); no
recording is copied. Units are marked in both by the same energy rule (`tts.text.units`): onset, nucleus and coda of
each word, then the pause after it.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import tts
from data_recipes.fsdd import build_recordings
from data_recipes.sequences import SequenceOptions, join
from tts.core.errors import InputError
from tts.core.files import atomic_write
from tts.core.plots import png
from tts.evaluation.plots import draw_spectrogram
from tts.text.normalize import digits, words
from tts.text.units import unit_ends
from tts.voice import Voice

UNITS_PER_WORD = 4
"""Onset, nucleus, coda, pause."""

SAMPLES: tuple[tuple[str, str | None, int], ...] = (
    ("4 7 2", None, 0),
    ("4 7 2", "jackson", 1),
    ("three one four one five", "yweweler", 0),
    ("6 4 6", "nicolas", 0),
)
"""Text, speaker (None: the voice's default) and seed of each WAV file; the last is what judges misread most."""

PICTURE_TEXT = "4 7 2"
SILENCE = SequenceOptions(gap_seconds=(0.06, 0.06), edge_seconds=(0.06, 0.06), long_gap_probability=0)
"""How the recordings are joined."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", type=Path, required=True, metavar="FSDD", help="folder of the corpus")
    parser.add_argument("--out", type=Path, default=Path("docs/samples"), metavar="DIR", help="(docs/samples)")
    parser.add_argument("--voice", default=None, help="name, folder or hub id (the shipped voice)")
    parser.add_argument("--take", type=int, default=0, choices=range(5), help="test take of each recording (0)")
    chosen = parser.parse_args(arguments)
    try:
        voice = tts.load_voice(chosen.voice) if chosen.voice else tts.load_voice()
        picture = draw_comparison(voice, chosen.source, chosen.take)
        chosen.out.mkdir(parents=True, exist_ok=True)
        write_waves(voice, chosen.out)
        atomic_write(chosen.out / f"{_name(PICTURE_TEXT)}.png", picture)
    except InputError as error:
        print(f"make_samples: {error}", file=sys.stderr)
        return 2
    return 0


def write_waves(voice: Voice, folder: Path) -> None:
    """Speak each of `SAMPLES` into a WAV file, named by text and speaker."""
    for text, speaker, seed in SAMPLES:
        audio = voice.speak(text, speaker=speaker, seed=seed)
        audio.save(folder / f"{_name(text)}-{audio.speaker}.wav", force=True)


def draw_comparison(voice: Voice, source: Path, take: int) -> bytes:
    """A PNG of two spectrograms: `PICTURE_TEXT` as the voice says it, and as recorded."""
    spoken = voice.speak(PICTURE_TEXT)
    recordings = build_recordings(source, speakers=[spoken.speaker])["test"]
    by_digit = {recording.digit: recording for recording in recordings if recording.take == take}
    said = digits(spoken.words)
    recorded = join([by_digit[digit] for digit in said], SILENCE, np.random.default_rng(0))
    if recorded.sample_rate != spoken.sample_rate:
        raise InputError(f"the voice speaks at {spoken.sample_rate} Hz, the recordings have {recorded.sample_rate} Hz")
    rows = (
        (f'tts speak "{PICTURE_TEXT}" (synthetic, {spoken.speaker})', spoken.samples, spoken.word_ends),
        (f"recordings of {spoken.speaker} (FSDD test takes, CC BY-SA 4.0)", recorded.audio, recorded.boundaries),
    )
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    longest = max(len(wave) for _, wave, _ in rows) / spoken.sample_rate
    axes = figure.subplots(len(rows), 1, sharex=True)
    for axis, (title, wave, word_ends) in zip(axes, rows, strict=True):
        draw_spectrogram(axis, wave, spoken.sample_rate)
        mark_units(axis, unit_ends(wave, word_ends, spoken.sample_rate), said, spoken.sample_rate)
        axis.set_title(title, fontsize=11, loc="left", pad=18)
        axis.set_ylabel("frequency", fontsize=10)
        axis.tick_params(labelsize=10)
        axis.set_xlim(0, longest)
        axis.set_facecolor("black")
    axes[-1].set_xlabel(
        "time, seconds      dotted lines: onset | nucleus | coda | pause of each word      solid lines: end of a word",
        fontsize=10,
    )
    return few_colors(png(figure, dpi=100))


def few_colors(picture: bytes, colors: int = 48) -> bytes:
    """A PNG with a palette: a fraction of the size, and no difference to see."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(colors, dither=Image.Dither.NONE).save(
        buffer, format="PNG", optimize=True
    )
    return buffer.getvalue()


def mark_units(axis: Axes, unit_ends: Sequence[int], said: Sequence[int], sample_rate: int) -> None:
    """Draw the ends of units, (1 + W x 4,) samples, as lines, and each digit above its word."""
    for number, end in enumerate(unit_ends[:-1]):
        ends_word = number > 0 and number % UNITS_PER_WORD == 0
        style, width = ("-", 1.4) if ends_word else (":", 1.0)
        axis.axvline(end / sample_rate, color="white", linewidth=width, linestyle=style)
    for word, digit in enumerate(said):
        begin, end = unit_ends[word * UNITS_PER_WORD], unit_ends[word * UNITS_PER_WORD + UNITS_PER_WORD - 1]
        middle = (begin + end) / 2 / sample_rate
        axis.text(middle, 1.02, str(digit), transform=axis.get_xaxis_transform(), ha="center", fontsize=12)


def _name(text: str) -> str:
    return "".join(map(str, digits(words(text))))


if __name__ == "__main__":
    sys.exit(main())

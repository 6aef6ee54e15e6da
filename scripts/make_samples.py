"""Write the samples that README links to: a few WAV files spoken by a voice, and a spectrogram beside a recording.

    python scripts/make_samples.py --source FSDD --out docs/samples

The WAV files hold synthetic speech only, of that voice and of `numbers`. The picture `472.png` shows what `tts speak
"4 7 2"` says (the voice's default speaker, seed 0) above test recordings of the same digits by the same speaker, joined
with 60 ms of silence. The recordings are from the Free Spoken Digit Dataset (license CC BY-SA 4.0, takes 0-4, which no
training uses); no recording is copied. Units are marked in both by the same energy rule (`tts.text.units`): onset,
nucleus and coda of each word, then the pause after it.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from data_recipes.fsdd import build_recordings
from data_recipes.sequences import SequenceOptions, join
from tts.core.console import Parser, script
from tts.core.errors import InputError
from tts.core.files import atomic_write, path_argument
from tts.core.plots import png
from tts.evaluation.plots import draw_spectrogram
from tts.text.normalize import digits, words
from tts.text.units import unit_ends
from tts.voice import Voice, load_voice

UNITS_PER_WORD = 4
"""Onset, nucleus, coda, pause."""

SAMPLES: tuple[tuple[str, str | None, int], ...] = (
    ("4 7 2", None, 0),
    ("4 7 2", "jackson", 1),
    ("three one four one five", "yweweler", 0),
    ("6 4 6", "nicolas", 0),
)
"""Text, speaker (None: the voice's default) and seed of each WAV file; the last is what judges misread most."""

NUMBERS_SAMPLE = ("342016-numbers.wav", "three hundred forty two thousand sixteen")
"""File and text of what the voice `numbers` says."""

PICTURE_TEXT = "4 7 2"
SILENCE = SequenceOptions(gap_seconds=(0.06, 0.06), edge_seconds=(0.06, 0.06), long_gap_probability=0)
"""How the recordings are joined."""


def run(arguments: Sequence[str] | None) -> None:
    """Parse, draw, speak."""
    parser = Parser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", type=path_argument, required=True, metavar="FSDD", help="folder of the corpus")
    parser.add_argument("--out", type=path_argument, default=Path("docs/samples"), metavar="DIR", help="(docs/samples)")
    parser.add_argument("--voice", help="name, folder or hub id (the shipped voice)")
    chosen = parser.parse_args(arguments)
    voice = load_voice(chosen.voice)
    picture = draw_comparison(voice, chosen.source)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for text, speaker, seed in SAMPLES:
        spoken = voice.speak(text, speaker=speaker, seed=seed)
        spoken.save(chosen.out / f"{_name(text)}-{spoken.speaker}.wav", force=True)
    file, text = NUMBERS_SAMPLE
    load_voice("numbers").speak(text).save(chosen.out / file, force=True)
    atomic_write(chosen.out / f"{_name(PICTURE_TEXT)}.png", picture)


def draw_comparison(voice: Voice, source: Path) -> bytes:
    """A PNG of two spectrograms: `PICTURE_TEXT` as the voice says it, and as recorded."""
    spoken = voice.speak(PICTURE_TEXT)
    recordings = build_recordings(source, speakers=[spoken.speaker])["test"]
    by_digit = {recording.digit: recording for recording in recordings if recording.take == 0}
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
    legend = "dotted lines: onset | nucleus | coda | pause of each word      solid lines: end of a word"
    axes[-1].set_xlabel(f"time, seconds      {legend}", fontsize=10)
    # A palette makes the file a fraction of the size, and no difference is to be seen.
    picture = Image.open(io.BytesIO(png(figure, dpi=100))).convert("RGB").quantize(48, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def mark_units(axis: Axes, unit_ends: Sequence[int], said: Sequence[int], sample_rate: int) -> None:
    """Draw the ends of units, (1 + W x 4,) samples, as lines, and each digit above its word."""
    for number, end in enumerate(unit_ends[:-1]):
        ends_word = number > 0 and number % UNITS_PER_WORD == 0
        style, width = ("-", 1.4) if ends_word else (":", 1.0)
        axis.axvline(end / sample_rate, color="white", linewidth=width, linestyle=style)
    for word, digit in enumerate(said):
        first = word * UNITS_PER_WORD
        middle = (unit_ends[first] + unit_ends[first + UNITS_PER_WORD - 1]) / 2 / sample_rate
        axis.text(middle, 1.02, str(digit), transform=axis.get_xaxis_transform(), ha="center", fontsize=12)


def _name(text: str) -> str:
    return "".join(map(str, digits(words(text))))


main = script("make_samples", run)

if __name__ == "__main__":
    sys.exit(main())

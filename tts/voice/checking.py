"""A text and what goes with it, checked and made a request for an engine. Letters: W words."""

from collections.abc import Callable, Sequence

import numpy as np

from tts.core.errors import InputError
from tts.core.sampling import integer
from tts.generation.interface import SynthesisRequest
from tts.text.languages import LANGUAGES
from tts.text.normalize import is_digits, words
from tts.text.pauses import Reading
from tts.text.reading import ReadMode, fit, read
from tts.text.units import nuclei, syllables, unit_vectors
from tts.text.units import pauses as pause_units
from tts.voice.config import VoiceConfig
from tts.voice.options import SpeakOptions
from tts.voice.result import CheckedText


def checked_text(
    config: VoiceConfig,
    sayable: frozenset[str],
    vectors: Callable[[list[str]], np.ndarray],
    options: SpeakOptions,
    text: str,
    speaker: str | None,
    seed: int,
) -> CheckedText:
    """Check a text and what goes with it; see `Voice.speak`.

    Args: sayable, the words that the voice can say; vectors, of words: (W, word_dim) float32.
    """
    seconds, speed = options.max_seconds, options.checked_speed()
    if speed != 1 and config.model.duration != "explicit":
        raise InputError(
            f"voice {config.name} decides on durations while it speaks (duration: implicit), so it has one speed; "
            f"leave speed at 1, not {speed}",
            param="speed",
        )
    spoken, pauses = (reading := reading_of(config, sayable, text, options.read)).words, reading.pauses
    if config.model.conditioning == "pooled" and "[" in text:
        raise InputError(
            f"voice {config.name} has no segments (conditioning: pooled), so no place for a pause like [1s]"
        )
    index = config.speaker_index(speaker)
    counts, per_word = syllables(spoken), config.model.units_per_word
    request = SynthesisRequest(
        units=unit_vectors(vectors(spoken), per_word, counts),
        speaker=index,
        seed=integer("seed", seed),
        max_frames=config.frames(
            "max_seconds", 1 + len(spoken) * config.max_unit_seconds / speed if seconds is None else seconds
        ),
        max_unit_frames=config.frames("max_unit_seconds", config.max_unit_seconds),
        sampling=options.sampling(config),
        nuclei=nuclei(counts, per_word),
        speed=speed,
        silences=_silences(config, pauses, spoken),
    )
    return CheckedText(spoken, config.speakers[index], request, config)


def reading_of(config: VoiceConfig, sayable: frozenset[str], text: str, how: ReadMode | None) -> Reading:
    """The words to say, all of which the voice can, and the pauses between them. Raises InputError."""
    language = config.language
    how = how or ("digits" if is_digits(sayable) or language not in LANGUAGES else "auto")
    found = read(text, how, language, sayable)
    if how == "digits":
        return found
    return fit(found, sayable, language).replaced(lambda word: words(word, sayable))


def _silences(config: VoiceConfig, pauses: Sequence[float], spoken: Sequence[str]) -> dict[int, np.ndarray]:
    """What an engine inserts for a pause before the first word and after each one: by unit, codes."""
    model, rate = config.model, config.sample_rate
    if model.conditioning == "pooled":
        return {}
    ends = range(len(spoken)) if model.units_per_word == 1 else pause_units(syllables(spoken))[1:].tolist()
    return {
        unit: np.full(round(seconds * rate), model.q_levels // 2, np.int16)
        for unit, seconds in zip([-1, *ends], pauses, strict=True)
        if seconds
    }

"""Recordings of single digits that a voice makes, as a source for training a recognizer.

A recognizer that never had a real recording, and reads real ones, shows that the voice is intelligible and varied at
once (Ravuri & Vinyals 2019, "Classification Accuracy Score", for the idea). Every recording is prepared as real ones
are; nothing is selected.
"""

import numpy as np

from data_recipes.corpus import Recording, RecordingOptions, prepare
from data_recipes.sequences import DIGITS
from tts import audio
from tts.core.errors import InputError
from tts.voice import load_voice

VALIDATION_TAKES = 3
GENERATED = "train and validation (choice of weights) are takes of different seeds"
STREAMS = 16


def recordings_of(name: str, takes: int, seed: int) -> dict[str, list[Recording]]:
    """What a voice says: `takes` recordings of each digit by each speaker as "train", 3 more as "validation".

    Args: name, a voice's name or folder; seed, of the voice's seeds.

    Raises: InputError for no such voice, or one that does not say all ten digits.
    """
    voice = load_voice(name)
    if missing := [digit for digit in DIGITS if digit not in voice.vocabulary]:
        raise InputError(f"the voice {name} does not say {', '.join(missing)}; give a voice of digits")
    options = RecordingOptions()
    wanted = [(s, digit, take) for s in voice.speakers for digit in DIGITS for take in range(takes + VALIDATION_TAKES)]
    seeds = np.random.default_rng([seed, 9]).integers(2**63, size=len(wanted)).tolist()
    spoken = voice.speak_each(
        [digit for _, digit, _ in wanted], [speaker for speaker, _, _ in wanted], seeds, streams=STREAMS
    )
    splits: dict[str, list[Recording]] = {"train": [], "validation": []}
    for (speaker, digit, take), said in zip(wanted, spoken, strict=True):
        wave = prepare(audio.resample(said.samples, said.sample_rate, options.sample_rate), options)
        if wave is not None:  # silence is no recording
            split = "train" if take < takes else "validation"
            one = Recording(wave, digit, speaker, take, options.sample_rate, f"{digit}_{speaker}_voice{take}")
            splits[split].append(one)
    return splits

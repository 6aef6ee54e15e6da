"""How a text is spoken: `SpeakOptions`, and `SpeakChanges`, its fields as keyword arguments."""

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from tts.core.errors import InputError
from tts.core.messages import shown
from tts.core.sampling import Sampling, number
from tts.text.reading import ReadMode
from tts.voice.config import VoiceConfig

EngineName = Literal["auto", "native", "torch"]
"""What makes the samples: "native" (compiled, on a CPU) or "torch" (plain PyTorch, on a GPU where there is one). "auto"
is "native" where that supports the model; else a warning says why, and it is "torch"."""


SLOWEST, FASTEST = 0.25, 4.0


class SpeakChanges(TypedDict, total=False):
    """The fields of `SpeakOptions`, as `Voice.speak` takes them one by one."""

    temperature: float | None
    duration_spread: float | None
    max_seconds: float | None
    engine: EngineName
    read: ReadMode | None
    speed: float
    nucleus_temperature: float | None
    comb_filter: float | None


@dataclass(frozen=True)
class SpeakOptions:
    """Settings of one call. Numbers may be Python's or NumPy's; the voice checks them when it speaks.

    Example:
        calm = SpeakOptions(temperature=0.8, duration_spread=0.3)
        voice.speak("4 7 2", options=calm)
        voice.speak("4 7 2", options=calm, max_seconds=2)  # calm, but for one field
    """

    temperature: float | None = None
    """Divides the logits of the samples: lower is clearer and duller. None: the voice's own."""
    duration_spread: float | None = None
    """0 … 1: lower keeps durations nearer their median. None: the voice's own."""
    max_seconds: float | None = None
    """Where an utterance is cut, written pauses not counted. None: 1 s, and the voice's `max_unit_seconds` for each
    word, at its speed."""
    engine: EngineName = "auto"
    """See `EngineName`."""
    read: ReadMode | None = None
    """How numbers are read, see `tts.text.reading.read`. None: "digits" in a voice of digits, else "auto"."""
    speed: float = 1.0
    """SLOWEST … FASTEST: durations are divided by it. Only for voices with explicit durations."""
    nucleus_temperature: float | None = None
    """Multiplies the temperature in the nuclei, the vowels: below 1 they are more periodic. Only for voices with
    `units_per_word: 4`. None: the voice's own."""
    comb_filter: float | None = None
    """0 … 1: how much of a comb filter at the pitch there is; the codes are the same with any. Where torch
    speaks without the native library, there is none. None: the voice's own."""

    def checked_speed(self) -> float:
        """The speed. Raises InputError for one out of range."""
        if not SLOWEST <= (speed := number("speed", self.speed)) <= FASTEST:
            raise InputError(f"speed is {speed}; it must be from {SLOWEST:g} (slow) to {FASTEST:g} (fast)")
        return speed

    def sampling(self, config: VoiceConfig) -> Sampling:
        """The settings of a voice with those that are not None replaced.

        Raises InputError for one out of range, or a temperature of nuclei that the voice does not have.
        """
        names = (one.name for one in dataclasses.fields(Sampling))
        changes = {name: value for name in names if (value := getattr(self, name)) is not None}
        sampling = dataclasses.replace(config.sampling, **changes)
        sampling.check_units(config.model.units_per_word)
        return sampling


def changed(method: Callable[..., Any], options: SpeakOptions | None, changes: SpeakChanges) -> SpeakOptions:
    """The options, or the defaults, with some fields replaced, for a method that takes both.

    Raises InputError where `options` is something else, TypeError where `method` has no such argument.
    """
    if options is None:
        options = SpeakOptions()
    if not isinstance(options, SpeakOptions):
        raise InputError(f"options is {shown(options)}; give SpeakOptions, or name the setting, e.g. temperature=0.9")
    fields = SpeakChanges.__annotations__
    for name in changes:
        if name not in fields:
            import difflib  # not above: only mistakes need it, and speaking starts without

            known = [*(each for each in inspect.signature(method).parameters if each != "changes"), *fields]
            begun = [each for each in known if each.startswith(name)]
            near = begun or difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? It takes " if near else "it takes "
            raise TypeError(f"{method.__qualname__} has no argument {shown(name)}; {hint}{', '.join(known)}")
    return dataclasses.replace(options, **changes)

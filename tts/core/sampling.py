"""How a voice draws and filters its samples, and draws durations, and the check of the numbers that a caller gives."""

import numbers
import operator
from dataclasses import dataclass, fields
from typing import Annotated, Any

from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.core.messages import shown


def number(name: str, value: Any) -> float | int:
    """A real number of Python's or NumPy's as Python's own, for the setting `name`; an int stays one.

    Raises InputError for anything else, a bool included.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            return operator.index(value) if isinstance(value, numbers.Integral) else float(value)
        except OverflowError:  # a fraction
            pass
    raise InputError(f"{name} is {shown(value)} ({type(value).__name__}); it must be a number, e.g. 1.0")


def integer(name: str, value: Any) -> int:
    """An integer of Python's or NumPy's as Python's own. Raises InputError for anything else, 1.0 and True included."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return operator.index(value)
    raise InputError(f"{name} is {shown(value)} ({type(value).__name__}); it must be an integer, e.g. 1")


@dataclass(frozen=True)
class Sampling:
    """How samples and durations are drawn, and what is made of the samples."""

    temperature: Annotated[float, Range(0.01, 100)] = 1.0
    """Divides the logits of the samples: below 1 the likely codes gain weight, above 1 the others do."""
    duration_spread: Annotated[float, Range(0, 1)] = 1.0
    """1 draws each unit's duration from the model's distribution; the nearer to 0, the nearer to its median."""
    nucleus_temperature: Annotated[float, Range(0.01, 100)] = 1.0
    """Multiplies `temperature` for the samples of nuclei, the vowels: below 1 they are more periodic than with 1. Only
    for models with `units_per_word: 4`."""
    comb_filter: Annotated[float, Range(0, 1)] = 0.0
    """1 averages each voiced sample with those one and two pitch periods before and after, which takes noise from
    between the harmonics; 0 leaves the samples as the model made them. See `tts.audio.comb`."""

    def __post_init__(self) -> None:
        check(self)
        for each in fields(self):  # which may be NumPy's or fractions
            object.__setattr__(self, each.name, number(each.name, getattr(self, each.name)))

    def check_units(self, units_per_word: int) -> None:
        """Raises InputError for a temperature of the nuclei where units are whole words."""
        if self.nucleus_temperature != 1 and units_per_word == 1:
            raise InputError(
                f"nucleus_temperature is {self.nucleus_temperature}; it needs nuclei, which model.units_per_word: 4 "
                "has; else leave it at 1"
            )

"""Notices that a run has become far slower than it was."""

import time
from collections.abc import Callable

FIRST_STEPS, FIRST_SECONDS = 20, 10.0
"""The first speed is taken over at least so many steps and so long."""
SECONDS = 60.0
"""So long a run is slow before it is said."""
SHARE = 1 / 3
"""Below this share of its first speed a run is slow."""


class SpeedWatch:
    """Compares the steps of each minute with a run's first ones. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: float | None = None
        self._said = False
        self._steps, self._seconds, self._mark = 0, 0.0, clock()

    def skip(self) -> None:
        """What was done since the last step, such as a validation, is no step's."""
        self._mark = self._clock()

    def step(self) -> str | None:
        """Count a step that ends now. Returns one line, once, if the run is slow."""
        now = self._clock()
        self._steps, self._seconds, self._mark = self._steps + 1, self._seconds + now - self._mark, now
        if self._first is None:
            if self._steps >= FIRST_STEPS and self._seconds >= FIRST_SECONDS:
                self._first = self._speed()
            return None
        if self._said or self._seconds < SECONDS:
            return None
        speed = self._speed()
        if speed >= SHARE * self._first:
            return None
        self._said = True
        return (
            f"for a minute {speed:.2g} steps a second, where the first ones came at {self._first:.2g}: does other work "
            "use the same cores? See docs/training.md, Beside other work"
        )

    def _speed(self) -> float:
        """Of the steps counted, which are then counted anew."""
        speed = self._steps / self._seconds
        self._steps, self._seconds = 0, 0.0
        return speed

"""Reports a run that has become far slower than it was."""

import time
from collections.abc import Callable

FIRST_STEPS, FIRST_SECONDS = 20, 10.0
"""The initial speed is measured over at least so many steps and seconds."""
SECONDS = 60.0
"""A run is reported after it was slow for so long."""
SHARE = 1 / 3
"""A run is slow below this share of its initial speed."""


class SpeedWatch:
    """Compares the speed of each minute with the initial one. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._reported = clock, False
        self._first: float | None = None
        self._steps, self._seconds, self._mark = 0, 0.0, clock()

    def skip(self) -> None:
        """Do not count the time since the last step, e.g. that of a validation."""
        self._mark = self._clock()

    def step(self) -> str | None:
        """Count a step that ends now. Returns one line, once, if the run is slow."""
        now = self._clock()
        self._steps, self._seconds, self._mark = self._steps + 1, self._seconds + now - self._mark, now
        if self._first is None:
            if self._steps >= FIRST_STEPS and self._seconds >= FIRST_SECONDS:
                self._first = self._speed()
            return None
        if self._reported or self._seconds < SECONDS:
            return None
        if (speed := self._speed()) >= SHARE * self._first:
            return None
        self._reported = True
        return (
            f"{speed:.2g} steps a second in the last minute, {self._first:.2g} at the beginning: does other work use "
            "the same cores? See docs/training.md, Beside other work"
        )

    def _speed(self) -> float:
        """Steps a second since the last call."""
        speed = self._steps / self._seconds
        self._steps, self._seconds = 0, 0.0
        return speed

"""Timing a function: the median of runs that fill some seconds."""

import gc
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK_SECONDS = 0.001
"""Shorter runs are timed several at a time, so that reading the clock does not count."""


def timed(run: Callable[[], object], seconds: float) -> dict[str, Any]:
    """Run a function again and again.

    Args:
        run: what is timed; it has run once before, if its first run is slower.
        seconds: what all runs together take, at least.

    Returns:
        Of one run the median and the interquartile range in seconds, `median_s` and `iqr_s`, and how many `runs`.
    """
    number = max(1, math.ceil(BLOCK_SECONDS / max(_seconds(run, 1), 1e-9)))
    times: list[float] = []
    total = 0.0
    collecting = gc.isenabled()
    gc.disable()  # a collection belongs to no run in particular
    try:
        while not times or total < seconds:
            times.append(_seconds(run, number) / number)
            total += times[-1] * number
    finally:
        if collecting:
            gc.enable()
    low, median, high = np.percentile(times, (25, 50, 75))
    return {"median_s": float(median), "iqr_s": float(high - low), "runs": len(times) * number}


def _seconds(run: Callable[[], object], number: int) -> float:
    begin = time.perf_counter()
    for _ in range(number):
        run()
    return time.perf_counter() - begin

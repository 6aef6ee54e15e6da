"""Timing a function: the median of runs that fill some seconds."""

import math
import time
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK_SECONDS = 0.001
"""Shorter runs are timed several at a time, so that reading the clock does not count."""


def timed(run: Callable[[], object], seconds: float) -> dict[str, Any]:
    """Run a function again and again, without garbage collection, which belongs to no run in particular.

    All runs together take at least so many seconds. If the first is slower, it has to have been before.

    Returns: of one run the median and the interquartile range in seconds, `median_s` and `iqr_s`, and how many `runs`.
    """
    timer = timeit.Timer(run, timer=time.perf_counter)
    number = max(1, math.ceil(BLOCK_SECONDS / max(timer.timeit(1), 1e-9)))
    blocks: list[float] = []
    total = 0.0
    while not blocks or total < seconds:
        blocks.append(timer.timeit(number))
        total += blocks[-1]
    low, median, high = np.percentile(blocks, (25, 50, 75)) / number
    return {"median_s": float(median), "iqr_s": float(high - low), "runs": len(blocks) * number}

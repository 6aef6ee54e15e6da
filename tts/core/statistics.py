"""Confidence intervals."""

import math

Z95 = 1.959964


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share of independent trials; (0, 1) for no trials.

    Reference: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    assert 0 <= successes <= trials, (successes, trials)
    if not trials:
        return 0.0, 1.0
    z2 = Z95 * Z95
    center = (successes + z2 / 2) / (trials + z2)
    half = Z95 / (trials + z2) * math.sqrt(successes * (trials - successes) / trials + z2 / 4)
    return max(0.0, center - half), min(1.0, center + half)

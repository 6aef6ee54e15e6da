"""How threads wait for each other."""

import os

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
SLEEPY = {"OPENBLAS_THREAD_TIMEOUT": "4"}
"""The logarithm of the cycles for which a thread of OpenBLAS waits awake; the default is 26 or more."""


def wait_passively() -> None:
    """Have the waiting threads of OpenMP and OpenBLAS sleep instead of spin, unless the environment says otherwise.

    A command calls this before torch and numpy are imported: both libraries read these variables when they are loaded,
    once. Threads that spin take the cores that the thread they wait for needs as soon as any other job runs beside
    them. OpenBLAS, a part of numpy, starts its threads at once, so that they spin even where no matrix is multiplied.
    """
    if not any(name in os.environ for name in PASSIVE):
        os.environ.update(PASSIVE)
    for name, value in SLEEPY.items():
        os.environ.setdefault(name, value)

"""How threads wait for each other."""

import os

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}


def wait_passively() -> None:
    """Have OpenMP's waiting threads sleep instead of spin, unless the environment says otherwise.

    A command calls this before torch is imported: OpenMP reads these variables when it is loaded, once. Threads that
    spin take the cores that the thread they wait for needs as soon as any other job runs beside them.
    """
    if not any(name in os.environ for name in PASSIVE):
        os.environ.update(PASSIVE)

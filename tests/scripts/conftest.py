"""Every test of this folder begins with a fresh accelerate."""

import pytest
from accelerate.state import AcceleratorState


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """accelerate keeps its precision for the life of a process."""
    AcceleratorState._reset_state(True)

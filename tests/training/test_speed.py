"""The line about a run that has become slow, on a clock that the test sets."""

import pytest
from accelerate.state import AcceleratorState
from helpers.training import data, run_config

from tts.training import loop
from tts.training.speed import SECONDS, SpeedWatch


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def run(watch: SpeedWatch, clock: Clock, seconds: float, each: float) -> list[tuple[float, str]]:
    """Steps of `each` seconds for `seconds`: the lines, and when."""
    lines, end = [], clock.now + seconds
    while clock.now < end:
        clock.now += each
        if line := watch.step():
            lines.append((clock.now, line))
    return lines


def test_a_slow_minute_is_reported_once(clock):
    watch = SpeedWatch(clock)
    assert run(watch, clock, 100, 0.5) == []
    slow = clock.now
    lines = run(watch, clock, 600, 4.0)
    assert len(lines) == 1
    when, line = lines[0]
    assert SECONDS <= when - slow <= 2.1 * SECONDS
    assert line.startswith("0.25 steps a second in the last minute, 2 at the beginning:")


@pytest.mark.parametrize(("seconds", "each"), [(600, 1.4), (25, 4.0)], ids=["half as fast", "not for a minute"])
def test_what_is_not_far_below_or_not_long_is_not_reported(clock, seconds, each):
    watch = SpeedWatch(clock)
    run(watch, clock, 15, 0.5)
    assert run(watch, clock, seconds, each) + run(watch, clock, 600, 0.5) == []


def test_a_validation_s_time_does_not_count(clock):
    watch = SpeedWatch(clock)
    for _ in range(20):
        assert run(watch, clock, 10, 0.5) == []
        clock.now += 300
        watch.skip()


def test_one_long_step_at_the_beginning_is_not_the_first_speed(clock):
    watch = SpeedWatch(clock)
    assert run(watch, clock, 12, 12.0) == []  # what only a first step does
    run(watch, clock, 20, 0.5)
    assert run(watch, clock, 300, 4.0)


def test_the_loop_reports_it(tmp_path, monkeypatch, capsys):
    class Slow(SpeedWatch):
        def step(self):
            return "slow"

    AcceleratorState._reset_state(True)
    monkeypatch.setattr(loop, "SpeedWatch", Slow)
    loop.train(run_config(tmp_path, steps=1), data())
    assert "step 1: slow\n" in capsys.readouterr().err

"""What a training says while it runs, where nobody looks at a terminal."""

from types import SimpleNamespace

import pytest

from artificial_pain.training import callbacks
from artificial_pain.training.callbacks import ProgressLines


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock.now)
    return clock


def steps(lines: ProgressLines, clock: SimpleNamespace, first: int, last: int, seconds: float) -> None:
    """Train from one step to another, of 3 epochs of 100 steps."""
    state = SimpleNamespace(global_step=first, max_steps=300, num_train_epochs=3, is_world_process_zero=True)
    lines.on_train_begin(None, state, None)
    for step in range(first + 1, last + 1):
        lines.on_step_begin(None, state, None)
        clock.now += seconds
        state.global_step = step
        lines.on_step_end(None, state, None)


def test_long_epoch_has_a_line_a_minute_with_the_time_left(clock, capsys):
    """2 s a step: after 30 steps, and after 60, a minute has passed; 70 and 270 steps are left, and 40 and 240."""
    steps(ProgressLines(in_log_file=True), clock, 0, 80, seconds=2)
    assert capsys.readouterr().err.splitlines() == [
        "epoch    1   step 30 of 100   02:20 left of the epoch, 09:00 of all 3",
        "epoch    1   step 60 of 100   01:20 left of the epoch, 08:00 of all 3",
    ]


def test_time_left_of_a_resumed_training_is_by_its_own_steps(clock, capsys):
    """From step 150 on, 3 s a step: after 20 steps 30 are left of the second epoch, and 130 of all."""
    steps(ProgressLines(in_log_file=True), clock, 150, 170, seconds=3)
    assert capsys.readouterr().err == "epoch    2   step 70 of 100   01:30 left of the epoch, 06:30 of all 3\n"


def test_terminal_has_a_bar_instead(clock, capsys):
    steps(ProgressLines(in_log_file=False), clock, 0, 80, seconds=2)
    assert capsys.readouterr().err == ""

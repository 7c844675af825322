"""What a training has logged, read back."""

import math

import pytest

from artificial_pain.training.history import Best, best_evaluation


def logged(*values: float) -> list[dict]:
    """A log of evaluations with these losses, and between them what is logged of the training."""
    return [{"eval_loss": value, "step": step} for step, value in enumerate(values, 1)] + [{"loss": 0.1, "step": 9}]


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([], Best(None, None, 0)),
        ([0.7], Best(1, 0.7, 0)),
        ([0.7, 0.5, 0.6, 0.5], Best(2, 0.5, 2)),  # of equal ones the first
        ([math.nan, 0.5], Best(2, 0.5, 0)),
        ([0.5, math.nan], Best(1, 0.5, 1)),
    ],
)
def test_best_evaluation_is_the_first_of_the_lowest_losses(losses, best):
    assert best_evaluation(logged(*losses), "loss") == best


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_a_score_is_better_the_higher_it_is(metric):
    log = [{"eval_loss": value, f"eval_{metric}": value, "step": i} for i, value in enumerate([0.5, 0.75, 0.75], 1)]
    assert best_evaluation(log, metric) == Best(2, 0.75, 1)

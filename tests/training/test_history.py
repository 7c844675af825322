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


def scored(metric: str, *pairs: tuple[float, float]) -> list[dict]:
    """A log of evaluations with these values of a metric, and these losses."""
    return [{f"eval_{metric}": value, "eval_loss": loss, "step": step} for step, (value, loss) in enumerate(pairs, 1)]


@pytest.mark.parametrize(("metric", "best"), [("accuracy", 2), ("macro_f1", 2), ("mae", 1)])
def test_score_is_better_the_higher_and_error_the_lower_it_is(metric, best):
    log = scored(metric, (0.5, 1.0), (0.75, 2.0), (0.6, 0.1))
    assert best_evaluation(log, metric) == Best(best, log[best - 1][f"eval_{metric}"], 3 - best)


@pytest.mark.parametrize(
    ("losses", "best"),
    [([1.0, 0.9, 0.8], 3), ([1.0, 0.8, 0.9], 2), ([0.8, 0.8, 0.8], 1), ([math.nan, 0.9, math.nan], 2)],
)
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mae"])
def test_tie_goes_to_the_lower_loss_and_is_no_improvement_for_patience(metric, losses, best):
    ties = scored(metric, *((0.5, loss) for loss in losses))
    assert best_evaluation(ties, metric) == Best(best, 0.5, 2)

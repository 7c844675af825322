"""What `make demo` has trained: it has learned. Run by it, on its folders, and not with the other tests."""

import json
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
RUNS = {
    "classification": "classification/demo/ESConv-sample/all-MiniLM-L6-v2/loss-classification",
    "intensity": "intensity/demo/ESConv-sample/all-MiniLM-L6-v2/accuracy-4-heads-intensity-change",
}


def results(task: str) -> dict:
    return json.loads((REPOSITORY / RUNS[task] / "evaluation_results.json").read_text())


@pytest.mark.parametrize("task", RUNS)
def test_emotions_are_learned_above_the_baselines(task):
    found = results(task)
    assert found["test"]["macro_f1"] > found["baselines"]["tfidf_logistic_regression"]["macro_f1"]


@pytest.mark.parametrize("name", ["initial", "final", "change"])
def test_intensities_are_learned_above_the_constants(name):
    """A smaller mean absolute error than training mean and median, read at the predicted emotion, and a correlation."""
    found = results("intensity")
    model, mean, median = (
        scores["intensity"]["predicted_label"][name]["micro"]
        for scores in (found["test"], found["baselines"]["train_mean"], found["baselines"]["train_median"])
    )
    assert model["mae"] < min(mean["mae"], median["mae"]) and model["n"] == mean["n"] > 45
    assert model["intervals"]["pearson"][0] > 0

"""The table of results on the console."""

import copy

import pytest

from artificial_pain.evaluation.tables import SECONDARY_METRICS, format_number, results_table

NOT_DEFINED = "n/a: not defined, where the values are constant or none is annotated"


def scores(**values: float | None) -> dict:
    """Metrics with intervals of 0.1 to each side; a metric that is not defined has none."""
    intervals = {name: None if value is None else [value - 0.1, value + 0.1] for name, value in values.items()}
    return {**values, "n": 20, "intervals": intervals}


def intensity(mae: float, pearson: float | None) -> dict:
    micro = scores(mae=mae, pearson=pearson, spearman=pearson, quadratic_weighted_kappa=0.0)
    return {source: {"initial": {"micro": micro}} for source in ("true_label", "predicted_label")}


ONE_HEAD = {
    "test": scores(macro_f1=0.5, accuracy=0.61239, expected_calibration_error=0.05),
    "baselines": {"majority": scores(macro_f1=0.1, accuracy=0.2)},
}
TWO_HEADS = {
    "test": {
        **scores(macro_f1=0.7, accuracy=0.75, expected_calibration_error=0.05),
        "intensity": intensity(0.9, -1e-4),
    },
    "baselines": {**ONE_HEAD["baselines"], "train_mean": {"intensity": intensity(1, None)}},
}


def test_table_aligns_runs_of_different_heads():
    """A metric that does not apply is blank, one that is not defined n/a; -0.0001 is 0.000."""
    assert results_table({"one": ONE_HEAD, "two": TWO_HEADS}).splitlines() == [
        "                                             initial",
        "                                                n=20",
        "test split                 macro-F1 accuracy     MAE       r",
        "one                           0.500    0.612",
        "  95 % interval, from         0.400    0.512",
        "                 to           0.600    0.712",
        "two                           0.700    0.750   0.900   0.000",
        "  95 % interval, from         0.600    0.650   0.800  -0.100",
        "                 to           0.800    0.850   1.000   0.100",
        "  read at the true emotion                     0.900   0.000",
        "  95 % interval, from                          0.800  -0.100",
        "                 to                            1.000   0.100",
        "majority class                0.100    0.200",
        "training mean                                  1.000     n/a",
        NOT_DEFINED,
    ]


def test_table_of_one_head_has_one_heading():
    assert results_table({"one": ONE_HEAD}, SECONDARY_METRICS).splitlines() == [
        "test split            calibration error",
        "one                               0.050",
        "  95 % interval, from            -0.050",
        "                 to               0.150",
    ]


def test_target_without_pairs_is_undefined():
    """Neither metrics nor intervals: `regression` gives no "intervals" there."""
    run = copy.deepcopy(TWO_HEADS)
    for source in run["test"]["intensity"].values():
        source["initial"]["micro"] = {"mae": None, "pearson": None, "n": 0}
    del run["baselines"]["train_mean"]
    lines = results_table({"two": run}).splitlines()
    assert lines[1].split() == ["n=0"] and lines[-1] == NOT_DEFINED
    assert all(line.endswith("n/a     n/a") for line in lines[3:9])


def test_baselines_of_different_training_splits_have_a_row_each():
    other = copy.deepcopy(ONE_HEAD)
    other["baselines"]["majority"]["accuracy"] = 0.20001
    lines = results_table({"one": ONE_HEAD, "other": other}).splitlines()
    assert [line.split("  ")[0] for line in lines[-2:]] == ["majority class, one", "majority class, other"]
    assert "majority class " in results_table({"one": ONE_HEAD, "same": ONE_HEAD}).splitlines()[-1]


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [(-0.0004, "", "0.000"), (-0.0004, "+", "+0.000"), (1.23456, "+", "+1.235"), (None, "", "n/a")],
)
def test_numbers_have_three_decimals(value, sign, text):
    assert format_number(value, sign) == text

"""Results as a table on the console."""

import pandas as pd

from artificial_pain.data.vocabulary import CALIBRATED

# The entries of "baselines" in evaluation_results.json, in the order of a table's rows, and their names there.
BASELINES = {
    "raters": "majority of the raters",
    "frozen_logistic_regression": "frozen encoder + logistic regression",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "majority": "majority class",
    "tfidf_ridge": "TF-IDF + ridge regression",
    "frozen_ridge": "frozen encoder + ridge regression",
    "train_mean_of_emotion": "training mean of the emotion",
    "train_mean": "training mean",
    "train_median": "training median",
}
UNDEFINED = "n/a"
INTERVAL_ROWS = ("  95 % interval, from", "                 to")  # below a run's own row
# The rows below that: their names, and which part of the results is in them.
READING_ROWS = (
    ("  read at the true emotion", "true_label", ""),
    ("  expected over the emotions", "expected", ""),
    ("  calibrated", "predicted_label", CALIBRATED),
)

# The metrics of a table, of the emotion and of each intensity, with their headings.
PRIMARY_METRICS = {
    "emotion": {"macro_f1": "macro-F1", "accuracy": "accuracy"},
    "intensity": {"mae": "MAE", "pearson": "r"},
}
SECONDARY_METRICS = {
    "emotion": {
        "negative_log_likelihood": "log loss",
        "brier_score": "Brier score",
        "expected_calibration_error": "calibration error",
    },
    "intensity": {"r2": "R2", "spearman": "rho", "quadratic_weighted_kappa": "kappa"},
    "inconsistency": "inconsistency",
}

# A row's values by column: the intensity, the number of its pairs (both "" for the emotion), and the metric's heading.
# None is a value that is not defined; a column that does not apply is left out.
Row = dict[tuple[str, str, str], float | None]


def results_table(runs: dict[str, dict], metrics: dict[str, dict] = PRIMARY_METRICS) -> str:
    """The metrics of runs on the test split with their 95 % intervals, and below them those of the baselines.

    runs: by the name to show, the content of evaluation_results.json. metrics: PRIMARY_METRICS or SECONDARY_METRICS.
    The intensities are those over all examples. Those of runs are in a row for each reading, and calibrated ones are
    read at the predicted emotion, as those of the baselines.
    """
    rows = []
    for name, results in runs.items():
        for row_name, reading, prefix in ((name, "predicted_label", ""), *READING_ROWS):
            rows += zip((row_name, *INTERVAL_ROWS), _rows(results["test"], reading, metrics, prefix), strict=True)
    rows = [(name, row) for name, row in rows + _baseline_rows(runs, metrics) if row]

    cells = [{column: format_number(value) for column, value in row.items()} for _, row in rows]
    frame = pd.DataFrame(cells, index=[name for name, _ in rows])
    frame.columns = pd.MultiIndex.from_tuples(frame.columns, names=["", "", "test split"])
    # Without intensities, their two lines of the head are blank.
    lines = [line.rstrip() for line in frame.to_string(na_rep="", col_space=7).splitlines() if line.strip()]
    if any(None in row.values() for _, row in rows):
        lines.append(f"{UNDEFINED}: not defined, where the values are constant or none is annotated")
    return "\n".join(lines)


def _rows(scores: dict, reading: str, metrics: dict, prefix: str = "") -> tuple[Row, Row, Row]:
    """The metrics of a run or baseline, and the two ends of their intervals; those of the emotion are in one row.

    prefix: before the metrics' names in the results, "" or "calibrated_".
    """
    rows = {}, {}, {}
    of_emotion = {f"{prefix}{name}": heading for name, heading in metrics["emotion"].items()}
    parts = [("", "", scores, of_emotion)] if reading == "predicted_label" else []
    if "inconsistency" in metrics:
        parts.append(("", "", scores.get(f"{prefix}inconsistency", {}), {reading: metrics["inconsistency"]}))
    for target, groups in scores.get(f"{prefix}intensity", {}).get(reading, {}).items():
        parts.append((target, f"n={groups['micro']['n']}", groups["micro"], metrics["intensity"]))
    for target, pairs, part, headings in parts:
        for name, heading in headings.items():
            if name in part:
                # Of a metric without an interval, the two rows below it are blank.
                intervals = part.get("intervals", {})
                interval = intervals.get(name) or ((None, None) if part[name] is None or name in intervals else ())
                for row, value in zip(rows, (part[name], *interval), strict=False):
                    row[target, pairs, heading] = value
    return rows


def _baseline_rows(runs: dict[str, dict], metrics: dict) -> list[tuple[str, Row]]:
    """A row for each baseline where all runs agree on it, else a row for each run (they had other training splits)."""
    rows = []
    for baseline, heading in BASELINES.items():
        found = {run: results["baselines"].get(baseline) for run, results in runs.items()}
        by_run = {run: _rows(scores, "predicted_label", metrics)[0] for run, scores in found.items() if scores}
        fullest = max(by_run.values(), key=len, default={})  # runs of fewer heads have fewer columns
        if all(row.items() <= fullest.items() for row in by_run.values()):
            rows.append((heading, fullest))
        else:
            rows += [(f"{heading}, {run}", row) for run, row in by_run.items()]
    return rows


def format_number(value: float | None, sign: str = "") -> str:
    """Three decimals, never "-0.000"; UNDEFINED for None. With `sign` "+", positive numbers have a sign too."""
    return UNDEFINED if value is None else f"{round(value, 3) + 0.0:{sign}.3f}"

"""Results as a table on the console."""

from artificial_pain.corpora import INTENSITIES

# The entries of "baselines" in evaluation_results.json, as they are told, in this order.
BASELINES = {
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "majority": "majority class",
    "tfidf_ridge": "TF-IDF + ridge regression",
    "train_mean_of_emotion": "training mean of the emotion",
    "train_mean": "training mean",
}
UNDEFINED = "n/a"


WIDTHS = {"macro_f1": 10, "accuracy": 10, "mae": 9, "pearson": 7}
HEADINGS = {"macro_f1": "macro-F1", "accuracy": "accuracy", "mae": "MAE", "pearson": "r"}


def results_table(runs: dict[str, dict]) -> str:
    """The metrics of runs on the test split, and below them those of the baselines.

    runs: by the name to show, the content of evaluation_results.json. Of the intensities, MAE and Pearson's r over all
    examples, read at the predicted emotion, and of runs also at the true one.
    """
    rows, pairs = [], {}
    for name, results in runs.items():
        test = results["test"]
        rows.append((name, _numbers(test, "predicted_label")))
        if "intensity" in test:
            rows.append(("  read at the true emotion", _numbers({"intensity": test["intensity"]}, "true_label")))
            pairs |= {target: scores["micro"]["n"] for target, scores in test["intensity"]["true_label"].items()}
    rows += _baselines(runs)

    targets = [name for name in INTENSITIES.values() if name in pairs]
    columns = [("emotion", "macro_f1"), ("emotion", "accuracy")]
    columns += [(target, metric) for target in targets for metric in ("mae", "pearson")]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'test split':{width}s}" + "".join(f"{HEADINGS[metric]:>{WIDTHS[metric]}s}" for _, metric in columns)]
    if targets:
        lines.insert(0, " " * (width + 20) + "".join(f"{f'{name} (n={pairs[name]})':>16s}" for name in targets))
    for name, numbers in rows:
        cells = [_cell(numbers[column]) if column in numbers else "" for column in columns]
        widths = [WIDTHS[metric] for _, metric in columns]
        lines.append((f"{name:{width}s}" + "".join(map(str.rjust, cells, widths))).rstrip())
    if any(None in numbers.values() for _, numbers in rows):
        lines.append(f"{UNDEFINED}: not defined, where the values are constant or none is annotated")
    return "\n".join(lines)


def _numbers(scores: dict, reading: str) -> dict[tuple[str, str], float | None]:
    """The metrics to show of a run or baseline, by head and metric; None where one is not defined."""
    numbers = {("emotion", metric): scores[metric] for metric in ("macro_f1", "accuracy") if metric in scores}
    for target, metrics in scores.get("intensity", {}).get(reading, {}).items():
        numbers |= {(target, metric): metrics["micro"][metric] for metric in ("mae", "pearson")}
    return numbers


def _baselines(runs: dict[str, dict]) -> list[tuple[str, dict]]:
    """The rows of the baselines: one for all runs that agree on it, else one a run (of other training splits)."""
    rows = []
    for name, told in BASELINES.items():
        of_runs = {
            run: _numbers(results["baselines"][name], "predicted_label")
            for run, results in runs.items()
            if name in results["baselines"]
        }
        fullest = max(of_runs.values(), key=len, default={})  # runs of fewer heads have fewer columns
        if all(numbers.items() <= fullest.items() for numbers in of_runs.values()):
            rows += [(told, fullest)] if of_runs else []
        else:
            rows += [(f"{told}, {run}", numbers) for run, numbers in of_runs.items()]
    return rows


def _cell(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.3f}"

"""Results as a table on the console."""

from artificial_pain.data.vocabulary import INTENSITIES

# The entries of "baselines" in evaluation_results.json, as they are told, in this order.
BASELINES = {
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "majority": "majority class",
    "tfidf_ridge": "TF-IDF + ridge regression",
    "train_mean_of_emotion": "training mean of the emotion",
    "train_mean": "training mean",
}
UNDEFINED = "n/a"
ENDS = ("  95 % interval, from", "                 to")  # the rows below a run's

# The metrics of a table: of the emotion, and of each intensity; each with its heading and the width of its column.
PRIMARY_METRICS = {"emotion": ("macro_f1", "accuracy"), "intensity": ("mae", "pearson")}
SECONDARY_METRICS = {"emotion": ("expected_calibration_error",), "intensity": ("spearman", "quadratic_weighted_kappa")}
HEADINGS = {
    "macro_f1": ("macro-F1", 10),
    "accuracy": ("accuracy", 10),
    "mae": ("MAE", 9),
    "pearson": ("r", 7),
    "expected_calibration_error": ("calibration error", 20),
    "spearman": ("rho", 9),
    "quadratic_weighted_kappa": ("kappa", 7),
}


def results_table(runs: dict[str, dict], metrics: dict[str, tuple[str, ...]] = PRIMARY_METRICS) -> str:
    """The metrics of runs on the test split with their 95 % intervals, and below them those of the baselines.

    runs: by the name to show, the content of evaluation_results.json. metrics: MAIN or AGREEMENT. Of the intensities,
    those over all examples, read at the predicted emotion, and of runs also at the true one.
    """
    rows, pairs = [], {}
    for name, results in runs.items():
        test = results["test"]
        rows += _with_interval(name, test, "predicted_label", metrics)
        if "intensity" in test:
            at_true = {"intensity": test["intensity"]}
            rows += _with_interval("  read at the true emotion", at_true, "true_label", metrics)
            pairs |= {target: scores["micro"]["n"] for target, scores in test["intensity"]["true_label"].items()}
    rows += _baselines(runs, metrics)
    rows = [(name, numbers) for name, numbers in rows if numbers]

    targets = [name for name in INTENSITIES.values() if name in pairs]
    columns = [("emotion", metric) for metric in metrics["emotion"]]
    columns += [(target, metric) for target in targets for metric in metrics["intensity"]]
    widths = [HEADINGS[metric][1] for _, metric in columns]
    width = max(len(name) for name, _ in rows)
    headings = [HEADINGS[metric][0].rjust(HEADINGS[metric][1]) for _, metric in columns]
    lines = [f"{'test split':{width}s}" + "".join(headings)]
    if targets:
        before = width + sum(HEADINGS[metric][1] for metric in metrics["emotion"])
        lines.insert(0, " " * before + "".join(f"{f'{name} (n={pairs[name]})':>16s}" for name in targets))
    for name, numbers in rows:
        cells = [_cell(numbers[column]) if column in numbers else "" for column in columns]
        lines.append((f"{name:{width}s}" + "".join(map(str.rjust, cells, widths))).rstrip())
    if any(None in numbers.values() for _, numbers in rows):
        lines.append(f"{UNDEFINED}: not defined, where the values are constant or none is annotated")
    return "\n".join(lines)


Numbers = dict[tuple[str, str], float | None]  # by head ("emotion", or a target's name) and metric


def _with_interval(name: str, scores: dict, reading: str, metrics: dict) -> list[tuple[str, Numbers]]:
    """Three rows: the metrics, and the ends of their intervals."""
    ends = [(told, _numbers(scores, reading, metrics, end)) for end, told in enumerate(ENDS)]
    return [(name, _numbers(scores, reading, metrics)), *ends]


def _numbers(scores: dict, reading: str, metrics: dict, end: int | None = None) -> Numbers:
    """The metrics to show of a run or baseline, or an end of their intervals; None where one is not defined."""

    def number(of: dict, metric: str) -> float | None:
        if end is None:
            return of[metric]
        interval = of.get("intervals", {}).get(metric)
        return None if interval is None else interval[end]

    numbers = {("emotion", metric): number(scores, metric) for metric in metrics["emotion"] if metric in scores}
    for target, of_target in scores.get("intensity", {}).get(reading, {}).items():
        numbers |= {(target, metric): number(of_target["micro"], metric) for metric in metrics["intensity"]}
    return numbers


def _baselines(runs: dict[str, dict], metrics: dict) -> list[tuple[str, Numbers]]:
    """The rows of the baselines: one for all runs that agree on it, else one a run (of other training splits)."""
    rows = []
    for name, told in BASELINES.items():
        of_runs = {
            run: _numbers(results["baselines"][name], "predicted_label", metrics)
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
    return UNDEFINED if value is None else number(value)


def number(value: float, sign: str = "") -> str:
    """With three digits, and none of it -0.000; `sign` is "+" where each shall have one."""
    return f"{round(value, 3) + 0.0:{sign}.3f}"

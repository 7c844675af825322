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


def results_table(runs: dict[str, dict]) -> str:
    """The metrics of runs on the test split, and below them those of the baselines.

    runs: by the name to show, the content of evaluation_results.json. Of the intensities, MAE and Pearson's r over all
    examples, read at the predicted emotion, and of runs also at the true one.
    """
    rows = []
    for name, results in runs.items():
        test = results["test"]
        rows.append((name, test, "predicted_label"))
        if "intensity" in test:
            rows.append(("  read at the true emotion", {"intensity": test["intensity"]}, "true_label"))
    rows += [(name, scores, "predicted_label") for name, scores in _baselines(runs)]

    pairs = {}  # how many are annotated, by target
    for _, scores, reading in rows:
        pairs |= {name: row["micro"]["n"] for name, row in scores.get("intensity", {}).get(reading, {}).items()}
    targets = [name for name in INTENSITIES.values() if name in pairs]
    width = max(len(name) for name, *_ in rows)
    lines = [f"{'test split':{width}s}{'macro-F1':>10s}{'accuracy':>10s}" + f"{'MAE':>9s}{'r':>7s}" * len(targets)]
    if targets:
        lines.insert(0, " " * (width + 20) + "".join(f"{f'{name} (n={pairs[name]})':>16s}" for name in targets))
    lines += [f"{name:{width}s}{_cells(*row, targets)}".rstrip() for name, *row in rows]
    if any(UNDEFINED in line for line in lines):
        lines.append(f"{UNDEFINED}: not defined, where the values are constant or none is annotated")
    return "\n".join(lines)


def _baselines(runs: dict[str, dict]) -> list[tuple[str, dict]]:
    """The rows of the baselines: one for all runs where they agree, else one a run (their training splits differ)."""
    rows = []
    for name, told in BASELINES.items():
        scores = {run: results["baselines"][name] for run, results in runs.items() if name in results["baselines"]}
        agreed = all(one == other for one in scores.values() for other in scores.values())
        rows += [
            (told if agreed else f"{told}, {run}", one) for run, one in list(scores.items())[: 1 if agreed else None]
        ]
    return rows


def _cells(scores: dict, reading: str, targets: list[str]) -> str:
    """A row's numbers: blank where it has no such metric."""
    cells = "".join(f"{scores[metric]:10.3f}" if metric in scores else " " * 10 for metric in ("macro_f1", "accuracy"))
    for target in targets:
        metrics = scores.get("intensity", {}).get(reading, {}).get(target)
        cells += (
            f"{_number(metrics['micro']['mae']):>9s}{_number(metrics['micro']['pearson']):>7s}" if metrics else " " * 16
        )
    return cells


def _number(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.3f}"

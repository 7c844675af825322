"""Several runs as one: the folds of a setting, which together test every example once, and seeds, whose predictions are
averaged.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from artificial_pain.data.vocabulary import CALIBRATED, CLASSIFIERS, PROBABILITY
from artificial_pain.evaluation import classification, predictions, regression
from artificial_pain.evaluation.tables import BASELINES
from artificial_pain.reporting.run_files import Run


def average(runs: Sequence[Run]) -> Run:
    """The runs of one setting as one model: the mean of their probabilities and intensities, as in `predict`.

    Its label has the highest mean of the calibrated probabilities. Its intensities are the means of what each run says
    at its own predicted emotion.
    """
    first, frames = runs[0], {}
    for split in ("validation", "predictions"):
        of_runs = [getattr(run, split) for run in runs]
        frames[split] = predictions.average(of_runs, "predicted", f"{CALIBRATED}{PROBABILITY}")
    results = {"validation": predictions.emotion_metrics(frames["validation"], first.label_names, intervals=False)}
    averaged = replace(first, results=first.results | results, **frames)
    averaged.results["test"] = _metrics(averaged)
    return averaged


def _metrics(run: Run) -> dict:
    """The metrics of the run's predictions of the test split, those of the intensities without intervals."""
    scores = predictions.emotion_metrics(run.predictions, run.label_names, intervals=True)
    return scores | predictions.intensity_metrics(run.predictions, run.label_names, run.references, intervals=False)


def pool(folds: Sequence[Run]) -> Run:
    """The runs of all folds of one setting and seed as one, which has tested every example of the corpus.

    The metrics are those of all predictions, and of validation the means over the folds. Each example has the training
    mean of its fold. The learning curves are the means over the folds that have reached the epoch.
    """
    first, test = folds[0], pd.concat([run.predictions for run in folds]).sort_index()
    means = pd.concat([pd.DataFrame(run.results["train_mean"], run.predictions.index, dtype=float) for run in folds])
    results = {**first.results, "train_mean": {name: values.to_numpy() for name, values in means.sort_index().items()}}
    results["validation"] = {"macro_f1": float(np.mean([run.results["validation"]["macro_f1"] for run in folds]))}
    record = {**first.record, "data": {**first.record["data"], "fold": None}}
    pooled = replace(
        first,
        record=record,
        results=results,
        predictions=test,
        folds=tuple(folds),
        readings=set().union(*(run.readings for run in folds)),
        validation=pd.concat([run.validation for run in folds]),
        curves=pd.concat([run.curves for run in folds]).groupby(level=0).mean(),
    )
    results["test"] = _metrics(pooled)
    of_all = set(BASELINES).intersection(*(run.results["baselines"] for run in folds))
    results["baselines"] = {name: _baseline(pooled, name) for name in BASELINES if name in of_all}
    return pooled


def _baseline(run: Run, name: str) -> dict:
    """The metrics of a baseline on all folds: of its labels, or of its intensities at the predicted emotion."""
    true = predictions.label_indices(run.predictions, "label_name", run.label_names)
    if name in CLASSIFIERS:
        predicted = predictions.label_indices(run.predictions, name, run.label_names)
        scores = classification.classification(true, predicted, run.label_names, intervals=True)
        return scores | classification.by_source(true, predicted, run.label_names, run.predictions)
    annotated = run.predictions[run.targets].to_numpy(float)
    read = {"predicted_label": run.predictions[[f"{name}_{target}" for target in run.targets]].to_numpy(float)}
    return {"intensity": regression.intensity(annotated, read, true, run.references, run.label_names, intervals=True)}


def as_run(run: Run, name: str) -> Run:
    """What a baseline of the run predicts on test, as if a run had predicted it, for tests against it."""
    columns = {f"{target}_at_predicted": f"{name}_{target}" for target in run.targets}
    columns = {"predicted": name} if name in CLASSIFIERS else columns
    predicted = run.predictions.assign(**{column: run.predictions[ours] for column, ours in columns.items()})
    return replace(run, predictions=predicted, results={**run.results, "test": run.results["baselines"][name]})

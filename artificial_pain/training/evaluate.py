"""A model on a split: its metrics beside the baselines', and its predictions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from datasets import Dataset

from artificial_pain.data.tokenization import Splits, lengths
from artificial_pain.data.vocabulary import INTENSITIES, PROBABILITY
from artificial_pain.errors import UserError
from artificial_pain.evaluation import baselines, classification, regression
from artificial_pain.modeling.losses import Loss, named_losses

if TYPE_CHECKING:
    from transformers import EvalPrediction, Trainer

    from artificial_pain.training.trainer import EmotionTrainer


def validation_metrics(prediction: "EvalPrediction", loss: Loss, names: Sequence[str]) -> dict[str, float]:
    """What an evaluation during the training reports: losses over the whole split, and metrics of every head.

    names: of the intensities, which are read at the true emotion. What is not defined (the correlation of a constant)
    is left out.
    """
    from sklearn.metrics import accuracy_score, f1_score  # here: the first step shall not wait for this import

    logits, intensities = prediction.predictions
    columns = np.atleast_2d(prediction.label_ids)  # (1 + intensities, n): the Trainer gives one column bare
    labels, targets = columns[0].astype(int), columns[1:].T
    losses = loss.per_head(*map(torch.from_numpy, (logits, intensities, labels, targets)))
    predicted = logits.argmax(axis=1)
    reported = {
        # Instead of the Trainer's own, a mean over batches, in which the known intensities are of unequal number.
        "loss": loss.total(losses).item(),
        **named_losses(losses, names),
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, labels=np.arange(logits.shape[1]), average="macro", zero_division=0),
    }
    at_true = regression.select_by_label(intensities, labels)
    errors = []
    for i, name in enumerate(names):
        scores = regression.regression(targets[:, i], at_true[:, i])
        reported |= {f"{metric}_{INTENSITIES[name]}": scores[metric] for metric in ("mae", "pearson")}
        errors += [scores["mae"]] if scores["n"] else []
    # NaN, of a training that diverged, is worse than any epoch before.
    reported["mae"] = np.nan if None in errors else float(np.mean(errors)) if errors else None
    return {name: value for name, value in reported.items() if value is not None}


def by_length(dataset: Dataset) -> np.ndarray:
    """The indices from the longest example to the shortest: little padding, and a lack of memory shows at once."""
    return np.argsort(-lengths(dataset), kind="stable")


def predict(
    trainer: "Trainer", dataset: Dataset, outputs: tuple[np.ndarray, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The model's logits (n, labels) and intensities (n, intensities, labels), row i for example i of the dataset.

    In double precision, so that the metrics are those of the numbers in the CSV files to the last digit. outputs: what
    the model has predicted already, in the order of `by_length`.

    Raises UserError where they are not finite: the training has diverged, and no metric of it would mean anything.
    """
    order = by_length(dataset)
    outputs = trainer.predict(dataset.select(order)).predictions if outputs is None else outputs
    if not all(np.isfinite(output).all() for output in outputs):
        raise UserError("the model's outputs are not finite: try a lower --learning_rate, or --precision fp32")
    return tuple(output[np.argsort(order)].astype(float) for output in outputs)


def evaluate(trainer: "EmotionTrainer", splits: Splits) -> tuple[dict, dict[str, pd.DataFrame]]:
    """The content of evaluation_results.json, and the predictions by split.

    If the training has predicted validation with the kept weights, those predictions are used. The test split is read
    here, after the training, and nowhere before.
    """
    names, label_names = trainer.model.config.intensity_targets, splits.label_names
    results, predictions = {}, {}
    for split in ("validation", "test"):
        texts = splits.texts[split]
        labels = texts["label"].to_numpy()
        outputs = trainer.best_outputs if split == "validation" else None
        logits, intensities = predict(trainer, splits.tokenized[split], outputs)
        predicted = logits.argmax(axis=1)
        intervals = split == "test"
        probabilities = classification.probabilities(logits)
        results[split] = classification.classification(labels, predicted, label_names, probabilities, intervals)
        if names:
            annotated = texts[names].to_numpy()
            metrics = regression.intensity(annotated, intensities, labels, predicted, names, label_names, intervals)
            results[split]["intensity"] = metrics
        predictions[split] = predictions_frame(texts, logits, intensities, names, label_names)
    results["baselines"] = baselines.evaluate(splits, names)
    return results, predictions


def predictions_frame(
    texts: pd.DataFrame, logits: np.ndarray, intensities: np.ndarray, names: Sequence[str], label_names: Sequence[str]
) -> pd.DataFrame:
    """A row an example, indexed as in the corpus.

    The text, the true and the predicted label, a probability a label; and for each intensity (`names`) its annotation
    (NaN where missing) and the model's prediction at the true emotion and at the predicted one.
    """
    predicted = logits.argmax(axis=1)
    probabilities = classification.probabilities(logits)
    columns = {"predicted": np.asarray(label_names)[predicted]}
    columns |= {f"{PROBABILITY}{name}": probabilities[:, i] for i, name in enumerate(label_names)}
    at_true = regression.select_by_label(intensities, texts["label"].to_numpy())
    at_predicted = regression.select_by_label(intensities, predicted)
    for i, name in enumerate(names):
        columns[name] = texts[name]
        columns[f"{name}_at_true"] = at_true[:, i]
        columns[f"{name}_at_predicted"] = at_predicted[:, i]
    return texts[["text", "label_name"]].assign(**columns)

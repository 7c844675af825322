"""The metrics and predictions of a model on validation and test, and the metrics of the baselines on test."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from datasets import Dataset

from artificial_pain import distributed
from artificial_pain.data.tokenization import Splits, by_length
from artificial_pain.data.vocabulary import CALIBRATED, INTENSITIES, PROBABILITY
from artificial_pain.encoders import Encoder
from artificial_pain.errors import UserError
from artificial_pain.evaluation import baselines, calibration, classification, readings, regression
from artificial_pain.evaluation.readings import READINGS
from artificial_pain.evaluation.regression import SCALES
from artificial_pain.modeling.features import mean_hidden_states
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
    at_true = readings.select_by_label(intensities, labels)
    errors = []
    for i, name in enumerate(names):
        scores = regression.regression(targets[:, i], at_true[:, i])
        reported |= {f"{metric}_{INTENSITIES[name]}": scores[metric] for metric in ("mae", "pearson")}
        errors += [scores["mae"]] if scores["n"] else []
    # NaN, of a training that diverged, is worse than any epoch before.
    reported["mae"] = np.nan if None in errors else float(np.mean(errors)) if errors else None
    return {name: value for name, value in reported.items() if value is not None}


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


def evaluate(trainer: "EmotionTrainer", splits: Splits, encoder: Encoder) -> tuple[dict, dict[str, pd.DataFrame]]:
    """The content of evaluation_results.json, and the predictions by split.

    A model without a calibration gets one, fitted to validation, into its configuration. If the best checkpoint has
    predicted validation in the training, those predictions are used. The model reads the test split here alone.

    encoder: the pretrained one, for the baselines. Only the main process computes these, and has them in its results.
    """
    config = trainer.model.config
    names = list(config.intensity_targets)
    train_means = splits.texts["train"][names].mean()
    references = {name: regression.Reference(SCALES[INTENSITIES[name]], train_means[name]) for name in names}
    results, predictions = {}, {}
    for split in ("validation", "test"):
        texts, intervals = splits.texts[split], split == "test"
        labels, annotated = texts["label"].to_numpy(), texts[names].to_numpy()
        logits, intensities = predict(trainer, splits.tokenized[split], trainer.best_outputs if not intervals else None)
        predicted, raw = logits.argmax(axis=1), classification.probabilities(logits)
        if split == "validation" and config.calibration is None:
            at_predicted = readings.select_by_label(intensities, predicted)
            config.calibration = asdict(calibration.fit(raw, labels, at_predicted, annotated, train_means))
        calibrated = calibration.Calibration(**config.calibration)
        probabilities = {"": raw, CALIBRATED: calibrated.probabilities(raw)}
        scores = classification.classification(labels, predicted, splits.label_names, probabilities, intervals)
        by_reading = readings.read(intensities, labels, predicted, probabilities[CALIBRATED])
        read = {"": by_reading, CALIBRATED: {name: calibrated.intensities(at) for name, at in by_reading.items()}}
        for prefix in read if names else ():
            arguments = annotated, read[prefix], labels, references, splits.label_names, intervals
            scores[f"{prefix}intensity"] = regression.intensity(*arguments)
            if len(names) == len(INTENSITIES):
                scores[f"{prefix}inconsistency"] = readings.inconsistencies(read[prefix], intervals)
        results[split] = scores
        predictions[split] = predictions_frame(texts, predicted, probabilities, read, names, splits.label_names)
    results["calibration"] = asdict(calibrated)
    results["train_mean"] = {INTENSITIES[name]: reference.train_mean for name, reference in references.items()}
    if distributed.is_main_process():
        sizes = {"batch_size": trainer.args.per_device_eval_batch_size, "bf16": trainer.args.bf16}
        states = mean_hidden_states(encoder, splits.tokenized, splits.tokenizer, **sizes) if names else {}
        results["baselines"] = baselines.evaluate(splits, references, states)
    return results, predictions


def predictions_frame(
    texts: pd.DataFrame,
    predicted: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    read: Mapping[str, Mapping[str, np.ndarray]],
    names: Sequence[str],
    label_names: Sequence[str],
) -> pd.DataFrame:
    """A row an example, indexed as in the corpus.

    The text, the true and the predicted label, a probability a label; for each intensity (`names`) its annotation
    (NaN where missing) and the model's prediction in each of READINGS. Then the calibrated probabilities and
    predictions, in columns that begin with CALIBRATED.

    predicted: labels, (n,). probabilities: (n, labels), by the beginning of their columns' names. read: the same, then
    by reading (n, targets).
    """
    columns = {"predicted": np.asarray(label_names)[predicted]}
    for prefix in probabilities:
        columns |= {f"{prefix}{PROBABILITY}{name}": probabilities[prefix][:, i] for i, name in enumerate(label_names)}
        for i, name in enumerate(names):
            columns |= {name: texts[name]}
            columns |= {f"{prefix}{name}{end}": read[prefix][reading][:, i] for reading, end in READINGS.items()}
    return texts[["text", "label_name"]].assign(**columns)

"""The metrics and predictions of a model on validation and test, and the metrics of the baselines on test."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from datasets import Dataset

from artificial_pain import distributed
from artificial_pain.data.tokenization import Splits, by_length
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.encoders import Encoder
from artificial_pain.errors import UserError
from artificial_pain.evaluation import baselines, calibration, classification, predictions, readings, regression
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
    results, frames = {}, {}
    for split in ("validation", "test"):
        texts, is_test = splits.texts[split], split == "test"
        logits, intensities = predict(trainer, splits.tokenized[split], None if is_test else trainer.best_outputs)
        predicted, raw = logits.argmax(axis=1), classification.probabilities(logits)
        labels = texts["label"].to_numpy()
        if not is_test and config.calibration is None:
            at_predicted = readings.select_by_label(intensities, predicted)
            fitted = calibration.fit(raw, labels, at_predicted, texts[names].to_numpy(), train_means)
            config.calibration = asdict(fitted)
        calibrated = calibration.Calibration(**config.calibration)
        by_reading = readings.read(intensities, labels, predicted, calibrated.probabilities(raw))
        frame = predictions.frame(texts, predicted, raw, by_reading, names, splits.label_names)
        frames[split] = predictions.add_calibrated(frame, calibrated, splits.label_names)
        results[split] = predictions.emotion_metrics(frames[split], splits.label_names, is_test)
        results[split] |= predictions.intensity_metrics(frames[split], splits.label_names, references, is_test)
    results["calibration"] = asdict(calibrated)
    results["train_mean"] = {INTENSITIES[name]: reference.train_mean for name, reference in references.items()}
    if distributed.is_main_process():
        sizes = {"batch_size": trainer.args.per_device_eval_batch_size, "bf16": trainer.args.bf16}
        states = mean_hidden_states(encoder, splits.tokenized, splits.tokenizer, **sizes)
        results["baselines"], columns = baselines.evaluate(splits, references, states)
        frames["test"] = frames["test"].assign(**columns)
    return results, frames

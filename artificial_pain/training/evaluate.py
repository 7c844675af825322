"""A trained model on validation and test: its metrics beside the baselines', and its predictions."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from transformers import Trainer

from artificial_pain.data.tokenization import Splits
from artificial_pain.evaluation import baselines, classification, regression
from artificial_pain.training import recipe


def evaluate(trainer: Trainer, splits: Splits, fitted: dict[str, Pipeline]) -> tuple[dict, dict[str, pd.DataFrame]]:
    """The content of evaluation_results.json, and the predictions by split; one pass of the model over each split.

    `fitted` are the baselines' models. The test split is read here, after the training, for the first and only time.
    """
    targets, label_names = trainer.model.config.intensity_targets, splits.label_names
    results, predictions = {}, {}
    for split in ("validation", "test"):
        texts = splits.texts[split]
        labels = texts["label"].to_numpy()
        logits, intensities = recipe.predict(trainer, splits.tokenized[split])
        predicted = logits.argmax(axis=1)
        resampled = split == "test"
        probabilities = classification.probabilities(logits)
        results[split] = classification.classification(labels, predicted, label_names, probabilities, resampled)
        if targets:
            annotated = texts[targets].to_numpy()
            results[split]["intensity"] = regression.intensity(
                annotated, intensities, labels, predicted, targets, label_names, resampled
            )
        predictions[split] = predictions_frame(texts, logits, intensities, targets, label_names)
    results["baselines"] = baselines.evaluate(
        fitted, splits.texts["train"], splits.texts["test"], splits.settings["label_counts"], targets, label_names
    )
    return results, predictions


def predictions_frame(
    texts: pd.DataFrame,
    logits: np.ndarray,
    intensities: np.ndarray,
    targets: Sequence[str],
    label_names: Sequence[str],
) -> pd.DataFrame:
    """A row an example, indexed as in the corpus.

    The text, the true and the predicted label, a probability a label; and for each target its annotation (NaN where
    missing) and what the model says at the true emotion and at the predicted one.
    """
    predicted = logits.argmax(axis=1)
    probabilities = classification.probabilities(logits)
    columns = {"predicted": np.asarray(label_names)[predicted]}
    columns |= {f"probability_{name}": probabilities[:, i] for i, name in enumerate(label_names)}
    at_true = regression.select_by_label(intensities, texts["label"].to_numpy())
    at_predicted = regression.select_by_label(intensities, predicted)
    for i, target in enumerate(targets):
        columns[target] = texts[target]
        columns[f"{target}_at_true"] = at_true[:, i]
        columns[f"{target}_at_predicted"] = at_predicted[:, i]
    return texts[["text", "label_name"]].assign(**columns)

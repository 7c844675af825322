"""Metrics as pure functions of arrays, and the baselines that they stand beside."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.pipeline import Pipeline, make_pipeline

from artificial_pain.errors import UserError


def classification(labels: np.ndarray, predictions: np.ndarray, label_names: Sequence[str]) -> dict:
    """Metrics of predicted labels; labels and predictions are indices into label_names, shape (n,).

    `macro_` is the mean over the classes, each counting the same; `macro_accuracy` the mean over the classes of the
    share of their examples that was found (balanced accuracy, the same number as `macro_recall`). Where every example
    has one label, `micro_f1` equals `accuracy`. A class that is never predicted has precision 0, one without
    examples recall 0. `confusion_matrix` counts, true labels in rows.
    """
    indices = np.arange(len(label_names))
    scores = precision_recall_fscore_support(labels, predictions, labels=indices, zero_division=0)
    precision, recall, f1, support = scores
    accuracy = float(np.mean(labels == predictions))
    per_class = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for name, p, r, f, n in zip(label_names, *scores, strict=True)
    }
    return {
        "n": len(labels),
        "accuracy": accuracy,
        "macro_accuracy": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "micro_f1": accuracy,
        "weighted_f1": float(np.average(f1, weights=support)),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "per_class": per_class,
        "confusion_matrix": confusion_matrix(labels, predictions, labels=indices).tolist(),
    }


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the labels, in double precision; shape (n, labels)."""
    return torch.softmax(torch.from_numpy(logits).double(), dim=1).numpy()


def tfidf_baseline(train: pd.DataFrame) -> Pipeline:
    """Logistic regression on the TF-IDF weights of the words, fit on the training split (`text` and `label`).

    Raises UserError where the texts have no words.
    """
    try:
        return make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)).fit(train["text"], train["label"])
    except ValueError as error:
        raise UserError(f"the training texts have no words of two letters or more ({error})") from None


def emotion_baselines(
    tfidf: Pipeline, label_counts: dict[str, int], test: pd.DataFrame, label_names: Sequence[str]
) -> dict[str, dict]:
    """The metrics of each baseline on the test split (a frame with `text` and `label`).

    The majority class is that of `label_counts`, the training labels before balancing: after it there is none.
    """
    majority = label_names.index(max(label_counts, key=label_counts.get))
    predictions = {
        "majority": np.full(len(test), majority),
        "tfidf_logistic_regression": tfidf.predict(test["text"]),
    }
    return {name: classification(test["label"], predicted, label_names) for name, predicted in predictions.items()}

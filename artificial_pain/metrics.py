"""Metrics as pure functions of arrays, and the baselines that they stand beside."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.pipeline import make_pipeline


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


def tfidf_baseline(train_texts: Sequence[str], train_labels: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """What logistic regression on the TF-IDF weights of the words predicts for the texts, fit on the training split."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    return model.fit(train_texts, train_labels).predict(texts)


def emotion_baselines(
    train: pd.DataFrame, test: pd.DataFrame, label_names: Sequence[str], label_counts: dict[str, int]
) -> dict[str, dict]:
    """The metrics on the test split of each baseline, fit on the training split (frames with `text` and `label`).

    The majority class is that of `label_counts`, the training labels before balancing: after it there is none.
    """
    majority = label_names.index(max(label_counts, key=label_counts.get))
    predictions = {
        "majority": np.full(len(test), majority),
        "tfidf_logistic_regression": tfidf_baseline(train["text"], train["label"], test["text"]),
    }
    return {name: classification(test["label"], predicted, label_names) for name, predicted in predictions.items()}

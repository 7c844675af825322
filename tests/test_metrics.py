"""Metrics and baselines against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from artificial_pain import metrics
from artificial_pain.errors import UserError


def test_classification_by_hand():
    """Four of a, two of b, none of c: a is found three times, b once, one of each is taken for the other.

    precision a = 3/4, b = 1/2; recall the same; f1 the same; c: all 0.
    """
    labels, predictions = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    got = metrics.classification(labels, predictions, ["a", "b", "c"])
    assert got["n"] == 6
    assert got["accuracy"] == got["micro_f1"] == pytest.approx(4 / 6)
    assert got["macro_f1"] == got["macro_recall"] == got["macro_accuracy"] == pytest.approx((0.75 + 0.5 + 0) / 3)
    assert got["macro_precision"] == pytest.approx((0.75 + 0.5 + 0) / 3)
    assert got["weighted_f1"] == pytest.approx((4 * 0.75 + 2 * 0.5) / 6)
    assert got["per_class"]["a"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4}
    assert got["per_class"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert got["confusion_matrix"] == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_precision_and_recall_are_not_mixed_up():
    """b is predicted for all three: precision 1/3, recall 1, f1 1/2."""
    got = metrics.classification(np.array([0, 0, 1]), np.array([1, 1, 1]), ["a", "b"])
    assert got["per_class"]["b"] == {
        "precision": pytest.approx(1 / 3),
        "recall": 1,
        "f1": pytest.approx(0.5),
        "support": 1,
    }
    assert got["confusion_matrix"] == [[0, 2], [0, 1]]


def test_probabilities_are_a_softmax():
    got = metrics.probabilities(np.array([[0, np.log(3)], [1000, 1000]], dtype=np.float32))
    assert got == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))


def test_baselines_are_fit_on_train_and_read_on_test():
    train = pd.DataFrame({"text": ["red apple", "red rose", "red car", "blue sea"] * 5, "label": [0, 0, 0, 1] * 5})
    test = pd.DataFrame({"text": ["a red thing", "the blue sea"], "label": [0, 1]})
    got = metrics.emotion_baselines(metrics.tfidf_baseline(train), {"blue": 7, "red": 3}, test, ["red", "blue"])
    assert got["majority"]["confusion_matrix"] == [[0, 1], [0, 1]], "as it was before balancing"
    assert got["tfidf_logistic_regression"]["accuracy"] == 1
    assert got["majority"].keys() == got["tfidf_logistic_regression"].keys()


def test_texts_without_words_are_told():
    with pytest.raises(UserError, match="no words"):
        metrics.tfidf_baseline(pd.DataFrame({"text": ["? !", "..."], "label": [0, 1]}))

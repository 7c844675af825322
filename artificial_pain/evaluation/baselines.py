"""What a fine-tuned model has to beat: the majority class, training means, and linear models of the words."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from artificial_pain.data.tokenization import Splits
from artificial_pain.errors import UserError, logger
from artificial_pain.evaluation import classification, regression

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

WORD = re.compile(r"\b\w\w+\b")  # two letters or more, as scikit-learn's default


def require_fittable(train: pd.DataFrame, targets: Sequence[str]) -> None:
    """Raise UserError before the training where `fit` could not follow it.

    `train` has the columns of `fit`. An intensity (a target) needs a known value. A warning names the emotions for
    which it has none.
    """
    examples = [train]
    for target in targets:
        known = train[train[target].notna()]
        examples.append(known)
        if known.empty:
            raise UserError(f"no training example has a known {target}, so it cannot be learned: lower --head_num")
        unknown = sorted(set(train["label_name"]) - set(known["label_name"]))
        if unknown:
            untrained = f"no training example of {', '.join(unknown)} has a known {target}"
            logger.warning(f"{untrained}: what is said of it is untrained")
    if not all(any(map(WORD.search, part["text"])) for part in examples):
        raise UserError("the training texts have no words of two letters or more: check the corpus")


def fit(train: pd.DataFrame, targets: Sequence[str]) -> dict[str, "Pipeline"]:
    """Linear models of TF-IDF word weights: logistic regression of the `label`, ridge regression of each target.

    `train` has the columns `text`, `label`, `label_name` and the targets. An example whose target is missing (NaN) is
    left out. What `require_fittable` refuses raises ValueError.
    """
    # Imported here: nothing needs scikit-learn before the training has ended.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline

    models = {"label": make_pipeline(TfidfVectorizer(token_pattern=WORD.pattern), LogisticRegression(max_iter=1000))}
    models["label"].fit(train["text"], train["label"])
    for target in targets:
        known = train[train[target].notna()]
        models[target] = make_pipeline(TfidfVectorizer(token_pattern=WORD.pattern), Ridge())
        models[target].fit(known["text"], known[target])
    return models


def evaluate(splits: Splits, targets: Sequence[str]) -> dict[str, dict]:
    """Fit the baselines to the training split, and return the metrics of each on the test split, by its name.

    The majority is that of the training labels before balancing: balanced labels have none. The means are those of the
    training split; an emotion without a known value has the mean of all. For the intensities at the predicted emotion,
    logistic regression predicts the emotion.
    """
    train, test, label_names = splits.texts["train"], splits.texts["test"], splits.label_names
    models = fit(train, targets)
    label_counts = splits.settings["label_counts"]
    majority = label_names.index(max(label_counts, key=label_counts.get))
    labels, by_words = test["label"].to_numpy(), models["label"].predict(test["text"])
    predicted = {"majority": np.full(len(test), majority), "tfidf_logistic_regression": by_words}
    scores = {}
    for name, predictions in predicted.items():
        scores[name] = classification.classification(labels, predictions, label_names, intervals=True)
    if not targets:
        return scores

    mean = train[targets].mean()
    emotion_means = train.groupby("label")[targets].mean().reindex(range(len(label_names))).fillna(mean)
    ridge = np.stack([models[target].predict(test["text"]) for target in targets], axis=1)
    intensities = {  # each broadcasts to a model's (test examples, targets, labels)
        "train_mean": mean.to_numpy()[None, :, None],
        "train_mean_of_emotion": emotion_means.to_numpy().T[None],
        "tfidf_ridge": ridge[:, :, None],
    }
    annotated, shape = test[targets].to_numpy(), (len(test), len(targets), len(label_names))
    for name, values in intensities.items():
        outputs = np.broadcast_to(values, shape)
        metrics = regression.intensity(annotated, outputs, labels, by_words, targets, label_names, intervals=True)
        scores[name] = {"intensity": metrics}
    return scores

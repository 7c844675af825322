"""What a fine-tuned model has to beat: the majority class, training means, and linear models of the words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline

from artificial_pain.errors import UserError, as_user_error, logger
from artificial_pain.evaluation import classification, regression


def fit(train: pd.DataFrame, targets: Sequence[str]) -> dict[str, Pipeline]:
    """Linear models of TF-IDF word weights: logistic regression of the `label`, ridge regression of each target.

    `train` has the columns `text`, `label`, `label_name` and the targets. An example whose target is missing (NaN) is
    left out. Raises UserError where the texts have no words, or a target is missing everywhere; warns where it is
    missing in all examples of an emotion.
    """
    with as_user_error("the training texts have no words of two letters or more", ValueError):
        models = {"label": make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))}
        models["label"].fit(train["text"], train["label"])
        for target in targets:
            known = train[train[target].notna()]
            if known.empty:
                raise UserError(f"no training example has a known {target}, so it cannot be learned: lower --head_num")
            unknown = sorted(set(train["label_name"]) - set(known["label_name"]))
            if unknown:
                logger.warning(
                    f"no training example of {', '.join(unknown)} has a known {target}: what is said of it is untrained"
                )
            models[target] = make_pipeline(TfidfVectorizer(), Ridge()).fit(known["text"], known[target])
    return models


def evaluate(
    models: dict[str, Pipeline],
    train: pd.DataFrame,
    test: pd.DataFrame,
    label_counts: dict[str, int],
    targets: Sequence[str],
    label_names: Sequence[str],
) -> dict[str, dict]:
    """The metrics of each baseline on the test split, by its name.

    `label_counts` are the training labels before balancing: balanced labels have no majority. The means are those of
    the training split; an emotion without a known value has the mean of all. For the intensities at the predicted
    emotion, logistic regression predicts the emotion.
    """
    majority = label_names.index(max(label_counts, key=label_counts.get))
    predicted = {
        "majority": np.full(len(test), majority),
        "tfidf_logistic_regression": models["label"].predict(test["text"]),
    }
    labels = test["label"].to_numpy()
    scores = {
        name: classification.classification(labels, predictions, label_names, intervals=True)
        for name, predictions in predicted.items()
    }
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
    shape = (len(test), len(targets), len(label_names))
    for name, values in intensities.items():
        scores[name] = {
            "intensity": regression.intensity(
                test[targets].to_numpy(),
                np.broadcast_to(values, shape),
                labels,
                predicted["tfidf_logistic_regression"],
                targets,
                label_names,
                intervals=True,
            )
        }
    return scores

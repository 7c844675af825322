"""What a fine-tuned model has to beat: the majority class, training means and medians, and linear models of the words
and of the encoder's hidden states before fine-tuning.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from artificial_pain.data.tokenization import Splits
from artificial_pain.errors import UserError, logger
from artificial_pain.evaluation import classification, readings, regression

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

WORD = re.compile(r"\b\w\w+\b")  # two letters or more, as scikit-learn's default
ALPHAS = 10.0 ** np.arange(-2, 6)  # regularisation strengths of the ridge regressions


def require_fittable(train: pd.DataFrame, targets: Sequence[str]) -> None:
    """Raise UserError before the training where the baselines could not be fitted after it.

    `train` has the columns `text`, `label_name` and the targets. An intensity (a target) needs a known value. A warning
    names the emotions for which it has none.
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
            logger.warning(f"{untrained}: it cannot be learned there")
    if not all(any(map(WORD.search, part["text"])) for part in examples):
        raise UserError("the training texts have no words of two letters or more: check the corpus")


def fit_classifier(train: pd.DataFrame) -> "Pipeline":
    """Logistic regression of the `label` on TF-IDF word weights of the `text`.

    What `require_fittable` refuses raises ValueError.
    """
    # Imported here: nothing needs scikit-learn before the training has ended.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(token_pattern=WORD.pattern), LogisticRegression(max_iter=1000))
    return model.fit(train["text"], train["label"])


def predict_by_ridge(features: Mapping[str, Sequence], texts: Mapping[str, pd.DataFrame], target: str) -> np.ndarray:
    """What a ridge regression of the target predicts of the test split: (test examples,).

    It is fitted to the training examples whose target is known. Its alpha has the lowest squared error on validation,
    or is the strongest if no target is known there. features: of each split, (examples, …).
    """
    from sklearn.linear_model import Ridge

    known = {split: np.flatnonzero(texts[split][target].notna()) for split in ("train", "validation")}
    values = {split: texts[split][target].to_numpy()[rows] for split, rows in known.items()}
    train, validation = (features[split][rows] for split, rows in known.items())
    models = [Ridge(alpha).fit(train, values["train"]) for alpha in ALPHAS]
    if len(known["validation"]) == 0:
        return models[-1].predict(features["test"])
    errors = [((model.predict(validation) - values["validation"]) ** 2).mean() for model in models]
    return models[int(np.argmin(errors))].predict(features["test"])


def tfidf_features(texts: Mapping[str, pd.DataFrame], target: str) -> dict:
    """TF-IDF word weights of each split's texts, (examples, words); of the words in training texts of known target."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(token_pattern=WORD.pattern).fit(texts["train"].loc[texts["train"][target].notna(), "text"])
    return {split: words.transform(frame["text"]) for split, frame in texts.items()}


def evaluate(
    splits: Splits, references: Mapping[str, regression.Reference], hidden_states: Mapping[str, np.ndarray]
) -> dict[str, dict]:
    """Fit the baselines to the training split, and return the metrics of each on the test split, by its name.

    The majority class is that before balancing, after which all are equally frequent. The means and medians are
    those of the training split; an emotion without a known value has the mean of all. Ridge regression reads the words,
    and the hidden states of the encoder before fine-tuning. For the intensities, logistic regression predicts the
    emotion and its probabilities.

    references: by the columns of the intensities. hidden_states: of each split, (examples, hidden); without references
    they are not needed.
    """
    texts, test, label_names = splits.texts, splits.texts["test"], splits.label_names
    classifier = fit_classifier(texts["train"])
    label_counts = splits.settings["label_counts"]
    majority = label_names.index(max(label_counts, key=label_counts.get))
    labels, by_words = test["label"].to_numpy(), classifier.predict(test["text"])
    predicted = {"majority": np.full(len(test), majority), "tfidf_logistic_regression": by_words}
    scores = {}
    for name, predictions in predicted.items():
        scores[name] = classification.classification(labels, predictions, label_names, intervals=True)
    if not references:
        return scores

    names, probabilities = list(references), classifier.predict_proba(test["text"])
    train = texts["train"]
    mean = pd.Series({name: reference.train_mean for name, reference in references.items()})
    emotion_means = train.groupby("label")[names].mean().reindex(range(len(label_names))).fillna(mean)
    words = [predict_by_ridge(tfidf_features(texts, name), texts, name) for name in names]
    frozen = [predict_by_ridge(hidden_states, texts, name) for name in names]
    intensities = {  # each broadcasts to a model's (test examples, targets, labels)
        "train_mean": mean.to_numpy()[None, :, None],
        "train_median": train[names].median().to_numpy()[None, :, None],
        "train_mean_of_emotion": emotion_means.to_numpy().T[None],
        "tfidf_ridge": np.stack(words, axis=1)[:, :, None],
        "frozen_ridge": np.stack(frozen, axis=1)[:, :, None],
    }
    annotated, shape = test[names].to_numpy(), (len(test), len(names), len(label_names))
    for name, values in intensities.items():
        read = readings.read(np.broadcast_to(values, shape), labels, by_words, probabilities)
        scores[name] = {
            "intensity": regression.intensity(annotated, read, labels, references, label_names, intervals=True)
        }
    return scores

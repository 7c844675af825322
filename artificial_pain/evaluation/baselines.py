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
    from sklearn.linear_model import LogisticRegression, Ridge

WORD = re.compile(r"\b\w\w+\b")  # two letters or more, as scikit-learn's default
ALPHAS = 10.0 ** np.arange(-2, 6)  # regularisation strengths of the ridge regressions
STRENGTHS = 10.0 ** np.arange(-3, 1)  # of the logistic regressions, as scikit-learn's C: the inverse
WORDS, CHARACTERS = (1, 2), (2, 5)  # lengths of the runs of words and of characters that TF-IDF weighs


def require_fittable(train: pd.DataFrame, targets: Sequence[str]) -> None:
    """Raise UserError before the training where the baselines could not be fitted after it.

    `train` has the columns `text`, `label_name` and the targets. An intensity (a target) needs a known value. A warning
    names the emotions for which it has none.
    """
    for target in targets:
        known = train[train[target].notna()]
        if known.empty:
            raise UserError(f"no training example has a known {target}, so it cannot be learned: lower --head_num")
        unknown = sorted(set(train["label_name"]) - set(known["label_name"]))
        if unknown:
            untrained = f"no training example of {', '.join(unknown)} has a known {target}"
            logger.warning(f"{untrained}: it cannot be learned there")
    if not any(map(WORD.search, train["text"])):
        raise UserError("the training texts have no words of two letters or more: check the corpus")


def fit_classifier(
    features: Mapping[str, Sequence],
    texts: Mapping[str, pd.DataFrame],
    column: str = "label",
    strengths: Sequence[float] = STRENGTHS,
) -> "LogisticRegression":
    """Logistic regression of a column of labels, with classes of equal weight.

    Its strength of regularisation has the highest macro-F1 on validation. features: of each split, (examples, …).
    """
    # Imported here: nothing needs scikit-learn before the training has ended.
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    models, scores = [], []
    for strength in strengths:
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
        models.append(model.fit(features["train"], texts["train"][column]))
        predicted = model.predict(features["validation"])
        scores.append(f1_score(texts["validation"][column], predicted, average="macro", zero_division=0))
    return models[int(np.argmax(scores))]


def fit_ridge(features: Mapping[str, Sequence], texts: Mapping[str, pd.DataFrame], target: str) -> "Ridge":
    """Ridge regression of the target, fitted to the training examples whose target is known.

    Its alpha has the lowest squared error on validation, or is the strongest if no target is known there. features: of
    each split, (examples, …).
    """
    from sklearn.linear_model import Ridge

    known = {split: np.flatnonzero(texts[split][target].notna()) for split in ("train", "validation")}
    values = {split: texts[split][target].to_numpy()[rows] for split, rows in known.items()}
    train, validation = (features[split][rows] for split, rows in known.items())
    models = [Ridge(alpha).fit(train, values["train"]) for alpha in ALPHAS]
    if len(known["validation"]) == 0:
        return models[-1]
    errors = [((model.predict(validation) - values["validation"]) ** 2).mean() for model in models]
    return models[int(np.argmin(errors))]


def tfidf_features(texts: Mapping[str, pd.DataFrame]) -> dict:
    """TF-IDF weights of each split's texts, (examples, features): of runs of WORDS, and of CHARACTERS within words.

    Their inverse document frequencies are those of the training texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    words = TfidfVectorizer(token_pattern=WORD.pattern, ngram_range=WORDS)
    union = make_union(words, TfidfVectorizer(analyzer="char_wb", ngram_range=CHARACTERS)).fit(texts["train"]["text"])
    return {split: union.transform(frame["text"]) for split, frame in texts.items()}


def evaluate(
    splits: Splits, references: Mapping[str, regression.Reference], hidden_states: Mapping[str, np.ndarray]
) -> tuple[dict[str, dict], dict[str, np.ndarray]]:
    """Fit the baselines to the training split; return the metrics of each on the test split, by its name, and what it
    predicts there, as columns of `predictions`.

    Logistic and ridge regression read TF-IDF weights, and the hidden states of the encoder before fine-tuning. The
    majority class is that before balancing, after which all are equally frequent. What SAD's raters say is read as a
    prediction too, where it is not the label.

    references: by the columns of the intensities. hidden_states: of each split, (examples, hidden).
    """
    texts, test, label_names = splits.texts, splits.texts["test"], splits.label_names
    features = {"tfidf": tfidf_features(texts), "frozen": hidden_states}
    classifiers = {name: fit_classifier(of_splits, texts) for name, of_splits in features.items()}
    label_counts = splits.settings["label_counts"]
    predicted = {"majority": np.full(len(test), label_names.index(max(label_counts, key=label_counts.get)))}
    for name, classifier in classifiers.items():
        predicted[f"{name}_logistic_regression"] = classifier.predict(features[name]["test"])
    is_label = splits.settings["label_column"] == "top_label"
    if "top_label" in test and not is_label and set(test["top_label"]) <= set(label_names):
        predicted["raters"] = test["top_label"].map(label_names.index).to_numpy()
    scores, labels = {}, test["label"].to_numpy()
    for name, predictions in predicted.items():
        scores[name] = classification.classification(labels, predictions, label_names, intervals=True)
        scores[name] |= classification.by_source(labels, predictions, label_names, test)
    columns = {name: np.asarray(label_names)[predictions] for name, predictions in predicted.items()}
    if references:
        emotions = predicted["tfidf_logistic_regression"], classifiers["tfidf"].predict_proba(features["tfidf"]["test"])
        intensities, annotated = _intensities(splits, references, features), test[list(references)].to_numpy()
        for name, values in intensities.items():
            read = readings.read(values, labels, *emotions)
            metrics = regression.intensity(annotated, read, labels, references, label_names, intervals=True)
            scores[name] = {"intensity": metrics}
            columns |= {f"{name}_{target}": read["predicted_label"][:, i] for i, target in enumerate(references)}
    return scores, columns


def _intensities(
    splits: Splits, references: Mapping[str, regression.Reference], features: Mapping[str, Mapping]
) -> dict[str, np.ndarray]:
    """What each baseline says of the intensities of the test split, (test examples, targets, labels), by its name.

    The means and medians are those of the training split; an emotion without a known value has the mean of all.
    features: what ridge regression reads, of each split, (examples, …), by the beginning of the baseline's name.
    """
    train, names = splits.texts["train"], list(references)
    mean = pd.Series({name: reference.train_mean for name, reference in references.items()})
    by_emotion = train.groupby("label")[names].mean().reindex(range(len(splits.label_names))).fillna(mean)
    intensities = {
        "train_mean": mean.to_numpy()[None, :, None],
        "train_median": train[names].median().to_numpy()[None, :, None],
        "train_mean_of_emotion": by_emotion.to_numpy().T[None],
    }
    for key, of_splits in features.items():
        predicted = [fit_ridge(of_splits, splits.texts, name).predict(of_splits["test"]) for name in names]
        intensities[f"{key}_ridge"] = np.stack(predicted, axis=1)[:, :, None]
    shape = len(splits.texts["test"]), len(names), len(splits.label_names)
    return {name: np.broadcast_to(values, shape) for name, values in intensities.items()}

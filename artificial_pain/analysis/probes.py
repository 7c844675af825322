"""Linear probes: what of a target can be read from the states of a layer, beside what they can know by heart."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from artificial_pain.analysis.states import States
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation import baselines, classification, regression
from artificial_pain.evaluation.bootstrap import Scores

STRENGTHS = 10.0 ** np.arange(-4, 0)  # of the logistic regressions of standardised states: see `baselines.STRENGTHS`
INTENSITY_METRICS = ("pearson", "r2", "spearman")
CONTROL = "control_"  # before a target, the name of its control task
WORDS = "bag of words"
WORD = re.compile(r"(?<!['\u2019\w])[^\W\d_]{3,}(?!['\u2019\w])")
GREETINGS = {"hello", "hey", "good", "morning", "afternoon", "evening", "thank", "thanks", "yes", "okay", "fine"}


@dataclass(frozen=True)
class Probe:
    """What a probe scores: macro-F1 of labels, Pearson's r of an intensity. Each of Scores has the runs' seeds."""

    validation: float  # the mean over the seeds, by which a layer is chosen
    score: Scores  # on test
    control: Scores  # of the control task
    r2: Scores | None  # of an intensity, also on test

    @property
    def selectivity(self) -> Scores:
        """The score less that of the control task (Hewitt & Liang, EMNLP 2019). A correlation below 0 counts as 0."""
        return self.score - Scores(np.maximum(self.control.values, 0), np.maximum(self.control.resampled, 0))


def targets(texts: Mapping[str, pd.DataFrame]) -> list[str]:
    """The columns that are probed: the label, the problem that ESConv says too, and the intensities.

    Each has several values in all splits, and a problem is said of all texts.
    """
    columns = texts["train"].columns.intersection(["label_name", "problem_type", *INTENSITIES])
    values = {column: [set(frame[column].dropna()) for frame in texts.values()] for column in columns}
    return [column for column in columns if all(len(each) > 1 and "" not in each for each in values[column])]


def first_content_word(text: str) -> str:
    """The first word of three letters or more that is no stop word, greeting, or short form such as "I've"."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = map(str.lower, WORD.findall(text))
    return next((word for word in words if word not in ENGLISH_STOP_WORDS and word not in GREETINGS), "")


def add_controls(texts: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The texts with a control task for each target: a value of the training split, drawn at random by the text's first
    content word. A probe can only learn it by heart, word by word. Texts of one word have one value, in all splits.
    """
    words = {split: frame["text"].map(first_content_word) for split, frame in texts.items()}
    columns: dict[str, dict] = {split: {} for split in texts}
    for target in targets(texts):
        values = texts["train"][target].dropna().sort_values().to_numpy()

        def draw(word: str, target: str = target, values: np.ndarray = values) -> object:
            return values[int(hashlib.sha256(f"{target} {word}".encode()).hexdigest(), 16) % len(values)]

        for split in texts:  # where a target is missing, so is its control: both have the same examples
            columns[split][CONTROL + target] = words[split].map(draw).where(texts[split][target].notna())
    return {split: frame.assign(**columns[split]) for split, frame in texts.items()}


def score(target: str, true: pd.Series, predicted: np.ndarray, train_mean: float) -> dict[str, tuple]:
    """By the metric's name its value, and those in the resamples of the examples, (RESAMPLES,): of labels macro-F1, of
    numbers INTENSITY_METRICS. true, predicted: (n,).
    """
    if target.removeprefix(CONTROL) not in INTENSITIES:
        names = sorted({*true, *predicted})
        labels, answers = (pd.Categorical(each, names).codes.astype(int) for each in (true, predicted))
        sums = classification.summands(labels, answers, len(names)).sum(axis=0)
        resampled = classification.resampled_scores(labels, answers, len(names))
        return {"macro_f1": (classification.macro_f1(sums), resampled["macro_f1"])}
    known, reference = true.notna().to_numpy(), regression.Reference(train_mean=train_mean)
    pair = true.to_numpy(float)[known], predicted[known], reference
    values = regression.regression_scores(*pair, np.ones((1, known.sum())))
    resampled = regression.resampled_scores(*pair)
    # A constant has no correlation: it says nothing.
    return {name: (np.nan_to_num(values[name][0]), np.nan_to_num(resampled[name])) for name in INTENSITY_METRICS}


def fit(target: str, features: Mapping[str, Sequence], texts: Mapping[str, pd.DataFrame], strengths: Sequence) -> dict:
    """The `score` of a probe on validation and test, by the split's name. features: of each split, (examples, …)."""
    from sklearn.dummy import DummyClassifier

    values, mean = texts["train"][target], np.nan
    if target.removeprefix(CONTROL) in INTENSITIES:
        model, mean = baselines.fit_ridge(features, texts, target), values.mean()
    elif values.nunique() == 1:  # a control task, where all texts have one first content word
        model = DummyClassifier().fit(features["train"], values)
    else:
        model = baselines.fit_classifier(features, texts, target, strengths)
    return {
        split: score(target, texts[split][target], model.predict(features[split]), mean)
        for split in ("validation", "test")
    }


def standardise(states: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The states (examples, hidden) of each split, with mean 0 and standard deviation 1 in train: of the same shape."""
    train = states["train"].astype(float)
    mean, deviation = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-6)
    return {split: (values - mean) / deviation for split, values in states.items()}


def _probe(target: str, seeds: Sequence[Mapping], texts: Mapping[str, pd.DataFrame], strengths: Sequence) -> Probe:
    """seeds: the features of each seed."""
    fitted, of_control = (
        [fit(name, features, texts, strengths) for features in seeds] for name in (target, CONTROL + target)
    )
    metric = "pearson" if target in INTENSITIES else "macro_f1"
    validation = float(np.mean([each["validation"][metric][0] for each in fitted]))
    score, control = (Scores.stack([each["test"][metric] for each in seeds]) for seeds in (fitted, of_control))
    r2 = Scores.stack([each["test"]["r2"] for each in fitted]) if target in INTENSITIES else None
    return Probe(validation, score, control, r2)


def probe(states: Mapping[str, list[States]], texts: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, list[Probe]]]:
    """By the target and the name of the states: a probe of each layer, from the embeddings on; and one of WORDS."""
    from sklearn import config_context
    from threadpoolctl import threadpool_limits

    texts = add_controls(texts)
    probes: dict = {target: {} for target in targets(texts)}
    # The products are small: several threads take ten times as long. What is checked here is our own.
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        for name, seeds in tqdm(states.items(), "Probes", unit=" encoders", disable=None):
            of_seeds = [{split: each[split] for split in texts} for each in seeds]
            for layer in range(of_seeds[0]["test"].shape[1]):
                features = [standardise({split: each[:, layer] for split, each in seed.items()}) for seed in of_seeds]
                for target, by_name in probes.items():
                    by_name.setdefault(name, []).append(_probe(target, features, texts, STRENGTHS))
        words = [baselines.tfidf_features(texts)]
        for target, by_name in probes.items():
            by_name[WORDS] = [_probe(target, words, texts, baselines.STRENGTHS)]
    return probes


def best_layer(probes: Sequence[Probe]) -> int:
    """The layer from which most is read on validation."""
    return int(np.argmax([each.validation for each in probes]))

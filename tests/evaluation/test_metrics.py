"""Metrics and baselines against hand calculations."""

import json

import numpy as np
import pandas as pd
import pytest
from datasets import DatasetDict
from scipy import stats
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import brier_score_loss, cohen_kappa_score, f1_score, log_loss, mean_squared_error, r2_score

from artificial_pain.data.tokenization import Splits
from artificial_pain.errors import UserError
from artificial_pain.evaluation import baselines, bootstrap, classification, readings, regression


def test_classification_metrics_match_hand_calculation():
    """Four of a, two of b, none of c: three of a are predicted right, one of b, and one of each as the other.

    precision a = 3/4, b = 1/2; recall the same; f1 the same; c: all 0.
    """
    labels, predictions = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    got = classification.classification(labels, predictions, ["a", "b", "c"])
    assert got["n"] == 6
    assert got["accuracy"] == got["micro_f1"] == pytest.approx(4 / 6)
    assert got["macro_f1"] == got["macro_recall"] == got["macro_accuracy"] == pytest.approx((0.75 + 0.5 + 0) / 3)
    assert got["macro_precision"] == pytest.approx((0.75 + 0.5 + 0) / 3)
    assert got["weighted_f1"] == pytest.approx((4 * 0.75 + 2 * 0.5) / 6)
    assert got["per_class"]["a"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4}
    assert got["per_class"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert got["confusion_matrix"] == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_precision_and_recall_are_not_swapped():
    """b is predicted for all three: precision 1/3, recall 1, f1 1/2."""
    got = classification.classification(np.array([0, 0, 1]), np.array([1, 1, 1]), ["a", "b"])
    assert got["per_class"]["b"] == {
        "precision": pytest.approx(1 / 3),
        "recall": 1,
        "f1": pytest.approx(0.5),
        "support": 1,
    }
    assert got["confusion_matrix"] == [[0, 2], [0, 1]]


def test_classification_metrics_are_those_of_scikit_learn():
    """All of them, of four classes, one of which is never predicted"""
    rng, names = np.random.default_rng(0), list("abcd")
    labels = rng.integers(4, size=200)
    predictions = np.where(rng.random(200) < 0.6, labels, rng.integers(3, size=200)) % 3
    got = classification.classification(labels, predictions, names)
    assert got["accuracy"] == got["micro_f1"] == pytest.approx(metrics.accuracy_score(labels, predictions))
    assert got["macro_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, predictions))
    assert got["confusion_matrix"] == metrics.confusion_matrix(labels, predictions).tolist()
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            labels, predictions, average=average, zero_division=0
        )
        expected = {"macro": {"macro_precision": precision, "macro_recall": recall, "macro_f1": f1}}
        expected["weighted"] = {"weighted_f1": f1}
        assert {name: got[name] for name in expected[average]} == pytest.approx(expected[average])
    expected = metrics.classification_report(labels, predictions, target_names=names, output_dict=True, zero_division=0)
    for name in names:
        theirs = {"f1" if key == "f1-score" else key: value for key, value in expected[name].items()}
        assert got["per_class"][name] == pytest.approx(theirs)


def test_regression_metrics_are_those_of_scikit_learn_and_scipy():
    """Of all examples, and in resamples of them"""
    rng = np.random.default_rng(0)
    annotated = rng.integers(1, 6, 60).astype(float)
    predicted, reference = annotated + rng.normal(size=60), regression.Reference((1, 5), 2.9)
    resampled = regression.resampled_scores(annotated, predicted, reference)
    got = [regression.regression(annotated, predicted, reference)]
    got += [{name: values[i] for name, values in resampled.items()} for i in range(20)]
    for scores, rows in zip(got, [slice(None), *bootstrap.bootstrap_indices(60)], strict=False):
        x, y = annotated[rows], predicted[rows]
        rounded = np.clip(np.rint(y), 1, 5).astype(int)
        expected = {
            "mse": metrics.mean_squared_error(x, y),
            "mae": metrics.mean_absolute_error(x, y),
            "r2": 1 - metrics.mean_squared_error(x, y) / metrics.mean_squared_error(x, np.full(60, 2.9)),
            "pearson": stats.pearsonr(x, y).statistic,
            "spearman": stats.spearmanr(x, y).statistic,
            "quadratic_weighted_kappa": metrics.cohen_kappa_score(x.astype(int), rounded, weights="quadratic"),
        }
        assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert got[0]["p_value"] == pytest.approx(stats.pearsonr(annotated, predicted).pvalue)


def test_probabilities_are_a_softmax():
    got = classification.probabilities(np.array([[0, np.log(3)], [1000, 1000]], dtype=np.float32))
    assert got == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))


def test_calibration_error_matches_hand_calculation():
    """Bins: 0.6 to 2/3 with 0.61 (right) and 0.65 (wrong); the last with 1 twice (right); up to 0.2 with 0.2 (wrong).

    |0.5 - 0.63| · 2/5 + |1 - 1| · 2/5 + |0 - 0.2| · 1/5
    """
    confidence, correct = np.array([0.61, 0.65, 1, 1, 0.2]), np.array([True, False, True, True, False])
    assert classification.calibration_error(confidence, correct) == pytest.approx(0.13 * 2 / 5 + 0.2 / 5)
    examples, confidences, right = classification.calibration_bins(confidence, correct).T
    assert np.flatnonzero(examples).tolist() == [2, 9, 14] and examples.sum() == 5 and right[9] == 1
    assert confidences[9] == pytest.approx(1.26)


def test_losses_of_probabilities_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(4, size=50), rng.dirichlet(np.ones(4), 50)
    got = classification.classification(labels, probabilities.argmax(1), list("abcd"), {"": probabilities}, True)
    assert got["negative_log_likelihood"] == pytest.approx(log_loss(labels, probabilities))
    assert got["brier_score"] == pytest.approx(brier_score_loss(labels, probabilities, labels=range(4)))
    low, high = got["intervals"]["brier_score"]
    assert low < got["brier_score"] < high and "expected_calibration_error" not in got["intervals"]


def test_calibration_error_of_a_calibrated_model_is_what_one_has_on_average():
    """Labels that are drawn by the probabilities, again and again"""
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.3, 1, 200)
    errors = [classification.calibration_error(confidence, rng.random(200) < confidence) for _ in range(500)]
    assert classification.calibration_error_if_calibrated(confidence) == pytest.approx(np.mean(errors), abs=0.003)


MISSING = np.nan


def test_missing_annotation_does_not_shift_other_pairs():
    """Known pairs (1, 2), (3, 3), (5, 6): errors 1, 0, 1.

    Deviations from the means 3 and 11/3: (-2, 0, 2) and (-5/3, -2/3, 7/3); r = 8 / sqrt(8 * 26/3).
    """
    annotated = np.array([1, 3, MISSING, 5])
    got = regression.regression(annotated, np.array([2, 3, 100, 6], dtype=np.float32))
    assert got["n"] == 3
    assert got["mse"] == got["mae"] == pytest.approx(2 / 3)
    assert got["pearson"] == pytest.approx(8 / (8 * 26 / 3) ** 0.5)
    # Two-sided, from Student's t of 1 degree of freedom (the Cauchy distribution): t = r / sqrt(1 - r^2).
    t = got["pearson"] / (1 - got["pearson"] ** 2) ** 0.5
    assert got["p_value"] == pytest.approx(1 - 2 * np.arctan(t) / np.pi)


def test_agreement_metrics_match_hand_calculation():
    """Rounded to 1, 2, 5, and 6 to 5, 0.4 to 1: the scale's ends; squared differences 0, 0, 1, 0, 0, their mean 1/5"""
    annotated, predicted = np.array([1.0, 2, 4, 5, 1]), np.array([1.2, 2.3, 4.6, 6.0, 0.4])
    got = regression.regression(annotated, predicted)
    assert got["quadratic_weighted_kappa"] == pytest.approx(
        cohen_kappa_score(annotated.astype(int), [1, 2, 5, 5, 1], weights="quadratic", labels=range(1, 6))
    )
    assert got["spearman"] == pytest.approx(stats.spearmanr(annotated, predicted).statistic)
    by_chance = annotated.var() + np.var([1, 2, 5, 5, 1]) + (np.mean([1, 2, 5, 5, 1]) - annotated.mean()) ** 2
    assert got["quadratic_weighted_kappa"] == pytest.approx(1 - 0.2 / by_chance)


@pytest.mark.parametrize("level", [0.0, 0.001, 2.5, -4.0])
@pytest.mark.parametrize("noise", [0, 1e-6])
def test_constant_prediction_has_no_correlation(level, noise):
    """Also where it differs by the rounding of single precision, as a network's constant does, even near 0."""
    predicted = level + noise * np.array([1, -1, 0, 1])
    got = regression.regression(np.array([1.0, 2, 4, 5]), predicted)
    assert got["pearson"] is None and got["p_value"] is None
    assert got["mae"] == pytest.approx(np.mean(np.abs(np.array([1, 2, 4, 5]) - predicted))) and got["n"] == 4
    swapped = regression.regression(np.full(4, 3.0), np.array([1.0, 2, 4, 5]))
    assert swapped["pearson"] is None and swapped["mse"] == pytest.approx((4 + 1 + 1 + 4) / 4)


def test_metrics_without_pairs_are_undefined():
    got = regression.regression(np.array([MISSING, MISSING]), np.array([1.0, 2]))
    undefined = dict.fromkeys(["r2", "pearson", "p_value", "spearman", "quadratic_weighted_kappa"])
    assert got == {"mse": None, "mae": None, **undefined, "n": 0}
    one = regression.regression(np.array([MISSING, 3]), np.array([1.0, 2]))
    assert one == {"mse": 1, "mae": 1, **undefined, "quadratic_weighted_kappa": 0, "n": 1}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_metrics_of_non_finite_predictions_are_undefined(value):
    """A model that diverged predicts them; results are strict JSON, which has no NaN. Only b has such a prediction."""
    annotated, predicted = np.array([1.0, 2, 3, 4, 5] * 2), np.array([1.0, 2, 3, 4, 4, 1, 2, 3, 4, value])
    got = regression.target_metrics(annotated, predicted, np.repeat([0, 1], 5), ["a", "b"])
    assert got["per_emotion"]["a"]["mse"] == pytest.approx(0.2) and got["per_emotion"]["b"]["mse"] is None
    assert got["micro"]["mse"] is None and got["macro"]["mse"] is None
    json.dumps(got, allow_nan=False)


def test_emotion_with_fewer_than_5_pairs_is_left_out_of_macro():
    """a: 5 pairs, errors of 1, r = 1. b: 6 examples, one missing, errors of 3, constant. c: 4 pairs. d: none."""
    labels = np.repeat([0, 1, 2], [5, 6, 4])
    annotated = np.array([1, 2, 3, 4, 5, 1, 2, MISSING, 2, 1, 1, 5, 5, 5, 4.0])
    predicted = np.array([2, 3, 4, 5, 6, 4, 4, 9, 4, 4, 4, 0, 0, 0, 0.0])
    got = regression.target_metrics(annotated, predicted, labels, ["a", "b", "c", "d"])
    assert [got["per_emotion"][name]["n"] for name in "abcd"] == [5, 5, 4, 0]
    errors_b = [3, 2, 2, 3, 3]
    assert got["per_emotion"]["b"]["mae"] == pytest.approx(np.mean(errors_b))
    assert got["per_emotion"]["c"]["mae"] == pytest.approx(4.75)
    assert got["macro"]["mae"] == pytest.approx((1 + np.mean(errors_b)) / 2)
    assert got["macro"]["pearson"] == pytest.approx(1), "of a alone: b's predictions are constant"
    assert (got["macro"]["n"], got["macro"]["emotions"], got["macro"]["pearson_emotions"]) == (10, 2, 1)
    assert got["macro"]["p_value"] is None
    assert got["micro"]["n"] == 14 and got["micro"]["mae"] == pytest.approx((5 + sum(errors_b) + 19) / 14)
    few = regression.target_metrics(annotated[11:], predicted[11:], labels[11:], ["a", "b", "c", "d"])
    assert few["macro"]["mae"] is None and few["macro"]["emotions"] == 0


@pytest.mark.parametrize("train_mean", [3.0, 2.0])
def test_r2_is_the_skill_against_the_training_mean(train_mean):
    """That of scikit-learn where the training mean is the test mean, as 3 is here; else 1 - 3 / (0 + 1 + 9)"""
    annotated, predicted = np.array([2.0, 3, 4, MISSING]), np.array([3.0, 2, 3, 7])
    got = regression.regression(annotated, predicted, regression.Reference(train_mean=train_mean))
    of_mean = ((annotated[:3] - train_mean) ** 2).sum()
    assert got["r2"] == pytest.approx(1 - 3 / of_mean)
    if train_mean == 3:
        assert got["r2"] == pytest.approx(r2_score(annotated[:3], predicted[:3]))
    as_mean = regression.regression(annotated, np.full(4, train_mean), regression.Reference(train_mean=train_mean))
    assert as_mean["r2"] == 0
    constant = regression.regression(np.full(4, train_mean), predicted, regression.Reference(train_mean=train_mean))
    assert constant["r2"] is None, "where nothing is left to explain"


def test_intensities_are_read_at_true_and_predicted_emotion_and_expected():
    """Expected: 0.2 · 1 + 0.5 · 2 + 0.3 · 3 = 2.1 and 0.1 · 4 + 0.1 · 5 + 0.8 · 6 = 5.7"""
    intensities = np.array([[[1.0, 2, 3], [10, 20, 30]], [[4, 5, 6], [40, 50, 60]]])  # (examples, targets, labels)
    assert readings.select_by_label(intensities, np.array([2, 0])).tolist() == [[3, 30], [4, 40]]
    annotated = np.array([[3.0, 20], [MISSING, 60]])
    targets = {"initial_intensity": regression.Reference(), "intensity_change": regression.Reference((-4, 4))}
    labels, probabilities = np.array([2, 0]), np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    read = readings.read(intensities, labels, np.array([1, 2]), probabilities)
    assert read["expected"] == pytest.approx(np.array([[2.1, 21], [5.7, 57]]))
    got = regression.intensity(annotated, read, labels, targets, ["a", "b", "c"])
    assert list(got) == list(readings.READINGS) and got["true_label"].keys() == {"initial", "change"}
    assert got["true_label"]["initial"]["micro"]["mae"] == 0 and got["predicted_label"]["initial"]["micro"]["mae"] == 1
    assert got["expected"]["initial"]["micro"]["mae"] == pytest.approx(0.9)
    assert got["true_label"]["change"]["micro"]["mae"] == 15 and got["predicted_label"]["change"]["micro"]["mae"] == 0
    assert got["expected"]["change"]["micro"]["mae"] == pytest.approx((1 + 3) / 2)
    assert got["predicted_label"]["change"]["per_emotion"]["c"]["n"] == 1, "grouped by the true emotion"


def test_heads_that_contradict_each_other_are_inconsistent():
    """final - initial - change: 2 - 4 + 2 = 0, 3 - 4 - 1 = -2, 5 - 1 - 3 = 1; in mean 1"""
    read = {"expected": np.array([[4.0, 2, -2], [4, 3, 1], [1, 5, 3]]), "true_label": np.array([[4.0, 2, -2]] * 3)}
    assert readings.inconsistencies(read) == {"expected": 1, "true_label": 0}
    got = readings.inconsistencies(read, intervals=True)
    assert got["intervals"] == {"expected": [0, 2], "true_label": [0, 0]}, "of all examples the first, or the second"


def test_baselines_are_fit_on_train_and_evaluated_on_test():
    train = pd.DataFrame({"text": ["red apple", "red rose", "red car", "blue sea"] * 5, "label": [0, 0, 0, 1] * 5})
    test = pd.DataFrame({"text": ["a red thing", "the blue sea"], "label": [0, 1], "top_label": ["blue", "blue"]})
    test["source"] = ["shop", "harbour"]
    settings = {"label_counts": {"blue": 7, "red": 3}, "label_column": "original_label"}
    texts = {"train": train, "validation": train, "test": test}
    splits = Splits(DatasetDict(), texts, ["red", "blue"], "", settings, None)
    states = {split: 1.0 - frame[["label"]].to_numpy() for split, frame in texts.items()}
    got, columns = baselines.evaluate(splits, {}, states)
    assert got.keys() == {"majority", "raters", "tfidf_logistic_regression", "frozen_logistic_regression"}
    assert got["majority"]["confusion_matrix"] == [[0, 1], [0, 1]], "as it was before balancing"
    for name in ("tfidf_logistic_regression", "frozen_logistic_regression"):
        assert got[name]["accuracy"] == 1 and list(columns[name]) == ["red", "blue"]
    assert got["majority"] == got["raters"] and list(columns["raters"]) == ["blue", "blue"]
    by_source = {"harbour": {"n": 1, "accuracy": 1, "weighted_f1": 1}}
    assert got["raters"]["by_source"] == by_source | {"shop": {"n": 1, "accuracy": 0, "weighted_f1": 0}}
    splits.settings["label_column"] = "top_label"
    assert "raters" not in baselines.evaluate(splits, {}, states)[0], "they cannot predict their own label"


def test_strength_of_logistic_regression_is_chosen_on_validation():
    """The one whose macro-F1 there is the highest, by scikit-learn, with classes of equal weight"""
    rng = np.random.default_rng(0)
    labels = {split: np.repeat([0, 1], [9 * n, n]) for split, n in [("train", 6), ("validation", 8)]}
    features = {
        split: each[:, None] * [1.5, *[0] * 30] + rng.normal(size=(len(each), 31)) for split, each in labels.items()
    }
    texts = {split: pd.DataFrame({"label": each}) for split, each in labels.items()}
    fitted = {
        c: LogisticRegression(C=c, class_weight="balanced", max_iter=1000).fit(features["train"], labels["train"])
        for c in baselines.STRENGTHS
    }
    scores = {
        c: f1_score(labels["validation"], model.predict(features["validation"]), average="macro")
        for c, model in fitted.items()
    }
    best = max(scores, key=scores.get)
    assert len(set(scores.values())) > 1
    model = baselines.fit_classifier(features, texts)
    assert best == model.C


def test_intensity_baselines_match_hand_calculation(capsys):
    """Training means: 2.5 of all (missing ones left out), 1.67 of red, 5 of blue; green, of which none is known, has
    2.5. Median: 2. The frozen encoder's states are the intensities themselves.
    """
    train = pd.DataFrame(
        {
            "text": ["red apple", "red rose", "red car", "blue sea", "green tree"] * 4,
            "label": [0, 0, 0, 1, 2] * 4,
            "label_name": ["red", "red", "red", "blue", "green"] * 4,
            "final_intensity": [1, 3, 1, 5, MISSING] * 4,
        }
    )
    test = pd.DataFrame({"text": ["red rose", "blue sea", "red"], "label": [0, 1, 2], "final_intensity": [2, 4.5, 3.0]})
    names = ["red", "blue", "green"]
    baselines.require_fittable(train, ["final_intensity"])
    assert "no training example of green has a known final_intensity" in capsys.readouterr().err
    settings = {"label_counts": {"red": 3, "blue": 1, "green": 1}, "label_column": None}
    texts = {"train": train, "validation": train.iloc[:5], "test": test}
    splits = Splits(DatasetDict(), texts, names, "", settings, None)
    states = {split: frame["final_intensity"].fillna(9).to_numpy()[:, None] for split, frame in texts.items()}
    got, columns = baselines.evaluate(splits, {"final_intensity": regression.Reference(train_mean=2.5)}, states)

    def micro(name: str, reading: str) -> dict:
        return got[name]["intensity"][reading]["final"]["micro"]

    for reading in readings.READINGS:
        assert micro("train_mean", reading)["mae"] == pytest.approx((0.5 + 2 + 0.5) / 3)
        assert micro("train_mean", reading)["pearson"] is None and micro("train_mean", reading)["r2"] == 0
        assert micro("train_median", reading)["mae"] == pytest.approx((0 + 2.5 + 1) / 3)
        assert micro("frozen_ridge", reading)["mae"] < 0.01
        assert micro("tfidf_ridge", reading)["mae"] < micro("train_mean", reading)["mae"]
    assert micro("train_mean_of_emotion", "true_label")["mae"] == pytest.approx((1 / 3 + 0.5 + 0.5) / 3)
    at_predicted = (1 / 3 + 0.5 + 4 / 3) / 3
    assert micro("train_mean_of_emotion", "predicted_label")["mae"] == pytest.approx(at_predicted), "red, not green"
    errors = np.abs(columns["train_mean_of_emotion_final_intensity"] - test["final_intensity"])
    assert errors.mean() == pytest.approx(at_predicted)
    features = baselines.tfidf_features(texts)
    shares = baselines.fit_classifier(features, texts).predict_proba(features["test"])
    errors = np.abs(shares @ [5 / 3, 5, 2.5] - test["final_intensity"])
    assert micro("train_mean_of_emotion", "expected")["mae"] == pytest.approx(errors.mean())


def test_strength_of_a_ridge_regression_is_chosen_on_validation():
    """One that is as scikit-learn's of each strength, and has the lowest squared error there"""
    rng = np.random.default_rng(0)
    features = {split: rng.normal(size=(n, 20)) for split, n in [("train", 25), ("validation", 40), ("test", 30)]}
    signal = {split: values[:, 0] for split, values in features.items()}
    texts = {split: pd.DataFrame({"y": values + rng.normal(size=len(values))}) for split, values in signal.items()}
    texts["train"].loc[3, "y"] = texts["validation"].loc[5, "y"] = MISSING
    got = baselines.fit_ridge(features, texts, "y").predict(features["test"])
    known = {split: frame["y"].notna() for split, frame in texts.items()}
    fitted = {
        strength: Ridge(strength).fit(features["train"][known["train"]], texts["train"].loc[known["train"], "y"])
        for strength in baselines.ALPHAS
    }
    validation = features["validation"][known["validation"]], texts["validation"].loc[known["validation"], "y"]
    errors = {strength: mean_squared_error(validation[1], m.predict(validation[0])) for strength, m in fitted.items()}
    best = min(errors, key=errors.get)
    assert min(baselines.ALPHAS) < best < max(baselines.ALPHAS)
    assert got == pytest.approx(fitted[best].predict(features["test"]))
    texts["validation"]["y"] = MISSING
    assert np.ptp(baselines.fit_ridge(features, texts, "y").predict(features["test"])) < 0.01, "the strongest"


def test_target_without_known_value_is_refused():
    train = pd.DataFrame({"text": ["a red car", "a blue sea"], "label": [0, 1], "final_intensity": [MISSING, MISSING]})
    with pytest.raises(UserError, match="no training example has a known final_intensity"):
        baselines.require_fittable(train, ["final_intensity"])


def test_texts_without_words_are_refused():
    """Where scikit-learn would find no vocabulary"""
    train = pd.DataFrame({"text": ["? !", "a b"], "label": [0, 1], "label_name": ["a", "b"], "final_intensity": [1, 2]})
    with pytest.raises(ValueError, match="empty vocabulary"):
        baselines.tfidf_features({"train": train})
    with pytest.raises(UserError, match="no words"):
        baselines.require_fittable(train, ["final_intensity"])
    train["text"] = ["\u611f\u60c5 \u75bc", "\u00fcb"]
    baselines.require_fittable(train, ["final_intensity"])
    baselines.tfidf_features({"train": train})

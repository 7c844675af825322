"""Names of the splits, intensities and probabilities, wherever they are read or written."""

SPLITS = ("train", "validation", "test")
SPLIT = "split"  # the column, or the key of a dialogue, in which a user's file says the split of an example
TEXT_COLUMNS = ["sentence", "text"]  # of texts: SAD's own, and the one that most people's tables have
RATED = ["source", "top_label"]  # of SAD: where a sentence is from, and the label that most of its raters gave
# The baselines that predict labels: those that are fitted, the most frequent label, and what SAD's raters say.
FITTED_CLASSIFIERS = ["frozen_logistic_regression", "tfidf_logistic_regression"]
CLASSIFIERS = [*FITTED_CLASSIFIERS, "majority", "raters"]
PROBABILITY = "probability_"  # before a label, the name of its column in predictions
CALIBRATED = "calibrated_"  # before the name of a metric or of a column of predictions
# Each intensity's column, and its short name in results and figures: before the talk, after it, and final - initial.
INTENSITIES = {"initial_intensity": "initial", "final_intensity": "final", "intensity_change": "change"}

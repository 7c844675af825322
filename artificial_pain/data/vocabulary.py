"""Names of the splits, intensities and probabilities, wherever they are read or written."""

SPLITS = ("train", "validation", "test")
PROBABILITY = "probability_"  # before a label, the name of its column in predictions
# Each intensity's column, and its short name in results and figures: before the talk, after it, and final - initial.
INTENSITIES = {"initial_intensity": "initial", "final_intensity": "final", "intensity_change": "change"}

"""What the parts of the data are called, wherever they are read or written."""

SPLITS = ("train", "validation", "test")
# A column each, with the target's name in results and figures: before the talk, after it, and final - initial.
INTENSITIES = {"initial_intensity": "initial", "final_intensity": "final", "intensity_change": "change"}

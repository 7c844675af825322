"""The figures of a run; each is drawn to a PNG file."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

# Figures go to files alone. matplotlib reads the name of its backend when it is imported, and fails there at that of a
# notebook, which hands it on to the processes that it starts.
os.environ["MPLBACKEND"] = "Agg"

import matplotlib
import numpy as np
import pandas as pd

from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation.classification import BINS, calibration_bins
from artificial_pain.evaluation.readings import READING_TITLES, READINGS

matplotlib.use("Agg")  # also where matplotlib was imported before
import matplotlib.pyplot as plt

matplotlib.rcdefaults()  # a matplotlibrc of the user's makes other figures, or needs a LaTeX

# A character that the font lacks is drawn as a box; the other files have the label in full.
warnings.filterwarnings("ignore", message="Glyph .* missing from font")

JITTER = 0.15  # spreads points of the same annotated value by so much to each side


def _grid(rows: int, columns: int, width: float, height: float) -> tuple[plt.Figure, np.ndarray]:
    """A grid of axes of this size in inches, with room for their labels and a title.

    The labels' sizes are known. So they need no constrained layout, which takes longer than the drawing.
    """
    figure, grid = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False)
    width, height = figure.get_size_inches()
    figure.subplots_adjust(0.7 / width, 0.6 / height, 1 - 0.2 / width, 1 - 0.8 / height, wspace=0.25, hspace=0.3)
    return figure, grid


def save(figure: plt.Figure, path: Path, dpi: int = 120) -> None:
    figure.savefig(path, dpi=dpi)
    plt.close(figure)


def draw_confusion_matrix(
    path: Path, counts: Sequence[Sequence[float]], label_names: Sequence[str], title: str, dpi: int = 120
) -> None:
    """The shares of each true label's examples (rows add to 1), with the numbers of examples behind them."""
    counts = np.asarray(counts)
    support = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    side = 3 + 0.75 * len(label_names)
    figure, axes = plt.subplots(figsize=(side + 1, side), layout="constrained")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(label_names))
    supported = [f"{name} ({n:g})" for name, n in zip(label_names, support[:, 0], strict=True)]
    axes.set_xticks(ticks, label_names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(ticks, supported, parse_math=False)  # a label may have a $ in it
    axes.set(xlabel="predicted", ylabel="true (examples)", title=title)
    for row in ticks:
        for column in ticks:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{shares[row, column]:.2f}", ha="center", va="center", color=colour, fontsize=9)
    figure.colorbar(image, label="share of the true label", shrink=0.8)
    save(figure, path, dpi)


def draw_reliability(path: Path, confidence: np.ndarray, correct: np.ndarray, title: str) -> None:
    """For each bin of confidence, the share of correct examples (Guo et al., ICML 2017) and the number of examples.

    confidence: (n,), the probability of the predicted label; correct: (n,), whether it is the true label.
    """
    examples, confidences, right = calibration_bins(confidence, correct).T
    filled = examples > 0
    figure, (axes, below) = plt.subplots(2, sharex=True, layout="constrained", figsize=(4.2, 5), height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)  # perfect calibration
    axes.plot(confidences[filled] / examples[filled], right[filled] / examples[filled], marker="o")
    axes.set(ylabel="share correct", ylim=(0, 1), title=title)
    below.bar((np.arange(BINS) + 0.5) / BINS, examples, width=0.9 / BINS, color="grey")
    below.set(xlabel="probability of the predicted label", ylabel="examples", xlim=(0, 1))
    save(figure, path)


def draw_intensities(path: Path, predictions: pd.DataFrame, metrics: dict, title: str) -> None:
    """Predicted against annotated values: a column for each target, a row for each of READINGS.

    predictions: with the columns of `training.evaluate.predictions_frame`; metrics: a split's "intensity".
    """
    targets = [target for target in INTENSITIES if target in predictions]
    figure, grid = _grid(len(READINGS), len(targets), width=4.2, height=4.4)
    jitter = np.random.default_rng(0).uniform(-JITTER, JITTER, len(predictions))
    for row, (reading, end) in zip(grid, READINGS.items(), strict=True):
        for axes, target in zip(row, targets, strict=True):
            name = INTENSITIES[target]
            predicted = predictions[f"{target}{end}"]
            scores = metrics[reading][name]["micro"]
            values = predictions[[target, *(f"{target}{end}" for end in READINGS.values())]]
            ends = [values.min(axis=None) - 0.5, values.max(axis=None) + 0.5]  # one scale for a column of the figure
            axes.plot(ends, ends, color="grey", linewidth=1)  # the identity
            axes.scatter(predictions[target] + jitter, predicted, s=16, alpha=0.5, linewidths=0)
            axes.set(xlim=ends, ylim=ends, aspect="equal", title=_correlation(name, scores))
            axes.locator_params(integer=True)
            axes.set(xlabel="annotated (spread out)", ylabel=f"predicted, {READING_TITLES[reading]}")
    figure.suptitle(title)
    save(figure, path)


def _correlation(name: str, scores: dict) -> str:
    if scores["pearson"] is None:
        return f"{name}: r not defined, n = {scores['n']}"
    return f"{name}: r = {scores['pearson']:.2f} (p = {scores['p_value']:.2g}), n = {scores['n']}"


def loss_title(loss: str) -> str:
    """The title for a loss, by the name under which the Trainer logs it."""
    titles = {"loss": "loss", "loss_emotion": "emotion: cross-entropy"}
    return titles.get(loss, f"{loss.removeprefix('loss_')}: mean squared error")


def draw_learning_curves(
    path: Path, runs: Sequence[pd.DataFrame], best_epoch: int | None = None, dpi: int = 120
) -> None:
    """Each loss by epoch, in training and validation (`history.learning_curves`); a line marks the kept epoch.

    Of several runs each has a thin curve, and their mean, over the epochs that all have, a thick one.
    """
    losses = [name for name in runs[0] if not name.startswith("eval_")]
    figure, grid = _grid(1, len(losses), width=3.8, height=3.6)
    for axes, name in zip(grid[0], losses, strict=True):
        kinds = (name, "training", "tab:blue"), (f"eval_{name}", "validation", "tab:orange")
        for column, label, color in [kind for kind in kinds if kind[0] in runs[0]]:
            curves = pd.concat([run.filter([column]) for run in runs], axis=1)
            if len(runs) > 1:
                axes.plot(curves.index, curves, color=color, linewidth=0.7, alpha=0.5)
            axes.plot(curves.index, curves.mean(axis=1, skipna=False), color=color, marker=".", label=label)
        if best_epoch is not None:
            axes.axvline(best_epoch, color="grey", linestyle=":", label="kept")
        axes.margins(0.1)
        axes.set_ylim(bottom=0)
        axes.set(title=loss_title(name), xlabel="epoch", xlim=(curves.index[0] - 0.5, curves.index[-1] + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    grid[0][0].legend()
    save(figure, path, dpi)

"""The figures of a report, each to a small PNG file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from artificial_pain.evaluation import bootstrap, figures
from artificial_pain.evaluation.classification import confusion_counts
from artificial_pain.reporting.groups import Group, Metric

DPI = 80
BEFORE_AND_AFTER = ["initial_intensity", "final_intensity"]


def draw_comparison(path: Path, metrics: Sequence[tuple[str, Metric]], title: str) -> None:
    """A metric of runs and baselines, by name; the first at the top."""
    values = [metric.mean for _, metric in metrics]
    ends = np.transpose([metric.interval for _, metric in metrics])
    figure, axes = figures.plt.subplots(figsize=(8, 0.9 + 0.32 * len(metrics)), layout="constrained")
    axes.errorbar(values, range(len(metrics)), xerr=np.abs(ends - values), fmt="o", capsize=3)
    axes.set_yticks(range(len(metrics)), [name for name, _ in metrics], parse_math=False)
    axes.set(xlabel=title, ylim=(len(metrics) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.3)
    figures.save(figure, path, DPI)


def draw_confusion(path: Path, group: Group) -> None:
    """The confusion matrix, as the mean over the seeds."""
    counts = [confusion_counts(group.labels, labels, len(group.label_names)) for labels in group.predicted_labels]
    seeds = f"mean of {len(group.runs)} seeds" if len(group.runs) > 1 else f"seed {group.seeds[0]}"
    title = f"test split, {seeds}, macro-F1 {group.emotion_metric('macro_f1').mean:.3f}"
    figures.draw_confusion_matrix(path, np.mean(counts, axis=0), group.label_names, title, dpi=DPI)


def draw_before_and_after(path: Path, group: Group) -> None:
    """For each true emotion, the mean intensity before and after the talk, annotated and predicted (mean of the seeds,
    read at the predicted emotion), over the dialogues with both annotations; with 95 % bootstrap intervals.
    """
    annotated = np.stack([group.annotated(target) for target in BEFORE_AND_AFTER])
    predicted = np.stack([group.predicted_intensity(target).mean(axis=0) for target in BEFORE_AND_AFTER])
    complete = ~np.isnan(annotated).any(axis=0)
    low = min(0.8, predicted[:, complete].min(initial=1) - 0.2)  # the scale is 1 to 5; a prediction may be beyond it
    high = max(5.2, predicted[:, complete].max(initial=5) + 0.2)
    num_labels = len(group.label_names)
    columns = min(4, num_labels)
    rows = -(-num_labels // columns)
    size = (2.3 * columns, 2.4 * rows)
    figure, grid = figures.plt.subplots(rows, columns, figsize=size, squeeze=False, sharey=True, layout="constrained")
    for axes in grid.flat[num_labels:]:
        axes.set_axis_off()
    for label, (axes, name) in enumerate(zip(grid.flat, group.label_names, strict=False)):
        mask = complete & (group.labels == label)
        axes.set_title(f"{name} (n = {mask.sum()})", fontsize=10, parse_math=False)
        axes.set_xticks([0, 1], ["before", "after"])
        axes.set(xlim=(-0.35, 1.35), ylim=(low, high))
        if mask.any():
            _draw_means(axes, annotated[:, mask], "annotated", shift=-0.05)
            _draw_means(axes, predicted[:, mask], "predicted", shift=0.05)
    grid[0, 0].legend(fontsize=8)
    figure.supylabel("intensity, 1 to 5")
    figures.save(figure, path, DPI)


def _draw_means(axes: figures.plt.Axes, values: np.ndarray, label: str, shift: float) -> None:
    """The means of the values, (2, n), at 0 and 1, with their intervals; `shift` moves them to one side."""
    resampled = values[:, bootstrap.bootstrap_indices(values.shape[1])].mean(axis=2)
    means = values.mean(axis=1)
    intervals = np.array([bootstrap.interval(samples) for samples in resampled]).T
    axes.errorbar([shift, 1 + shift], means, np.abs(intervals - means), marker="o", capsize=3, label=label)


def draw_learning_curves(path: Path, group: Group) -> None:
    """Every loss by epoch, of each seed and in the mean."""
    figures.draw_learning_curves(path, [run.curves for run in group.runs], dpi=DPI)

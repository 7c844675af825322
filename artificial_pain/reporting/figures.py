"""The figures of a report, each to a small PNG file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from artificial_pain.evaluation import bootstrap, classification, figures
from artificial_pain.evaluation.figures import plt
from artificial_pain.reporting.groups import Group

DPI = 80
BEFORE_AND_AFTER = ["initial_intensity", "final_intensity"]


def draw_comparison(path: Path, rows: Sequence[tuple[str, float, list[float] | None]], title: str) -> None:
    """A metric of runs and baselines, by name, each with its interval; the first at the top."""
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.32 * len(rows)), layout="constrained")
    for place, (_, value, interval) in enumerate(rows):
        low, high = interval or (value, value)
        axes.errorbar(value, place, xerr=np.abs([[value - low], [high - value]]), fmt="o", color="tab:blue", capsize=3)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], parse_math=False)
    axes.set(xlabel=title, ylim=(len(rows) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def draw_confusion(path: Path, group: Group) -> None:
    """The confusion matrix over the seeds: their mean."""
    counts = classification.confusion_counts(
        np.broadcast_to(group.labels, group.predicted.shape), group.predicted, classes(group)
    )
    title = f"test split, {_seeds(group)}, macro-F1 {group.emotion['macro_f1'].mean:.3f}"
    figures.draw_confusion_matrix(path, counts.mean(axis=0), group.label_names, title, dpi=DPI)


def _seeds(group: Group) -> str:
    return f"mean of {len(group.runs)} seeds" if len(group.runs) > 1 else f"seed {group.seeds[0]}"


def classes(group: Group) -> int:
    return len(group.label_names)


def draw_before_and_after(path: Path, group: Group) -> None:
    """Of each true emotion, the mean intensity before and after the talk, annotated and as the models say (mean of the
    seeds, read at the predicted emotion), over the dialogues with both annotations; with 95 % bootstrap intervals.
    """
    annotated = np.stack([group.annotated(target) for target in BEFORE_AND_AFTER])
    read = np.stack([group.read(target).mean(axis=0) for target in BEFORE_AND_AFTER])
    known = ~np.isnan(annotated).any(axis=0)
    said = read[:, known]
    ends = (min(0.8, said.min(initial=1) - 0.2), max(5.2, said.max(initial=5) + 0.2))  # of the scale, or beyond it
    columns = min(4, classes(group))
    rows = -(-classes(group) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.3 * columns, 2.4 * rows), squeeze=False, sharey=True, layout="constrained"
    )
    for place, axes in enumerate(grid.flat):
        if place >= classes(group):
            axes.set_axis_off()
            continue
        chosen = known & (group.labels == place)
        axes.set_title(f"{group.label_names[place]} (n = {chosen.sum()})", fontsize=10, parse_math=False)
        axes.set_xticks([0, 1], ["before", "after"])
        axes.set(xlim=(-0.35, 1.35), ylim=ends)
        if not chosen.any():
            continue
        for values, told, shift in ((annotated, "annotated", -0.05), (read, "predicted", 0.05)):
            of_emotion = values[:, chosen]
            drawn = of_emotion[:, bootstrap.bootstrap_indices(int(chosen.sum()))].mean(axis=2)
            means = of_emotion.mean(axis=1)
            low_high = np.array([bootstrap.interval(samples) for samples in drawn]).T
            axes.errorbar([shift, 1 + shift], means, np.abs(low_high - means), marker="o", capsize=3, label=told)
    grid[0, 0].legend(fontsize=8)
    figure.supylabel("intensity, 1 to 5")
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def draw_learning_curves(path: Path, group: Group) -> None:
    """Every loss by epoch, of each seed (thin) and their mean (thick)."""
    losses = [name for name in group.first.curves if not name.startswith("eval_")]
    figure, grid = plt.subplots(
        1, len(losses), figsize=(3.2 * len(losses) + 0.6, 3), squeeze=False, layout="constrained"
    )
    for axes, name in zip(grid[0], losses, strict=True):
        for column, told, color in ((name, "training", "tab:blue"), (f"eval_{name}", "validation", "tab:orange")):
            of_seeds = [run.curves[column] for run in group.runs if column in run.curves]
            for curve in of_seeds:
                axes.plot(curve.index, curve, color=color, linewidth=0.7, alpha=0.5)
            if of_seeds:
                mean = sum(of_seeds) / len(of_seeds)  # of the epochs that all seeds have
                axes.plot(mean.index, mean, color=color, marker=".", label=told)
        axes.set(title=figures.loss_title(name), xlabel="epoch", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    grid[0][0].legend()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)

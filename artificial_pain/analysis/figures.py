"""The figures of representations: readable in grey and without seeing colours, by markers, dashes and brightness."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from artificial_pain.analysis.measures import Axis
from artificial_pain.evaluation import figures

plt = figures.plt
DPI = 100
# Okabe and Ito's colours, which people with any colour vision tell apart, with grey for their yellow.
COLOURS = ["#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h"]
DASHES = ["-", "--", "-.", ":"]
BRIGHTNESS = "cividis"  # of values, from dark to bright


def style(i: int) -> dict:
    return {name: styles[i % len(styles)] for name, styles in (("color", COLOURS), ("marker", MARKERS))}


def legend(figure: plt.Figure, grid: np.ndarray, place: str, **options: object) -> None:
    """One legend for all axes of a grid, beside them."""
    named = {name: line for axes in grid.flat for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    for text in figure.legend(named.values(), named.keys(), loc=place, **options).get_texts():
        text.set_parse_math(False)  # a label may have a $ in it


def draw_curves(
    path: Path,
    panels: Mapping[str, Mapping[str, np.ndarray]],
    x_label: str,
    y_label: str = "",
    ticks: tuple[Sequence[float], Sequence[str]] | None = None,
    rings: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """A panel for each title, with a line for each name: (points,), or (points, 3) with the ends of its interval.

    ticks: the places and names on the x-axis. rings: a point by the name of its line.
    """
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows, width = -(-len(panels) // columns), max(3.4, 0.33 * len(ticks[1]) if ticks else 0)
    size = max(4, width * columns), (3.8 if ticks else 2.9) * rows + 0.6
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    styles: dict[str, int] = {}  # a name has one style in all panels
    for axes, (title, lines) in zip(grid.flat, panels.items(), strict=False):
        for name, values in lines.items():
            i = styles.setdefault(name, len(styles))
            points = values.reshape(len(values), -1)
            axes.plot(points[:, 0], label=name, linestyle=DASHES[i % len(DASHES)], markersize=4, **style(i))
            if points.shape[1] == 3:
                axes.fill_between(range(len(points)), *points[:, 1:].T, alpha=0.15, color=style(i)["color"])
            if rings and name in rings:
                axes.scatter(*rings[name], s=160, facecolors="none", linewidths=1.5, edgecolors=style(i)["color"])
        axes.set_title(title, parse_math=False)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if ticks:
            axes.set_xticks(*ticks, rotation=60, ha="right", fontsize=7, parse_math=False)
    legend(figure, grid, "outside lower center", ncols=3 if columns > 1 else 1)
    figures.save(figure, path, DPI)


def draw_cka(path: Path, before_after: Mapping[str, np.ndarray]) -> None:
    """CKA of each layer before fine-tuning and each after it, (layers, layers), a panel for each name."""
    size = 3.6 * len(before_after) + 0.6, 3.6
    figure, grid = plt.subplots(1, len(before_after), figsize=size, squeeze=False, layout="constrained")
    for axes, (name, values) in zip(grid[0], before_after.items(), strict=True):
        image = axes.imshow(values, cmap=BRIGHTNESS, vmin=0, vmax=1, origin="lower")
        for row, column in product(*map(range, values.shape)):
            colour = "black" if values[row, column] > 0.5 else "white"
            text = f"{values[row, column]:.2f}".replace("nan", "n/a")
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
        axes.set(title=name, xlabel="layer after", ylabel="layer before")
    figure.colorbar(image, ax=grid, label="linear CKA", shrink=0.8)
    figures.save(figure, path, DPI)


def draw_angles(path: Path, panels: Mapping[str, Mapping[str, Axis]], labels: Sequence[str]) -> None:
    """The angles of the labels' directions to the axes, a panel for each title and a marker for each name of states."""
    size = max(6, 4.2 * len(panels)), 1.5 + 0.3 * len(labels)
    figure, grid = plt.subplots(1, len(panels), figsize=size, squeeze=False, sharey=True, layout="constrained")
    for axes, (title, by_name) in zip(grid[0], panels.items(), strict=True):
        for i, (name, found) in enumerate(by_name.items()):
            axes.scatter(found.angles, range(len(labels)), label=name, **style(i))
        axes.axvspan(*found.random_range, color="0.9", label=f"95 % of random directions ({name})")  # of the last
        axes.set_yticks(range(len(labels)), labels, parse_math=False)
        axes.set(title=f"axis of the {title}", xlabel="angle in degrees (below 90: more intense)")
        axes.set_ylim(len(labels) - 0.5, -0.5)
    legend(figure, grid, "outside lower center", ncols=3)
    figures.save(figure, path, DPI)


def draw_map(path: Path, states: Mapping[str, np.ndarray], texts: pd.DataFrame, intensity: str | None) -> None:
    """The first two principal components of states, (n, hidden) by their name, a row each: by label, and by intensity.

    texts: the n examples, with `label_name` and the intensity's column.
    """
    from sklearn.decomposition import PCA

    columns = 2 if intensity else 1
    size = 4.6 * columns + 1.8, 4.2 * len(states)
    figure, grid = plt.subplots(len(states), columns, figsize=size, squeeze=False, layout="constrained")
    names = sorted(texts["label_name"].unique())
    for row, (name, values) in zip(grid, states.items(), strict=True):
        components = PCA(2, svd_solver="full")
        points = components.fit_transform(values)
        for i, label in enumerate(names):
            x, y = points[(texts["label_name"] == label).to_numpy()].T
            row[0].scatter(x, y, s=16, alpha=0.6, linewidths=0, label=label, **style(i))
            row[0].scatter(x.mean(), y.mean(), s=130, edgecolors="white", linewidths=1.5, zorder=3, **style(i))
        if intensity:
            known = texts[intensity].notna().to_numpy()
            dots = row[1].scatter(*points[known].T, c=texts[intensity][known], cmap=BRIGHTNESS, s=22, linewidths=0)
            figure.colorbar(dots, ax=row[1], label=f"annotated {intensity.replace('_', ' ')}")
        for axes in row:
            shares = [
                f"component {i + 1} ({share:.0%})" for i, share in enumerate(components.explained_variance_ratio_)
            ]
            axes.set(title=name, xlabel=shares[0], ylabel=shares[1], xticks=[], yticks=[])
    legend(figure, grid[:, :1], "outside left center", title="large: the mean")
    figures.save(figure, path, DPI)

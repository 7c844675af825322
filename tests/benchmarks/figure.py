"""The figure of the page: growth, whole processes, and the loss curves of the recipes."""

from collections.abc import Sequence
from pathlib import Path

import learning
import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLORS = {"published": ("tab:orange", "+"), "plain": ("tab:green", "1"), "ours": ("tab:blue", "x")}


def draw(path: Path, grown: pd.DataFrame, runs: pd.DataFrame, curves: pd.DataFrame) -> None:
    figure, axes = plt.subplot_mosaic("AABBCC\nDDDEEE", figsize=(14, 8), layout="constrained")
    _draw_growth([axes["A"], axes["B"]], grown)
    _draw_whole(axes["C"], runs)
    for name, corpus in (("D", "SAD"), ("E", "ESConv")):
        title = f"{corpus}: mean ± standard deviation of {len(learning.SEEDS)} seeds"
        _draw_curves(axes[name], curves[curves["corpus"] == corpus], title)
    for axis in axes.values():
        axis.legend()
    figure.savefig(path, dpi=80)


def _draw_growth(axes: Sequence[plt.Axes], grown: pd.DataFrame) -> None:
    for axis, unit, title in zip(axes, ("s", "GB"), ("seconds", "peak memory, GB"), strict=True):
        for name in ("dataloader", "an epoch's batches"):
            axis.plot(grown["sentences"], grown[f"{name}, {unit}"], "o-", label=name)
        axis.set(xscale="log", xlabel="sentences: SAD 1, 10 and 100 times", ylabel=title)
    last = grown.iloc[-1]
    as_the_work = grown["sentences"] * last["dataloader, s"] / last["sentences"]
    axes[0].plot(grown["sentences"], as_the_work, ":", color="grey", label="as the work")
    axes[0].set(yscale="log")
    axes[1].set(ylim=(0, None))


def _draw_whole(axis: plt.Axes, runs: pd.DataFrame) -> None:
    """Bars of the medians, and lines from the lowest to the highest turn."""
    seconds = runs.groupby(["corpus", "batch", "recipe"], sort=False)["seconds"].agg(["min", "median", "max"])
    for shift, recipe in ((-0.2, "plain"), (0.2, "ours")):
        bars = seconds.xs(recipe, level="recipe")
        spread = [bars["median"] - bars["min"], bars["max"] - bars["median"]]
        places, color = np.arange(len(bars)) + shift, COLORS[recipe][0]
        axis.bar(places, bars["median"], 0.4, yerr=spread, capsize=4, color=color, label=recipe)
    labels = [f"{corpus},\nbatches of {batch}" for corpus, batch in bars.index]
    axis.set(ylabel="seconds of a whole process, one epoch", xticks=range(len(labels)), xticklabels=labels)


def _draw_curves(axis: plt.Axes, curves: pd.DataFrame, title: str) -> None:
    for recipe, (color, mark) in COLORS.items():
        by_epoch = curves[curves["recipe"] == recipe].groupby(["split", "epoch"])["loss"].agg(["mean", "std"])
        training, validation = by_epoch.loc["training"], by_epoch.loc["validation"]
        axis.plot(training.index, training["mean"], color=color, label=f"{recipe}: training")
        low, high = training["mean"] - training["std"], training["mean"] + training["std"]
        axis.fill_between(training.index, low, high, color=color, alpha=0.2)
        label = f"{recipe}: validation"
        axis.errorbar(
            validation.index, validation["mean"], validation["std"], fmt=mark, color=color, capsize=4, label=label
        )
    axis.set(xlabel="epoch", ylabel="loss", title=title)

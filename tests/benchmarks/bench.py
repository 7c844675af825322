"""What the speed of this system is, beside the published recipe's: the page docs/benchmarks.md, and its figure.

make bench
"""

import argparse
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import around
import growth
import learning
import matplotlib
import pandas as pd
import shapes
import torch
import training_speed
from commands import timed
from recipes import ON_GPU, Task
from trainers import PUBLISHED

from artificial_pain.data import sources
from artificial_pain.storage import REPOSITORY

matplotlib.use("Agg")
from matplotlib import pyplot as plt

CORPORA = ("SAD", "ESConv")
REPORT, FIGURE = REPOSITORY / "docs" / "benchmarks.md", REPOSITORY / "docs" / "benchmarks.png"


def machine() -> str:
    """What the figures were measured on."""
    processor = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    gpu = f"{torch.cuda.get_device_name()}, " if ON_GPU else ""
    return f"{gpu}{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%F')}"


def training_table(encoders: dict[str, str], sources: dict[str, str], root: Path) -> pd.DataFrame:
    """A row for each encoder and corpus; empty ones for what needs a GPU where there is none."""
    rows = []
    for name, encoder in encoders.items():
        for corpus in CORPORA:
            source = ["--dataset_name", corpus, "--data_source", sources[corpus]]
            timed(around.CLASSIFICATION_DATALOADER, "--model_name", encoder, *source, "--output_dir", root)
            rows.append(training_speed.measure(Task(str(encoder), corpus, sources[corpus], root), name))
    missing = [] if ON_GPU else [(f"{name}, one GPU", corpus) for name in shapes.SHAPES for corpus in CORPORA]
    rows += [{"encoder": name, "corpus": corpus} for name, corpus in missing]
    return pd.DataFrame(rows).fillna("")


def markdown(table: pd.DataFrame) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def rounded(grown: pd.DataFrame) -> pd.DataFrame:
    """The table of growth, as it is shown."""
    share = grown["tokenized a second"] / grown["by the bare tokenizer"]
    shown = grown.drop(columns="by the bare tokenizer")
    shown["share of the bare tokenizer's"] = share.map("{:.0%}".format)
    for column in ("sentences", "tokenized a second"):
        shown[column] = shown[column].map("{:,.0f}".format)
    return shown.map(lambda value: value if isinstance(value, str) else f"{value:.1f}")


def draw_growth(axes: Sequence[plt.Axes], grown: pd.DataFrame) -> None:
    for axis, unit, title in zip(axes, ("s", "GB"), ("seconds", "peak memory, GB"), strict=True):
        for name in ("dataloader", "an epoch's batches"):
            axis.plot(grown["sentences"], grown[f"{name}, {unit}"], "o-", label=name)
        axis.set(xscale="log", xlabel="sentences: SAD 1, 10 and 100 times", ylabel=title)
    last = grown.iloc[-1]
    as_the_work = grown["sentences"] * last["dataloader, s"] / last["sentences"]
    axes[0].plot(grown["sentences"], as_the_work, ":", color="grey", label="as the work")
    axes[0].set(yscale="log")
    axes[1].set(ylim=(0, None))


def draw_curves(axis: plt.Axes, curves: pd.DataFrame, title: str) -> None:
    for recipe, color, mark in (("published", "tab:orange", "+"), ("ours", "tab:blue", "x")):
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


def draw(grown: pd.DataFrame, curves: pd.DataFrame) -> None:
    """Growth in time and memory, and the loss curves of both recipes."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    draw_growth(axes[0], grown)
    for axis, corpus in zip(axes[1], CORPORA, strict=True):
        title = f"{corpus}: mean ± standard deviation of {len(learning.SEEDS)} seeds"
        draw_curves(axis, curves[curves["corpus"] == corpus], title)
    for axis in axes.flat:
        axis.legend()
    figure.savefig(FIGURE, dpi=100)


def report(model_name: str, given: dict[str, str], root: Path) -> str:
    """Measure everything; the report in Markdown."""
    encoders = {name: shapes.make(name, root, model_name) for name in shapes.SHAPES} if ON_GPU else {}
    training = training_table({model_name.split("/")[-1]: model_name} | encoders, given, root)
    rest = pd.DataFrame(around.rows(model_name, given, root))
    grown = growth.table(model_name, sources.locate("SAD", given["SAD"]).path)
    curves = learning.curves(model_name, given, root)
    draw(grown, curves)
    return f"""# Benchmarks

{machine()}. The encoder is {model_name}. SAD is from {Path(given["SAD"]).name}, ESConv from
{Path(given["ESConv"]).name}. `make bench` measures all of it anew.

## Training

Batches of {PUBLISHED["BATCH_SIZE"]}, {training_speed.TURNS} turns of each recipe in one run. GFLOP/s are those of the
texts' own tokens. Their share is of what a product of matrices, {training_speed.SIZE} by {training_speed.SIZE},
reaches in the same precision and run. {"" if ON_GPU else "No GPU was at hand: its rows are empty."}

{markdown(training)}

## Around the training

{markdown(rest)}

## Growth

SAD's sheet with its rows repeated: a run's seconds and its peak memory.

{markdown(rounded(grown))}

## What is learned

Loss over {len(learning.SEEDS)} seeds, mean ± standard deviation, with the same first weights and batches: of the first
and last of {learning.POINTS} parts of the training, and on the validation split after each epoch. The published recipe
(fp32, Adam that is not fused, torch's own dropout) is padded here to the longest text of a batch, which costs less and
changes nothing that is learned.

{markdown(learning.table(curves))}

![growth in time and memory, and loss curves of both recipes](benchmarks.png)
"""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--output_dir", type=Path, required=True, help="the root of splits and runs")
    for corpus in CORPORA:
        parser.add_argument(f"--{corpus}", required=True, help="a local file, or sample")
    args = parser.parse_args(words)
    told = report(args.model_name, {corpus: getattr(args, corpus) for corpus in CORPORA}, args.output_dir)
    REPORT.write_text(told, encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()

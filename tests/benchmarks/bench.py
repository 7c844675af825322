"""What the speed of this system is, beside the published recipe's and the plain Trainer's: docs/benchmarks.md.

make bench
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import around
import figure
import growth
import learning
import page
import pandas as pd
import shapes
import training_speed
import whole
from commands import timed
from recipes import ON_GPU, Task

from artificial_pain.data import sources
from artificial_pain.storage import REPOSITORY

CORPORA = ("SAD", "ESConv")
REPORT, FIGURE = REPOSITORY / "docs" / "benchmarks.md", REPOSITORY / "docs" / "benchmarks.png"


def training_table(encoders: dict[str, str], sources: dict[str, str], root: Path) -> pd.DataFrame:
    """A row for each encoder, corpus and setting; empty ones for what needs a GPU where there is none."""
    rows = []
    for name, encoder in encoders.items():
        for corpus in CORPORA:
            source = ["--dataset_name", corpus, "--data_source", sources[corpus]]
            timed(around.CLASSIFICATION_DATALOADER, "--model_name", encoder, *source, "--output_dir", root)
            for batch_size, cores in training_speed.SETTINGS:
                task = Task(str(encoder), corpus, sources[corpus], root, batch_size=batch_size)
                rows.append(training_speed.measure(task, name, cores))
    missing = [] if ON_GPU else [(f"{name}, one GPU", corpus) for name in shapes.SHAPES for corpus in CORPORA]
    rows += [{"encoder": name, "corpus": corpus} for name, corpus in missing]
    return pd.DataFrame(rows, dtype=object).fillna("")  # whole numbers stay whole where a row has none


def tell(section: str) -> None:
    print(time.strftime("%T"), section, file=sys.stderr)


def report(model_name: str, given: dict[str, str], root: Path) -> str:
    """Measure everything; the report in Markdown."""
    encoders = {name: shapes.make(name, root, model_name) for name in shapes.SHAPES} if ON_GPU else {}
    tell("Training")
    training = training_table({model_name.split("/")[-1]: model_name} | encoders, given, root)
    tell("Whole processes")
    runs = whole.measure(model_name, given, root)
    tell("Around the training")
    rest = pd.DataFrame(around.rows(model_name, given, root))
    tell("Growth")
    grown = growth.table(model_name, sources.locate("SAD", given["SAD"]).path)
    tell("What is learned")
    curves = learning.curves(model_name, given, root)
    figure.draw(FIGURE, grown, runs, curves)
    return page.page(model_name, given, training, runs, rest, grown, curves)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--output_dir", type=Path, required=True, help="the root of splits and runs")
    for corpus in CORPORA:
        parser.add_argument(f"--{corpus}", required=True, help="a local file, or sample")
    args = parser.parse_args(words)
    text = report(args.model_name, {corpus: getattr(args, corpus) for corpus in CORPORA}, args.output_dir)
    REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

"""How fast our recipe trains beside the published one on this machine: a table on the console and in benchmarks.md.

make bench
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recipes import WARM_UP, Task, ours, published, waiting
from tqdm import tqdm

from artificial_pain import cli, cpu, tokens
from artificial_pain.cli import REPOSITORY
from artificial_pain.models import EmotionModel

TURNS = 5
STEPS = 50  # of a turn of ours at most; all turns are in the first epoch, so that none has an evaluation in it
PUBLISHED_STEPS = 4  # of a turn, spread over ours: each costs the published recipe the same
SIZE = 2048  # of the matrices whose product shows the machine's limit


def product_rate() -> float:
    """FLOP/s of a product of square matrices, in the precision of our recipe."""
    kind = torch.bfloat16 if cpu.multiplies_in_bf16() else torch.float32
    a, b = torch.randn(2, SIZE, SIZE).to(kind)
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - started)
    return 2 * SIZE**3 / min(seconds)


def training_flops(model: EmotionModel, lengths: np.ndarray) -> float:
    """Of forward and backward passes over texts of these lengths: 6 a weight and token, and attention's products."""
    config, encoder = model.config.encoder, model.encoder
    weights = encoder.num_parameters() - encoder.get_input_embeddings().weight.numel()
    attention = 12 * config.num_hidden_layers * config.hidden_size * np.square(lengths).sum()
    return 6 * weights * lengths.sum() + attention


def measure(model_name: str, corpus: str, folder: Path) -> dict[str, str]:
    """Turns of both recipes on the same examples; a row of the table."""
    task = Task(model_name, corpus, folder)
    encoder, _, splits = task.load()
    all_lengths = tokens.lengths(splits.tokenized["train"])
    batches = task.batches(splits)
    steps = min(STEPS, (len(batches) - WARM_UP) // TURNS)
    rates, products, peaks, seconds, lengths = {"published": [], "ours": []}, [], {}, 0.0, []
    with waiting(ours, task, steps) as our_recipe, waiting(published, task) as published_recipe:
        for turn in tqdm(range(TURNS), desc=f"Training on {task.corpus}"):
            first = WARM_UP + turn * steps
            whole = batches[first : first + steps]
            part = whole[:: steps // PUBLISHED_STEPS][:PUBLISHED_STEPS]
            for name, recipe, trained in (("published", published_recipe, part), ("ours", our_recipe, whole)):
                recipe.send(trained)
                taken, peaks[name] = recipe.recv()
                rates[name].append(sum(map(len, trained)) / taken)
            seconds += taken
            lengths.append(all_lengths[np.concatenate(whole)])
            products.append(product_rate())
    ratios = np.divide(rates["ours"], rates["published"])
    lengths = np.concatenate(lengths)
    reached = training_flops(EmotionModel.from_encoder(encoder, splits.label_names), lengths) / seconds
    return {
        "corpus": task.corpus,
        "published, examples/s": f"{np.mean(rates['published']):.2f}",
        "ours, examples/s": f"{np.mean(rates['ours']):.1f}",
        "ratio (lowest to highest turn)": f"{np.mean(ratios):.1f} ({ratios.min():.1f} to {ratios.max():.1f})",
        "ours, real tokens/s": f"{lengths.sum() / seconds:,.0f}",
        "ours, GFLOP/s": f"{reached / 1e9:.0f}",
        "share of a matrix product": f"{reached / np.median(products):.0%}",
        "peak memory, GB (published, ours)": f"{peaks['published']:.1f}, {peaks['ours']:.1f}",
    }


def machine() -> str:
    """What the figures were measured on."""
    name = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%F')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--output_dir", type=Path, required=True, help="where the dataloader wrote SAD and ESConv")
    args = parser.parse_args()
    table = pd.DataFrame([measure(args.model_name, corpus, args.output_dir) for corpus in ("SAD", "ESConv")])
    rows = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    report = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    settings = f"{args.model_name}, batches of {cli.BATCH_SIZE}, {TURNS} turns of each recipe in one run"
    report = f"# Training\n\n{machine()}; {settings}.\n\n{report}\n"
    (REPOSITORY / "benchmarks.md").write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()

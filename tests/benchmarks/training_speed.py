"""How fast our recipe trains beside the published one, in turns on the same examples."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.utils.benchmark
from recipes import ON_GPU, WARM_UP, Task, our_training, published_training, waiting
from tqdm import tqdm
from trainers import make_model

from artificial_pain.data import tokenization
from artificial_pain.modeling import cpu
from artificial_pain.modeling.model import EmotionModel

TURNS = 5
STEPS = 50  # of a turn of ours at most; all turns are in the first epoch, so that none has an evaluation in it
PUBLISHED_STEPS = 4  # of a turn, spread over ours: each costs the published recipe the same
SIZE = 8192 if ON_GPU else 2048  # of the matrices whose product shows the machine's limit


@dataclass(frozen=True)
class Speeds:
    """Of each turn: examples a second by either recipe, and their ratio."""

    published: np.ndarray
    ours: np.ndarray

    def ratio(self) -> str:
        ratios = self.ours / self.published
        return f"{ratios.mean():.1f} ({ratios.min():.1f} to {ratios.max():.1f})"


def product_rate() -> float:
    """FLOP/s of a product of square matrices, in the precision of our recipe."""
    device = "cuda" if ON_GPU else "cpu"
    kind = torch.bfloat16 if ON_GPU or cpu.multiplies_in_bf16() else torch.float32
    a, b = torch.randn(2, SIZE, SIZE, device=device).to(kind)
    timer = torch.utils.benchmark.Timer("a @ b", globals={"a": a, "b": b}, num_threads=torch.get_num_threads())
    return 2 * SIZE**3 / min(timer.blocked_autorange(min_run_time=0.2).times)


def training_flops(model: EmotionModel, lengths: np.ndarray) -> float:
    """Of forward and backward passes over texts of these lengths: 6 a weight and token, and attention's products."""
    config, encoder = model.config.encoder, model.encoder
    weights = encoder.num_parameters() - encoder.get_input_embeddings().weight.numel()
    attention = 12 * config.num_hidden_layers * config.hidden_size * np.square(lengths).sum()
    return 6 * weights * lengths.sum() + attention


def measure(task: Task, encoder_name: str) -> dict[str, str]:
    """Turns of both recipes; a row of the table."""
    encoder, _, splits = task.load()
    all_lengths = tokenization.lengths(splits.tokenized["train"])
    batches = next(task.batches(splits))
    steps = min(STEPS, (len(batches) - WARM_UP) // TURNS)
    rates, products, peaks, seconds, lengths = {"published": [], "ours": []}, [], {}, 0.0, []
    with waiting(our_training, task, steps) as ours, waiting(published_training, task) as published:
        for turn in tqdm(range(TURNS), desc=f"Training on {task.corpus}"):
            first = WARM_UP + turn * steps
            whole = batches[first : first + steps]
            part = whole[:: steps // PUBLISHED_STEPS][:PUBLISHED_STEPS]
            for name, recipe, trained in (("published", published, part), ("ours", ours, whole)):
                recipe.send(trained)
                taken, peaks[name] = recipe.recv()
                rates[name].append(sum(map(len, trained)) / taken)
            seconds += taken
            lengths.append(all_lengths[np.concatenate(whole)])
            products.append(product_rate())
    speeds = Speeds(np.array(rates["published"]), np.array(rates["ours"]))
    lengths = np.concatenate(lengths)
    reached = training_flops(make_model(encoder, splits.label_names), lengths) / seconds
    return {
        "encoder": encoder_name,
        "corpus": task.corpus,
        "published, examples/s": f"{speeds.published.mean():.2f}",
        "ours, examples/s": f"{speeds.ours.mean():.1f}",
        "ratio (lowest to highest turn)": speeds.ratio(),
        "ours, real tokens/s": f"{lengths.sum() / seconds:,.0f}",
        "ours, GFLOP/s": f"{reached / 1e9:,.0f}",
        "share of a matrix product": f"{reached / np.median(products):.0%}",
        "peak memory, GB (published, ours)": f"{peaks['published']:.1f}, {peaks['ours']:.1f}",
    }

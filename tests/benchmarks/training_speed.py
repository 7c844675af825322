"""How fast each recipe trains, in turns, and how near that comes to what the machine can do."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch
import torch.utils.benchmark
from recipes import ON_GPU, Task
from torch import nn
from tqdm import tqdm
from trainers import PUBLISHED, make_model
from turns import WARM_UP, Turn, our_training, plain_training, published_training, waiting

from artificial_pain.modeling import cpu
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training.trainer import BATCHES_OF_A_GROUP, MIN_GROUPS

# Batch sizes and cores. More than one core is measured for ours alone.
SETTINGS = [(PUBLISHED["BATCH_SIZE"], 1), (16, 1), (32, 1)]
SETTINGS += [] if ON_GPU else [(PUBLISHED["BATCH_SIZE"], 2)]
RECIPES = ("published", "plain", "ours")
TURNS = 4  # all in the first epoch, so that none has an evaluation in it
SIZE = 8192 if ON_GPU else 2048  # of the matrices whose product shows the machine's limit


def product_rate(threads: int) -> float:
    """FLOP/s of a product of square matrices, in the precision of our recipe."""
    device = "cuda" if ON_GPU else "cpu"
    kind = torch.bfloat16 if ON_GPU or cpu.multiplies_in_bf16() else torch.float32
    a, b = torch.randn(2, SIZE, SIZE, device=device).to(kind)
    timer = torch.utils.benchmark.Timer("a @ b", globals={"a": a, "b": b}, num_threads=threads)
    return 2 * SIZE**3 / min(timer.blocked_autorange(min_run_time=0.2).times)


def training_flops(model: EmotionModel, lengths: np.ndarray) -> float:
    """FLOPs of the encoder's forward and backward passes over texts of these lengths, without padding.

    6 a token and weight of a linear map, and 12 a pair of tokens, layer and hidden unit for attention. What a model of
    ours leaves out of the last layer is left out here too.
    """
    config = model.config.encoder
    modules = dict(model.encoder.named_modules())
    linear = {name: module.weight.numel() for name, module in modules.items() if type(module) is nn.Linear}
    tokens, pairs = lengths.sum(), np.square(lengths).sum()
    flops = 6 * sum(linear.values()) * tokens + 12 * config.num_hidden_layers * config.hidden_size * pairs
    if any(hasattr(module, "first_token_alone") for module in modules.values()):
        last = f"layer.{config.num_hidden_layers - 1}."
        after_attention = sum(size for name, size in linear.items() if last in name and ".self." not in name)
        flops -= 6 * after_attention * (tokens - len(lengths))
        flops -= 0 if ON_GPU else 12 * config.hidden_size * (pairs - tokens)  # of `cpu.attention`
    return flops


def steps_of_a_turn(examples: int, batch_size: int) -> int:
    """So that all turns span a group of batches, within which ours and the plain Trainer sort by length.

    Turns of the same number then have texts of about the same lengths, and all turns together those of the corpus.
    """
    group = min(examples // (batch_size * MIN_GROUPS), BATCHES_OF_A_GROUP)
    return math.ceil(max(group, 1) / TURNS)


def lengths_of(turns: Sequence[Turn]) -> np.ndarray:
    return np.concatenate([turn.lengths for turn in turns])


def rate(turns: Sequence[Turn], count: Callable[[np.ndarray], float]) -> float:
    """Of the lengths of all turns, what is counted, a second."""
    return count(lengths_of(turns)) / sum(turn.seconds for turn in turns)


def padding(turns: Sequence[Turn]) -> float:
    """The share of padding in the batches."""
    return 1 - lengths_of(turns).sum() / sum(turn.padded_tokens for turn in turns)


def ratio(ours: Sequence[Turn], theirs: Sequence[Turn]) -> str:
    """By tokens: of all turns, and the lowest and highest turn."""
    turns = [rate([mine], np.sum) / rate([other], np.sum) for mine, other in zip(ours, theirs, strict=True)]
    return f"{rate(ours, np.sum) / rate(theirs, np.sum):.2f} ({min(turns):.2f} to {max(turns):.2f})"


def measure(task: Task, encoder_name: str, cores: int) -> dict[str, object]:
    """Turns of the recipes; a row of the table. On a GPU the cores are not limited."""
    encoder, _, splits = task.load()
    batches, steps = next(task.batches(splits)), steps_of_a_turn(len(splits.tokenized["train"]), task.batch_size)
    recipes = {"ours": partial(our_training, steps=steps)}
    if cores == 1:
        recipes = {"plain": partial(plain_training, steps=steps), **recipes}
        if task.batch_size == PUBLISHED["BATCH_SIZE"]:
            recipes = {"published": published_training, **recipes}
    turns, products = {name: [] for name in recipes}, []
    with ExitStack() as stack:
        limit = None if ON_GPU else cores
        processes = {name: stack.enter_context(waiting(recipe, task, cores=limit)) for name, recipe in recipes.items()}
        for turn in tqdm(range(TURNS), desc=f"Training on {task.corpus}, batches of {task.batch_size}"):
            # The published recipe trains one batch a turn: each costs it the same.
            batch = batches[min(WARM_UP + turn * steps + steps // 2, len(batches) - 1)]
            for name, process in processes.items():
                process.send(batch)
                turns[name].append(process.recv())
            products.append(product_rate(cores))
    poolings = {"plain": "mean", "ours": "cls"}  # for the mean the last layer computes all tokens, as plain does
    models = {name: make_model(encoder, splits.label_names, pooling=pooling) for name, pooling in poolings.items()}
    costs = {name: partial(training_flops, model) for name, model in models.items()}
    row = {
        "encoder": encoder_name,
        "corpus": task.corpus,
        "batch": task.batch_size,
        "cores": "GPU" if ON_GPU else cores,
    }
    return row | columns(turns, costs, np.median(products))


def columns(
    turns: dict[str, list[Turn]], costs: dict[str, Callable[[np.ndarray], float]], product: float
) -> dict[str, str]:
    """What was measured, as it is shown, with n/a for a recipe that has no turns.

    costs: of plain and ours, the FLOPs of texts of these lengths. product: FLOP/s of a product of matrices.
    """

    def each(shown: str, of: Callable[[str], float], recipes: Sequence[str] = ("plain", "ours")) -> str:
        return ", ".join(shown.format(of(name)) if name in turns else "n/a" for name in recipes)

    def flops(name: str) -> float:
        return rate(turns[name], costs[name])

    rates = {name: rate(some, len) for name, some in turns.items()}
    row = {f"{name}, examples/s": f"{value:.2f}" for name, value in rates.items()}
    if "published" in turns:
        row["times as fast as published"] = f"{rates['ours'] / rates['published']:.1f}"
    if "plain" in turns:
        row["times as fast as plain, by tokens (lowest to highest turn)"] = ratio(turns["ours"], turns["plain"])
    return row | {
        "padding (plain, ours)": each("{:.1%}", lambda name: padding(turns[name])),
        "real tokens/s (plain, ours)": each("{:,.0f}", lambda name: rate(turns[name], np.sum)),
        "GFLOP/s (plain, ours)": each("{:,.0f}", lambda name: flops(name) / 1e9),
        "share of a matrix product (plain, ours)": each("{:.0%}", lambda name: flops(name) / product),
        "peak memory, GB (published, plain, ours)": each("{:.1f}", lambda name: turns[name][-1].peak, RECIPES),
    }

"""The page docs/benchmarks.md, from what was measured."""

import platform
import time
from pathlib import Path

import learning
import pandas as pd
import torch
import training_speed
import whole
from recipes import ON_GPU


def machine() -> str:
    """What the figures were measured on."""
    processor = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    gpu = f"{torch.cuda.get_device_name()}, " if ON_GPU else ""
    return f"{gpu}{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%F')}"


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


def page(
    model_name: str,
    given: dict[str, str],
    training: pd.DataFrame,
    runs: pd.DataFrame,
    rest: pd.DataFrame,
    grown: pd.DataFrame,
    curves: pd.DataFrame,
) -> str:
    """The page in Markdown. given: the file of each corpus; the rest is the table of each section."""
    origin = " and ".join(f"{corpus} from {Path(file).name}" for corpus, file in given.items())
    return f"""# Benchmarks

{machine()}. One core is one hardware thread that the process is bound to.
The encoder is {model_name}. The corpora are {origin}. `make bench` measures all of it anew, in an hour.

Three recipes are compared. *Published* is the published training loop, written anew with our model: every text padded
to 512 tokens, Adam that is not fused, fp32 on a CPU and fp16 on a GPU, and an evaluation of one example at a time.
*Plain* is what a user would write instead: transformers' own classifier and Trainer with the flags that make it fast
(dynamic padding, `group_by_length`, bf16 where the machine has it, fused AdamW, an evaluation in batches of 64). *Ours*
are the scripts.

{_training(training)}
{_whole(runs)}
{_rest(rest, grown)}
{_learned(curves)}
![growth in time and memory, whole processes, and loss curves of the recipes](benchmarks.png)

The dotted line is what growth in proportion to the sentences would be.
"""


def _training(training: pd.DataFrame) -> str:
    return f"""## Training

Only steps are timed, in {training_speed.TURNS} turns of each recipe, one recipe after the other. Each has a process of
its own. The same turn of plain and ours has texts of about the same lengths, because both sort by length within groups
of batches, and all turns together span such a group. Published is timed at a batch size of 6 alone, and trains one
batch in a turn: an example costs it about the same at every batch size. Two cores are timed with ours alone.

A ratio above 1 says that ours is faster. Ours / plain compares real tokens a second, which are those of the texts
without padding, because the two draw other batches. GFLOP/s are what the encoder computes for the real tokens; ours
leaves out a part of the last layer, which is not counted. The share is of what a product of two matrices of
{training_speed.SIZE} by {training_speed.SIZE} reaches in the same precision and run, with as many threads.
{"" if ON_GPU else "No GPU was at hand: its rows are empty."}

{markdown(training)}
"""


def _whole(runs: pd.DataFrame) -> str:
    return f"""## Whole processes

One epoch {"on the GPU" if ON_GPU else "on one core"}, from the command to the results: start of Python, training,
validation, checkpoint, test. SAD: medians of three runs. ESConv: one run. Ours with W&B offline. What it does outside
its steps is start-up, evaluation, baselines, figures, files and W&B. The peak memory is that of the largest process.

The test scores are of one epoch only, and the head and its learning rate differ (plain 1e-5, ours 3e-5). So they do not
compare quality.

{markdown(whole.table(runs))}

The plain Trainer does not do these parts of ours: baselines, intervals, figures, predictions as CSV, a model card, W&B,
checkpoints with checksums from which a run resumes, and the provenance of the run.
"""


def _rest(rest: pd.DataFrame, grown: pd.DataFrame) -> str:
    return f"""## Around the training

{markdown(rest)}

## Growth

SAD's sheet with its rows repeated 1, 10 and 100 times: seconds and peak memory of the dataloader's process, and of
taking the batches of one epoch out of our loader. The target for the dataloader of 100 times SAD is 25 s and 1.2 GB.

{markdown(rounded(grown))}
"""


def _learned(curves: pd.DataFrame) -> str:
    return f"""## What is learned

Loss over {len(learning.SEEDS)} seeds, mean ± standard deviation: of the first and the last of {learning.POINTS} parts
of the training of one epoch, and on the validation split after it. The learning rates are 5e-5 (encoder) and 1e-3
(heads), higher than the published ones, so that one epoch shows progress. The batch size is 16 on SAD and 6 on ESConv,
whose dialogues are cut at {learning.MAX_LENGTH} tokens here, for the time.

Published and ours have the same initial weights and the same batches, grouped by length. So these curves do not show
what this grouping changes. Published is padded here to the longest text of a batch, which costs less and changes
nothing that is learned. Plain has an order of the examples and a head of its own (the encoder's pooler and one linear
layer), so its loss differs a little.

{markdown(learning.table(curves))}
"""

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

Three recipes are compared. *Published* is the published one, as written for the benchmark: every text padded to 512
tokens, Adam that is not fused, fp32, and an evaluation of one example at a time. *Plain* is what a user would write
instead: transformers' own classifier and Trainer with the flags that make it fast (dynamic padding,
`group_by_length`, bf16 where the machine has it, fused AdamW, an evaluation in batches of 64). *Ours* are the scripts.

{_training(training)}
{_whole(runs)}
{_rest(rest, grown)}
{_learned(curves)}
![growth in time and memory, whole processes, and loss curves of the recipes](benchmarks.png)
"""


def _training(training: pd.DataFrame) -> str:
    return f"""## Training

Steps alone, {training_speed.TURNS} turns of each recipe in one run, each recipe in a process of its own. A turn of the
same number has texts of about the same lengths, for the plain Trainer and ours both sort by length within groups of
batches. All turns together span such a group. The published recipe is measured at batches of 6 alone, a batch a turn:
an example costs it about the same in all batches. Rows of two cores are of ours alone.

A ratio above 1 says that ours is faster. That to the plain Trainer is one of real tokens a second, which are those of
the texts without padding, as each draws its own batches. GFLOP/s are those of the texts' own tokens, by the formula of
the full model for both recipes. Ours has less to do: of the last layer, what follows the attention is computed for the
first token alone. The share is of what a product of matrices, {training_speed.SIZE} by {training_speed.SIZE}, reaches
in the same precision and run, with as many threads. {"" if ON_GPU else "No GPU was at hand: its rows are empty."}

{markdown(training)}
"""


def _whole(runs: pd.DataFrame) -> str:
    return f"""## Whole processes

One epoch {"on the GPU" if ON_GPU else "on one core"}, from the command to the results: start of Python, training,
validation, checkpoint, test. Medians of the turns, of which SAD has three. Ours with W&B offline.

{markdown(whole.table(runs))}

The plain Trainer does not do these parts of ours: baselines, intervals, figures, predictions as CSV, a model card, W&B,
checkpoints with checksums from which a run resumes, and the provenance of the run.
"""


def _rest(rest: pd.DataFrame, grown: pd.DataFrame) -> str:
    return f"""## Around the training

{markdown(rest)}

## Growth

SAD's sheet with its rows repeated: a run's seconds and its peak memory. The goal for 100 times is 25 s and 1.2 GB.

{markdown(rounded(grown))}
"""


def _learned(curves: pd.DataFrame) -> str:
    return f"""## What is learned

Loss over {len(learning.SEEDS)} seeds, mean ± standard deviation: of the first and last of {learning.POINTS} parts of
the training of one epoch, and on the validation split after it. The dialogues of ESConv are cut at
{learning.MAX_LENGTH} tokens here, for the time. Published and ours have the same first weights and batches. The
published recipe (fp32, Adam that is not fused, torch's own dropout) is padded here to the longest text of a batch,
which costs less and changes nothing that is learned. The plain Trainer has our two learning rates here, and an order
of the examples and a head of its own (the encoder's pooler and one linear layer), so its loss differs a little.

{markdown(learning.table(curves))}
"""

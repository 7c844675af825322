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

TARGET_SECONDS, TARGET_GB = 25, 1.2  # of the dataloader for 100 times SAD


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
    share = grown["sentences tokenized a second"] / grown["by the bare tokenizer"]
    shown = grown.drop(columns="by the bare tokenizer")
    shown["relative to encode_batch alone"] = share.map("{:.0%}".format)
    for column in ("sentences", "sentences tokenized a second"):
        shown[column] = shown[column].map("{:,.0f}".format)
    return shown.map(lambda value: value if isinstance(value, str) else f"{value:.1f}")


def _target(grown: pd.DataFrame) -> str:
    """What the dataloader of the largest corpus takes beside its target."""
    most = grown.iloc[-1]
    seconds, peak = most["dataloader, s"], most["dataloader, GB"]
    target = f"The dataloader's target for 100 times SAD is {TARGET_SECONDS} s and {TARGET_GB} GB."
    return f"{target} It takes {seconds:.1f} s and {peak:.1f} GB."


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

Three recipes are compared:

- *Published* is the published training loop, written anew with our `EmotionModel`: every text padded to 512 tokens,
  Adam that is not fused, fp32 on a CPU and fp16 on a GPU, and an evaluation of one example at a time.
- *Plain* is what a user would write instead: transformers' own classifier and Trainer with the flags that make it fast
  (dynamic padding, `group_by_length`, bf16 where the machine has it, fused AdamW, an evaluation in batches of 64).
- *Ours* are the scripts.

{_training(training)}
{_whole(runs)}
{_rest(rest, grown)}
{_learned(curves)}
![growth in time and memory, whole processes, and loss curves of the recipes](benchmarks.png)

The dotted line is growth in proportion to the sentences, to the dataloader's last point. The lines on the bars go from
the lowest to the highest run.
"""


def _training(training: pd.DataFrame) -> str:
    return f"""## Training

Only training steps are timed. The recipes alternate, {training_speed.TURNS} turns each, and each recipe runs in a
process of its own. Plain and ours both sort by length within groups of batches. Their turns together span such a group,
so both train on texts of about the same lengths. Published is timed at a batch size of 6 alone, a batch a turn: an
example costs it about the same at every batch size. Two cores are timed with ours alone.

Plain and ours draw different batches. So they are compared by the real tokens that they train on in a second. Padding
is its share of a batch's tokens. GFLOP/s are what the encoder computes for the real tokens, without the part of the
last layer that ours skips. The share of a matrix product is relative to two matrices of {training_speed.SIZE} by
{training_speed.SIZE}, multiplied in the same precision and run, with as many threads.
{"" if ON_GPU else "The GPU's rows are empty because no GPU was at hand."}

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

The start-up of a command is its CPU time beyond that of a process that only imports the libraries it needs. Below 0 is
noise.

{markdown(rest)}

## Growth

SAD's sheet with its rows repeated 1, 10 and 100 times: seconds and peak memory of the dataloader's process, and of
taking the batches of one epoch out of our loader. {_target(grown)} Tokenizing is compared with the tokenizer's
`encode_batch` of 1,000 texts at a time. Ours takes fewer at a time, which can be faster.

{markdown(rounded(grown))}
"""


def _learned(curves: pd.DataFrame) -> str:
    return f"""## What is learned

Loss over {len(learning.SEEDS)} seeds, mean ± standard deviation: of the first and the last of {learning.POINTS} parts
of the training of one epoch, and on the validation split after it. The learning rates are 5e-5 (encoder) and 1e-3
(heads), higher than the published ones, so that one epoch shows progress. The batch size is 16 on SAD and 6 on ESConv,
whose dialogues are cut at {learning.MAX_LENGTH} tokens here, for the time.

Published differs from the other sections here. It has the initial weights and the batches of ours, grouped by length,
so these curves do not show what this grouping changes. It is padded to the longest text of a batch, which costs less
and changes nothing that is learned. Plain has an order of the examples and a head of its own (the encoder's pooler and
one linear layer), so its loss differs a little.

{markdown(learning.table(curves))}
"""

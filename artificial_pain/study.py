"""The published grid of runs, or a part of it: encoders x corpora x balanced or not x one head or four, over seeds.

python -m artificial_pain.study --dataset_name SAD --seeds 42 43 44 --model_flags "--batch_size 16 --epochs 3"
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from statistics import fmean
from typing import BinaryIO

from tqdm import tqdm

from artificial_pain import cli, encoders, flags, storage
from artificial_pain.data import examples
from artificial_pain.errors import EPOCH_LINE, Terminated, UserError, logger, redact
from artificial_pain.reporting import grid
from artificial_pain.runs.status import EVALUATED_ONLY

# The scripts' flags that the study sets, each from a flag of its own.
RESERVED = {"--model_name", "--dataset_name", "--balanced", "--output_dir", "--seed", f"--{examples.SEED}"}
RESERVED |= {f"--{name}" for name in examples.PUBLISHED}
POLL_SECONDS = 0.5  # between two looks at a script's log


def parse_args() -> argparse.Namespace:
    """The flags, and `cells`, the part of the grid that they ask for."""
    parser = cli.module_parser("study", __doc__)
    group = parser.add_argument_group("which part of the grid (default: all of it)")
    options = {"type": encoders.checked_name, "default": grid.PUBLISHED_ENCODERS, "metavar": "ENCODER"}
    group.add_argument("--model_name", nargs="+", **options)
    for flag, values, help in [
        ("--dataset_name", grid.DATASETS["classification"], None),
        ("--balance", list(grid.BALANCES), None),
        ("--task", list(grid.DATASETS), "one head, or four (ESConv alone)"),
    ]:
        group.add_argument(flag, nargs="+", choices=values, default=values, help=help)
    cli.add_flag(group, "--seeds", [storage.PUBLISHED_SEED], "of the trainings", nargs="+", type=cli.seed_integer)
    flags.add_examples_flags(parser, grid.DATASETS["classification"], examples.PUBLISHED, examples.SEED)
    group = parser.add_argument_group("what the scripts are given beside that")
    help = "of both scripts: the encoder's branch, tag or commit on the hub (default: %(default)s)"
    group.add_argument("--revision", type=cli.not_empty, default=encoders.DEFAULT_REVISION, help=help)
    group.add_argument("--output_dir", type=cli.path, help="of all four (default: each task's own folder)")
    # Given with =: argparse takes a bare --debug for a flag of its own.
    help = 'of the model scripts, as in --model_flags="--epochs 8"'
    group.add_argument("--model_flags", type=shlex.split, default=[], metavar='"FLAGS"', help=help)
    args = parser.parse_args()
    flags.check_split(parser, args)
    for word in (word.split("=")[0] for word in args.model_flags):
        if word in RESERVED:
            parser.error(f"--model_flags: the study sets {word}: use its own flag")
        if word == "--push_to_hub":
            parser.error("--push_to_hub would upload all runs over each other: give it to the model script of one")
    if args.data_source not in (None, examples.SAMPLE) and len(args.dataset_name) > 1:
        parser.error("--data_source: a file is one corpus: say which, with --dataset_name SAD or ESConv")
    if args.data_source and args.data_source != redact(args.data_source):
        parser.error("--data_source: an address with a password or a query is not handed on: give a copy of the file")
    chosen = {"dataset_name": args.dataset_name, "balance": args.balance, "task": args.task}
    cells = grid.grid(args.model_name)
    args.cells = [cell for cell in cells if all(getattr(cell, flag) in chosen[flag] for flag in chosen)]
    if not args.cells:
        parser.error("--task intensity: ESConv alone has intensities: ask for --dataset_name ESConv")
    return args


def main(args: argparse.Namespace) -> None:
    """Write the splits of each cell and train on them with each seed; a finished run is only evaluated again."""
    if args.output_dir:
        args.output_dir = args.output_dir.absolute()  # for the commands of scripts that fail
        storage.require_writable(args.output_dir)
    num_runs = len(args.cells) * len(args.seeds)
    outcomes, seconds, failures = [], [], []  # of each run; of each training; of each command that failed
    for cell in args.cells:
        has_splits = call_script(args, cell, None, failures) is not None
        for seed in args.seeds:
            start = time.monotonic()
            output = call_script(args, cell, seed, failures) if has_splits else None
            if output is not None and EVALUATED_ONLY not in output:
                seconds.append(time.monotonic() - start)
            outcomes.append("done" if output is not None else "failed" if has_splits else "no splits")
            num_left = num_runs - len(outcomes)
            time_left = tqdm.format_interval(num_left * fmean(seconds)) if seconds else "?"
            progress = f"[{len(outcomes)}/{num_runs}] {cell}, seed {seed}: {outcomes[-1]}"
            logger.info(f"{progress}; {num_left} left, about {time_left}")
    print(f"{num_runs} runs: {outcomes.count('done')} done, {num_runs - outcomes.count('done')} failed")
    for failure in failures:
        print(f"failed: {failure}")
    if failures:
        raise UserError(f"{len(failures)} of the commands failed, see above: mend that, and give this one again")


def settings_of(args: argparse.Namespace, cell: grid.Cell) -> dict:
    """The settings of a cell's examples; one that has no effect there is None."""
    unused = [] if cell.dataset_name == "SAD" else ["label_column", "text_column", "split"]
    unused += [] if cell.balance == "balanced" else ["samples_per_label"]
    return examples.settings(args) | dict.fromkeys(unused)


def call_script(args: argparse.Namespace, cell: grid.Cell, seed: int | None, failures: list[str]) -> str | None:
    """Call a cell's dataloader, or with a seed its model script; append the output to a log, and return it.

    Where the script fails it is None, and the command and its reason are added to `failures`.
    """
    examples_settings = settings_of(args, cell)
    kind, step, words = "dataloader", "dataloader", examples.flags(examples_settings)
    if seed is not None:
        kind, step, words = "model", f"seed {seed}", examples.flags(examples_settings, examples.SEED)
        words += ["--seed", str(seed), *args.model_flags]
    folder = storage.TASK_FOLDERS[cell.task]
    command = [str(folder / f"{cell.task}-{kind}.py"), "--model_name", cell.model_name]
    command += ["--dataset_name", cell.dataset_name, *grid.BALANCES[cell.balance]]
    command += ["--output_dir", str(args.output_dir)] if args.output_dir else []
    command += [*(["--revision", args.revision] if args.revision != encoders.DEFAULT_REVISION else []), *words]
    encoder = cell.model_name.strip("/").replace("/", "-")
    corpus = examples.corpus_name(cell.dataset_name, examples_settings)
    name = f"{cell.task}-{corpus}-{cell.balance}-{encoder}-{step.replace(' ', '')}.log"
    log = (args.output_dir or folder) / "study" / name
    logger.info(f"{cell}, {step}: started, its output goes to {log}")
    log.parent.mkdir(parents=True, exist_ok=True)
    # A run that is evaluated again keeps the log of its training.
    with log.open("ab") as file, log.open("rb") as progress:
        start = progress.seek(0, os.SEEK_END)
        script = subprocess.Popen([sys.executable, *command], stdout=file, stderr=file, stdin=subprocess.DEVNULL)
        exit_code = wait_for(script, progress)
        progress.seek(start)
        output = progress.read().decode(errors="replace")
    if exit_code == 0:
        return output
    lines = output.strip().splitlines() or [f"exit code {exit_code}"]
    reason = next((line for line in reversed(lines) if "error: " in line), lines[-1]).strip()
    failures.append(f"{shlex.join([storage.program('python'), *command])}\n  {reason} ({log})")
    return None


def wait_for(script: subprocess.Popen, log: BinaryIO) -> int:
    """The exit code of a script. Until it ends, the lines of its training's progress are shown, from its log.

    What stops the study stops the script too, and is raised again when it has ended.
    """
    exit_code = None
    try:
        while exit_code is None:
            with suppress(subprocess.TimeoutExpired):
                exit_code = script.wait(POLL_SECONDS)
            show_progress(log)
        return exit_code
    except (KeyboardInterrupt, Terminated) as stop:
        if isinstance(stop, Terminated):  # Ctrl-C reaches every process of the terminal by itself
            script.terminate()
        script.wait()
        raise type(stop)("stopped: give the same command to go on") from None


def show_progress(log: BinaryIO) -> None:
    """Show the lines about epochs that are new in a log. A line that is not finished stays for the next call."""
    begin = log.tell()
    while (line := log.readline()).endswith(b"\n"):
        begin = log.tell()
        if line.startswith(EPOCH_LINE.encode()):
            logger.info(line.decode(errors="replace").rstrip())
    log.seek(begin)


if __name__ == "__main__":
    cli.run(main, parse_args)

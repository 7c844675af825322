"""The published grid of runs, or a part of it: encoders x corpora x balanced or not x one head or four, over seeds.

python -m artificial_pain.study --dataset_name SAD --seeds 42 43 44 --model_flags "--batch_size 16 --epochs 3"
"""

import argparse
import shlex
from pathlib import Path

from artificial_pain import cli, encoders, storage
from artificial_pain.errors import UserError
from artificial_pain.reporting import grid
from artificial_pain.reporting.study import Study

# The scripts' flags that the study sets, each from a flag of its own.
RESERVED = {"--model_name", "--dataset_name", "--balanced", "--output_dir"}


def _absolute_folder(text: str) -> Path:
    return cli.folder(text).absolute()


def parse_args() -> argparse.Namespace:
    """The flags, and `cells`, the part of the grid that they ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m artificial_pain.study", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    group = parser.add_argument_group("which part of the grid (default: all of it)")
    group.add_argument(
        "--model_name", nargs="+", type=encoders.checked_name, default=grid.PUBLISHED_ENCODERS, metavar="ENCODER"
    )
    group.add_argument("--dataset_name", nargs="+", choices=grid.DATASETS["classification"], default=["SAD", "ESConv"])
    group.add_argument("--balance", nargs="+", choices=grid.BALANCES, default=list(grid.BALANCES))
    group.add_argument(
        "--task", nargs="+", choices=grid.DATASETS, default=list(grid.DATASETS), help="one head, or four (ESConv alone)"
    )
    group.add_argument(
        "--seeds",
        nargs="+",
        type=cli.seed_integer,
        default=[storage.PUBLISHED_SEED],
        metavar="N",
        help="(default: %(default)s)",
    )
    group = parser.add_argument_group("what the scripts are given beside that")
    group.add_argument("--output_dir", type=_absolute_folder, help="of all four (default: each task's own folder)")
    for flag in ("--dataloader_flags", "--model_flags"):  # with =, else argparse takes a single flag for one of its own
        group.add_argument(flag, type=shlex.split, default=[], metavar='"FLAGS"', help=f'as in {flag}="--revision v1"')
    args = parser.parse_args()
    for flag, reserved in (("--dataloader_flags", RESERVED), ("--model_flags", RESERVED | {"--seed"})):
        for word in (word.split("=")[0] for word in vars(args)[flag[2:]]):
            if word in reserved:
                parser.error(f"{flag}: the study sets {word}: use its own flag")
            if word == "--push_to_hub":
                parser.error("--push_to_hub would upload all runs over each other: give it to the model script of one")
    args.cells = grid.grid(args.model_name, args.dataset_name, args.balance, args.task)
    if not args.cells:
        parser.error("--task intensity: ESConv alone has intensities: ask for --dataset_name ESConv")
    return args


def main(args: argparse.Namespace) -> None:
    if args.output_dir:
        storage.require_writable(args.output_dir)
    study = Study(args.cells, args.seeds, args.output_dir, args.dataloader_flags, args.model_flags)
    study.run()
    print(f"{study.num_runs} runs: {study.num_done} done, {study.num_runs - study.num_done} failed")
    for command, reason in study.failures:
        print(f"failed: {shlex.join([storage.program('python'), *command])}\n  {reason}")
    if study.failures:
        raise UserError(f"{len(study.failures)} of the commands failed, see above: mend that, and give this one again")


if __name__ == "__main__":
    cli.run(main, parse_args)

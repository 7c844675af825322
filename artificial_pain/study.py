"""The published grid of runs, or a part of it: encoders x corpora x balanced or not x one head or four, over seeds.

python -m artificial_pain.study --dataset_name SAD --seeds 42 43 44 --model_flags "--batch_size 16 --epochs 3"
"""

import argparse
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from artificial_pain import cli, encoders, errors, storage
from artificial_pain.errors import Terminated, UserError, say
from artificial_pain.reporting import grid
from artificial_pain.reporting.grid import Splits

# Of the scripts' flags, those that the study gives, each from its own flag.
GIVEN = {"--model_name", "--dataset_name", "--balanced", "--output_dir"}


def _folder(text: str) -> Path:
    return cli.folder(text).absolute()


def arguments() -> argparse.Namespace:
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
        "--seeds", nargs="+", type=cli.seed_integer, default=[cli.SEED], metavar="N", help="(default: %(default)s)"
    )
    group = parser.add_argument_group("what the scripts are given beside that")
    group.add_argument("--output_dir", type=_folder, help="of all four (default: each task's own folder)")
    for flag in ("--dataloader_flags", "--model_flags"):  # with =, else argparse takes a single flag for one of its own
        group.add_argument(flag, type=shlex.split, default=[], metavar='"FLAGS"', help=f'as in {flag}="--revision v1"')
    args = parser.parse_args()
    for flag, given in (("--dataloader_flags", GIVEN), ("--model_flags", GIVEN | {"--seed"})):
        for word in (word.split("=")[0] for word in vars(args)[flag[2:]]):
            if word in given:
                parser.error(f"{flag}: {word} is what the study gives: use its own flags")
            if word == "--push_to_hub":
                parser.error("--push_to_hub would upload all runs over each other: give it to the model script of one")
    if not grid.grid(args.model_name, args.dataset_name, args.balance, args.task):
        parser.error("--task intensity: ESConv alone has intensities: ask for --dataset_name ESConv")
    return args


class Study:
    """The runs that were asked for, one after the other, and what became of them."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.grid = grid.grid(args.model_name, args.dataset_name, args.balance, args.task)
        self.left = self.runs = len(self.grid) * len(args.seeds)
        self.finished = 0
        self.seconds: list[float] = []  # of each run that was trained
        self.failed: dict[str, str] = {}  # the reason, by the command

    def run(self) -> None:
        """Make all splits, and train on each the runs of all seeds that are not finished."""
        for splits in self.grid:
            dataloader = self._command(splits, "dataloader", *self.args.dataloader_flags)
            no_splits = self._call(dataloader, self._log(splits, "dataloader"))
            if no_splits:
                self.failed[_told(dataloader)] = no_splits
            for seed in self.args.seeds:
                self._train(splits, seed) if not no_splits else self._tell(f"{splits}, seed {seed}: no splits")

    def _train(self, splits: Splits, seed: int) -> None:
        model = self._command(splits, "model", "--seed", str(seed), *self.args.model_flags)
        if self._is_finished(splits, model):
            self.finished += 1
            self._tell(f"{splits}, seed {seed}: finished before")
            return
        log = self._log(splits, f"seed{seed}")
        say(f"{splits}, seed {seed}: training, {log} has what it says")
        started = time.monotonic()
        reason = self._call(model, log)
        if reason:
            self.failed[_told(model)] = reason
        else:
            self.seconds.append(time.monotonic() - started)
        self._tell(f"{splits}, seed {seed}: {'failed' if reason else 'done'}")

    def _root(self, splits: Splits) -> Path:
        return self.args.output_dir or cli.TASK_FOLDERS[splits.task]

    def _log(self, splits: Splits, what: str) -> Path:
        encoder = splits.encoder.strip("/").replace("/", "-")
        return (
            self._root(splits) / "study" / f"{splits.task}-{splits.dataset_name}-{splits.balance}-{encoder}-{what}.log"
        )

    def _command(self, splits: Splits, script: str, *words: str) -> list[str]:
        """The command of a script, without Python's name."""
        path = cli.TASK_FOLDERS[splits.task] / f"{splits.task}-{script}.py"
        folder = ["--output_dir", str(self.args.output_dir)] if self.args.output_dir else []
        shared = ["--model_name", splits.encoder, "--dataset_name", splits.dataset_name, *grid.BALANCES[splits.balance]]
        return [str(path), *shared, *folder, *words]

    def _is_finished(self, splits: Splits, command: list[str]) -> bool:
        """Whether a run of this very command, on the splits that are there, is finished."""
        folder = self._root(splits) / splits.dataset_name
        prefix = "balanced_" if splits.balance == "balanced" else ""
        splits_there = folder.glob(f"*/{prefix}tokenized_splits/tokenization.json")
        finished = [_read(path, _words_and_data) for path in folder.glob("*/*/run.json")]
        return any((command, _read(path, _texts_and_tokens)) in finished for path in splits_there)

    def _call(self, command: list[str], log: Path) -> str | None:
        """Call a script, what it says goes to the log; the reason if it fails. What stops the study stops it too."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as output:
            script = subprocess.Popen(
                [sys.executable, *command], stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
            try:
                code = script.wait()
            except (KeyboardInterrupt, Terminated) as stop:
                if isinstance(stop, Terminated):  # Ctrl-C has reached it, as everything that the terminal runs
                    script.send_signal(signal.SIGTERM)
                script.wait()
                raise type(stop)("stopped: the same command goes on") from None
        if code == 0:
            return None
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
        told = [line for line in lines if "error: " in line] or lines or [f"exit code {code}"]
        return f"{told[-1].strip()} ({log})"

    def _tell(self, what: str) -> None:
        """A line of progress, after a run: how many there are, how many are left, and how long they take."""
        self.left -= 1
        rate = tqdm.format_interval(self.left * sum(self.seconds) / len(self.seconds)) if self.seconds else "?"
        say(f"[{self.runs - self.left}/{self.runs}] {what}; {self.left} left, about {rate}")


def _told(command: list[str]) -> str:
    return shlex.join([cli.program("python"), *command])


def _texts_and_tokens(data: dict) -> tuple:
    """What tells the splits apart that a run was trained on."""
    return data["fingerprint"], data["max_length"]


def _words_and_data(record: dict) -> tuple:
    """What tells runs apart: the words of the command, without Python's name, and the splits."""
    return shlex.split(record["command"])[1:], _texts_and_tokens(record["data"])


def _read(path: Path, what: Callable[[dict], tuple]) -> tuple | None:
    """That of a JSON file; None where it is damaged, of which the script itself will tell."""
    try:
        return what(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def main() -> None:
    args = arguments()
    if args.output_dir:
        storage.require_writable(args.output_dir)
    study = Study(args)
    study.run()
    trained, finished = len(study.seconds), study.finished
    not_done = study.runs - trained - finished
    print(f"{study.runs} runs: {trained} trained, {finished} finished before, {not_done} not done")
    for command, reason in study.failed.items():
        print(f"failed: {command}\n  {reason}")
    if study.failed:
        raise UserError(f"{len(study.failed)} commands failed, see above: mend that, and give the same command again")


if __name__ == "__main__":
    errors.run(main)

"""The commands of a report: those that made its runs, and those that would make the missing ones."""

import argparse
import os
import re
import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from artificial_pain import encoders, storage
from artificial_pain.data import examples
from artificial_pain.reporting.grid import DATASETS, PUBLISHED_ENCODERS, Cell, grid
from artificial_pain.reporting.groups import TRAINED_ON, Group, hardware, task_name
from artificial_pain.reporting.run_files import Run

SEEDS = re.compile(r" --seeds((?: \d+)+)(?= |$)")  # in a study's command


def study_command(record: dict, root: Path, seeds: Sequence[int]) -> str:
    """The command that makes runs like the record's, with these seeds, from the current folder."""
    revision, settings = record["arguments"]["revision"], {**record["data"]}
    if settings["data_source"] and Path(settings["data_source"]).is_absolute():
        settings["data_source"] = os.path.relpath(settings["data_source"])
    model_flags = _model_flags(record["command"])
    words = [*_study([_cell(record)], root, seeds), *examples.flags(settings, examples.SEED)]
    words += ["--revision", revision] if revision != encoders.DEFAULT_REVISION else []
    words += [f"--model_flags={shlex.join(model_flags)}"] if model_flags else []
    return shlex.join(words)


def _study(cells: Sequence[Cell], root: Path | None, seeds: Sequence[int]) -> list[str]:
    """The study of these cells of one encoder, in a root other than the task's own folder."""
    words = ["python", "-m", "artificial_pain.study"]
    for flag in ("model_name", "dataset_name", "task", "balance"):
        words += [f"--{flag}", *dict.fromkeys(getattr(cell, flag) for cell in cells)]
    words += ["--seeds", *map(str, seeds)]
    return words if root in (None, *storage.TASK_FOLDERS.values()) else [*words, "--output_dir", os.path.relpath(root)]


def _cell(record: dict) -> Cell:
    arguments = record["arguments"]
    balance = "balanced" if arguments["balanced"] else "unbalanced"
    return Cell(task_name(record), arguments["dataset_name"], balance, arguments["model_name"])


def _model_flags(command: str) -> list[str]:
    """The flags of a model script's command that a study passes on."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    switches = {"balanced", "restart", "deduplicate"}
    others = {"model_name", "dataset_name", "revision", "output_dir", "push_to_hub", examples.SEED}
    for flag in switches | others | examples.PUBLISHED.keys():
        parser.add_argument(f"--{flag}", action="store_true" if flag in switches else "store")
    return parser.parse_known_args(shlex.split(command)[2:])[1]


def missing_of_plan(runs: Sequence[Run], plan: Sequence[str]) -> list[tuple[str, str]]:
    """The seeds of planned commands without a finished run, each with the command that makes them.

    plan: commands as `study_command` gives them, so that they are the same text where the settings are the same.
    """
    done = defaultdict(set)
    for run in runs:
        seed, root = run.record["seed"], run.folder.parents[2]
        done[SEEDS.sub("", study_command(run.record, root, [seed]))].add(str(seed))
    missing = []
    for command in (shlex.join(shlex.split(line)) for line in plan):
        planned = SEEDS.search(command)[1].split()
        if seeds := [seed for seed in planned if seed not in done[SEEDS.sub("", command)]]:
            study = ", ".join(re.findall(r"--(?:task|balance|output_dir|label_column|split|fold) (\S+)", command))
            missing.append((f"{study}: seeds {', '.join(seeds)}", SEEDS.sub(f" --seeds {' '.join(seeds)}", command)))
    return missing


def missing_folds(incomplete: Sequence[Sequence[Run]]) -> list[tuple[str, str]]:
    """The folds that a setting and seed lacks, each with the command that makes its run."""
    missing = []
    for runs in incomplete:
        record, root = runs[0].record, runs[0].folder.parents[2]
        data, seed = record["data"], record["seed"]
        for fold in set(range(1, data["folds"] + 1)) - {run.record["data"]["fold"] for run in runs}:
            command = study_command(record | {"data": data | {"fold": fold}}, root, [seed])
            name = f"{Group(runs).name(with_root=True)}, {hardware(record)}"
            missing.append((f"{name}: fold {fold} of {data['folds']}, seed {seed}", command))
    return missing


def missing_runs(groups: Sequence[Group], unfinished: dict[Path, dict]) -> list[tuple[str, str]]:
    """The cells of the published grid and the seeds without a finished run, each with the command that makes it."""
    groups = [group for group in groups if not group.arguments["debug"]]
    seeds = sorted({seed for group in groups for seed in group.seeds}) or [storage.PUBLISHED_SEED]
    roots = list({group.root for group in groups})
    finished = {_cell(group.first.record) for group in groups if _is_published(group)}
    missing = []
    for encoder in PUBLISHED_ENCODERS:
        if cells := [cell for cell in grid([encoder]) if cell not in finished]:
            names = ", ".join(f"{cell.task} ({cell.dataset_name}, {cell.balance})" for cell in cells)
            words = _study(cells, roots[0] if len(roots) == 1 else None, seeds)
            missing.append((f"{encoder}: {names}", shlex.join(words)))
    for group in groups:
        # Seeds that were trained on other hardware are not missing.
        same = [g for g in groups if (g.root, g.corpus) == (group.root, group.corpus)]
        done = {seed for g in same if g.differences(group) <= {TRAINED_ON} for seed in g.seeds}
        missing_seeds = [seed for seed in seeds if seed not in done]
        if missing_seeds and not group.first.folds:
            name = f"{group.name(with_root=True)}, {group.corpus}"
            command = study_command(group.first.record, group.root, missing_seeds)
            missing.append((f"{name}: seeds {', '.join(map(str, missing_seeds))}", command))
    for folder, record in unfinished.items():
        root = folder.parents[2]
        command = study_command(record, root, [record["seed"]])
        missing.append((f"{folder.relative_to(root.parent)}: started, not finished", command))
    return list(dict.fromkeys(missing))


def _is_published(group: Group) -> bool:
    """Whether the data and the number of heads are the published ones."""
    return group.corpus in DATASETS[group.task] and (group.task == "classification" or group.heads == 4)

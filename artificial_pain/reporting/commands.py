"""The commands of a report: those that made its runs, and those that would make the missing ones."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from artificial_pain import encoders
from artificial_pain.data.command import dataloader_flags
from artificial_pain.reporting.grid import PUBLISHED_ENCODERS, PUBLISHED_LABEL_COLUMNS, Cell, grid
from artificial_pain.reporting.groups import Group, task_name
from artificial_pain.storage import PUBLISHED_SEED, TASK_FOLDERS

STUDY = ["python", "-m", "artificial_pain.study"]


def study_command(record: dict, root: Path, seeds: Sequence[int]) -> str:
    """The command that makes runs like the record's, with these seeds, from the current folder."""
    arguments, settings = record["arguments"], {**record["data"]}
    if settings["data_source"] and Path(settings["data_source"]).is_absolute():
        settings["data_source"] = os.path.relpath(settings["data_source"])
    flags = dataloader_flags(settings)
    flags += ["--revision", arguments["revision"]] if arguments["revision"] != encoders.DEFAULT_REVISION else []
    model_flags = _model_flags(record["command"])
    words = [*STUDY, "--model_name", arguments["model_name"], "--dataset_name", arguments["dataset_name"]]
    words += ["--task", task_name(record), "--balance", "balanced" if arguments["balanced"] else "unbalanced"]
    words += ["--seeds", *map(str, seeds), *_output_dir(root), f"--dataloader_flags={shlex.join(flags)}"]
    words += [f"--model_flags={shlex.join(model_flags)}"] if model_flags else []
    return shlex.join(words)


def _model_flags(command: str) -> list[str]:
    """The flags of a model script's command that a study passes on."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--model_name", "--dataset_name", "--output_dir", "--seed", "--push_to_hub"):
        parser.add_argument(flag)
    for flag in ("--balanced", "--restart"):
        parser.add_argument(flag, action="store_true")
    return parser.parse_known_args(shlex.split(command)[2:])[1]


def _output_dir(root: Path) -> list[str]:
    return [] if root in TASK_FOLDERS.values() else ["--output_dir", os.path.relpath(root)]


def missing_runs(groups: Sequence[Group], unfinished: dict[Path, dict]) -> list[tuple[str, str]]:
    """The cells of the published grid and the seeds without a finished run, each with the command that makes it."""
    groups = [group for group in groups if not group.arguments["debug"]]
    seeds = sorted({seed for group in groups for seed in group.seeds}) or [PUBLISHED_SEED]
    missing = _missing_cells(groups, seeds)
    for group in groups:
        missing_seeds = [seed for seed in seeds if seed not in group.seeds]
        if missing_seeds:
            name = f"{group.name(True)}, {group.arguments['dataset_name']}"
            command = study_command(group.first.record, group.root, missing_seeds)
            missing.append((f"{name}: seeds {', '.join(map(str, missing_seeds))}", command))
    for folder, record in unfinished.items():
        root = folder.parents[2]
        command = study_command(record, root, [record["seed"]])
        missing.append((f"{folder.relative_to(root.parent)}: started, not finished", command))
    return missing


def _missing_cells(groups: Sequence[Group], seeds: Sequence[int]) -> list[tuple[str, str]]:
    """An entry for each encoder with missing cells of the published grid."""
    finished = {_cell(group) for group in groups if _is_published(group)}
    roots = {group.root for group in groups}
    missing = []
    for encoder in PUBLISHED_ENCODERS:
        cells = [cell for cell in grid([encoder]) if cell not in finished]
        if cells:
            words = [*STUDY, "--model_name", encoder]
            for flag in ("dataset_name", "balance", "task"):
                words += [f"--{flag}", *dict.fromkeys(getattr(cell, flag) for cell in cells)]
            words += _output_dir(*roots) if len(roots) == 1 else []
            names = "; ".join(f"{cell.task}, {cell.dataset_name} {cell.balance}" for cell in cells)
            missing.append((f"{encoder}: {names}", shlex.join([*words, "--seeds", *map(str, seeds)])))
    return missing


def _is_published(group: Group) -> bool:
    """Whether the data and the number of heads are the published ones."""
    data = group.data["data_source"] != "sample" and group.data["label_column"] in PUBLISHED_LABEL_COLUMNS
    return data and (group.task == "classification" or group.heads == 4)


def _cell(group: Group) -> Cell:
    balance = "balanced" if group.arguments["balanced"] else "unbalanced"
    return Cell(group.task, group.arguments["dataset_name"], balance, group.arguments["model_name"])

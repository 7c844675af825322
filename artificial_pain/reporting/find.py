"""The finished runs of a report, wherever they are, and which of them belong together."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from artificial_pain.errors import UserError
from artificial_pain.reporting import archive, combine
from artificial_pain.reporting.groups import Group, hardware
from artificial_pain.reporting.run_files import Run
from artificial_pain.runs import status
from artificial_pain.runs.status import RECORD, checkpoints_folder, unfinished_record

# The data of a run in which the folds of a setting differ, and its path, of which an archive has the last part.
OF_A_FOLD = {"fold", "fingerprint", "label_counts", "data_source"}


def find_runs(roots: Sequence[Path]) -> tuple[list[Run], dict[Path, dict]]:
    """All finished runs below the roots; and the records of the unfinished ones, by their folders.

    A root is a folder, or a file of `archive`. Raises UserError where a run's files are damaged or incomplete.
    """
    runs: dict[Path, Run] = {}
    records = {}
    for root in [root for root in roots if root.is_file()]:
        runs |= {run.folder: run for run in archive.read(root)}
    folders = {path.resolve().parent for root in roots for path in root.rglob(RECORD)}
    for folder in sorted(folder for folder in folders if not folder.name.startswith(".")):  # as .partial, being written
        if folder != checkpoints_folder(folder.parent):
            runs[folder] = Run.read(folder)
        elif not (folder.parent / RECORD).exists():  # else it is a finished run that is being trained again
            records[folder.parent] = unfinished_record(folder.parent)
    return list(runs.values()), records


def group_runs(runs: Sequence[Run]) -> tuple[list[Group], list[list[Run]]]:
    """The groups of the runs; and the runs of folds whose others are missing, by setting and seed.

    All folds of a setting and seed are one run, see `combine.pool`.
    """
    groups, folds, incomplete = defaultdict(list), defaultdict(list), []
    for run in runs:
        data, setting = run.record["data"], [status.setting(run.record), hardware(run.record)]
        if data.get("folds"):
            same = sorted((name, value) for name, value in data.items() if name not in OF_A_FOLD)
            place = run.folder.parents[2], run.folder.parent.name
            folds[repr((place, setting, same)), run.record["seed"]].append(run)
        else:
            groups[repr((run.folder.parent, setting, data["fingerprint"]))].append(run)
    for (key, _), parts in folds.items():
        parts.sort(key=lambda run: run.record["data"]["fold"])
        require_distinct(parts, [run.record["data"]["fold"] for run in parts])
        if len(parts) == parts[0].record["data"]["folds"]:
            groups[key].append(combine.pool(parts))
        else:
            incomplete.append(parts)
    for members in groups.values():
        require_distinct(members, [run.record["seed"] for run in members])
    return [Group(members) for members in groups.values()], incomplete


def require_distinct(runs: Sequence[Run], values: list) -> None:
    """Raise UserError where two runs of a setting have the same seed and fold: one is a copy."""
    for i, run in enumerate(runs):
        if values[i] in values[:i]:
            other = runs[values.index(values[i])].folder
            raise UserError(f"{run.folder}: has the same setting and seed as {other}: take one of them away")

"""The status of a run's folder, and the record in it: a run is started, interrupted, finished.

Everything here works without the Trainer, whose import takes seconds.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from transformers import CONFIG_NAME

from artificial_pain import storage
from artificial_pain.encoders import WEIGHTS
from artificial_pain.errors import UserError, logger
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training import checkpoints

RECORD = "run.json"
FORMAT = 2  # of a record and of the files beside it; 1 had none
# A run may go on with another value of these flags.
RESUMABLE_FLAGS = {"output_dir", "restart", "precision", "no_log_predictions", "push_to_hub"}
# The keys of a record that are read again.
STARTED_KEYS = {
    "arguments": {"model_name", "revision", "dataset_name", "balanced"},
    "data": {"fingerprint", "max_length", "data_source"},
    "encoder": {"revision"},
    "wandb": {"id", "mode", "url", "folders"},
}
FINISHED_KEYS = {**STARTED_KEYS, "sha256": {CONFIG_NAME, WEIGHTS}}


@dataclass(frozen=True)
class RunStatus:
    """What is in a run's folder: the record of an interrupted run, of a finished one, or neither."""

    interrupted: dict | None = None
    finished: dict | None = None


def checkpoints_folder(run_folder: Path) -> Path:
    """Where the checkpoints are while a run is not finished, with the record of its start."""
    return run_folder / "checkpoints"


def find(run_folder: Path, record: dict, restart: bool) -> RunStatus:
    """The status of the run that the command of `record` started.

    With `restart` an interrupted run is removed, and a finished one is left until the new one has finished. Raises
    UserError where the run in the folder is one of other settings.
    """
    storage.commit_pending(run_folder)
    folder = checkpoints_folder(run_folder)
    interrupted = None if restart else _read(folder / RECORD, STARTED_KEYS)
    finished = None if restart else _read(run_folder / RECORD, FINISHED_KEYS)
    if interrupted and finished and interrupted["started"] == finished["started"]:
        interrupted = None  # the process died after it had written the run, before it had removed the checkpoints
    if interrupted and _differences(interrupted, record) and not checkpoints.any_valid(folder):
        interrupted = None  # nothing of its training is lost
    if folder.exists() and not interrupted:
        shutil.rmtree(folder)  # nobody's, also where it was being removed when its process died
    if interrupted:
        _require_same(run_folder, "a stopped", interrupted, record)
        _warn_of_changes(run_folder, interrupted, record)
        return RunStatus(interrupted=interrupted)
    if finished:
        _require_same(run_folder, "a finished", finished, record)
    return RunStatus(finished=finished)


def _read(path: Path, keys: dict[str, set[str]]) -> dict | None:
    """A record, which has at least these keys; None if there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("format") != FORMAT:
            raise UserError(f"{path}: was written by an earlier version: add --restart to train the run anew")
        if "started" not in record or not all(record[part].keys() >= names for part, names in keys.items()):
            raise ValueError("it is no record of a run")
        return record
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read ({error!r}): add --restart to train the run anew") from None


def _differences(earlier: dict, now: dict) -> list[str]:
    """In what the settings of two runs differ, by their records."""
    flags = sorted((earlier["arguments"].keys() | now["arguments"].keys()) - RESUMABLE_FLAGS)
    values = {flag: (earlier["arguments"].get(flag), now["arguments"].get(flag)) for flag in flags}
    differences = [f"--{flag} {then}, not {value}" for flag, (then, value) in values.items() if then != value]
    for what, key in (("text splits", "fingerprint"), ("tokens", "max_length")):
        if earlier["data"][key] != now["data"][key]:
            differences.append(f"other {what}")
    if earlier["encoder"] != now["encoder"]:
        differences.append(f"the encoder's revision {earlier['encoder']['revision']}")
    return differences


def _require_same(run_folder: Path, state: str, earlier: dict, now: dict) -> None:
    """Raise UserError that names in what the settings differ, if they do."""
    differences = _differences(earlier, now)
    if differences:
        raise UserError(
            f"{run_folder}: {state} run of other settings is there ({'; '.join(differences)}): give its command "
            "again, or add --restart to train anew in its place"
        )


def _warn_of_changes(run_folder: Path, interrupted: dict, now: dict) -> None:
    """Warn of what is not a setting, and can change the bits all the same."""
    parts = {"git": "code", "versions": "versions of Python and packages", "device": "device or number of threads"}
    changed = [name for part, name in parts.items() if interrupted.get(part) != now[part]]
    if changed:
        logger.warning(
            f"{run_folder}: goes on with other {', '.join(changed)}: the bits can be others than if never stopped"
        )


def start(run_folder: Path, record: dict) -> None:
    """Note whose checkpoints will be in the folder. Raises UserError where that cannot be written."""
    folder = checkpoints_folder(run_folder)
    partial = folder / f"{RECORD}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_json(partial, record)
        partial.replace(folder / RECORD)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}): make room, or give another --output_dir"
        ) from None


def finished(run_folder: Path) -> dict:
    """The record of the finished run in the folder. Raises UserError where there is none."""
    record = _read(run_folder / RECORD, FINISHED_KEYS)
    if record is None:
        raise UserError(f"{run_folder}: has no finished run: give the folder that the model script prints")
    return record


def unfinished(run_folder: Path) -> dict | None:
    """The record of the run that was started in the folder, None if none was. Raises UserError where it is damaged."""
    return _read(checkpoints_folder(run_folder) / RECORD, STARTED_KEYS)


def require_valid(run_folder: Path, record: dict) -> None:
    """Raise UserError where the files of a finished run are not those that were written."""
    reason = storage.find_corruption(run_folder, record["sha256"])
    if reason:
        raise UserError(f"{run_folder}: damaged ({reason}): train the run anew, with --restart, or download it again")


def load_model(run_folder: Path, record: dict) -> EmotionModel:
    """The model of a finished run. Raises UserError where its files are not those that were written."""
    require_valid(run_folder, record)
    return EmotionModel.from_pretrained(run_folder)

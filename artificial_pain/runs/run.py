"""A run's folder over time: begun, stopped, finished; and whether a command is the one that began it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import CONFIG_NAME

from artificial_pain.encoders import WEIGHTS
from artificial_pain.errors import UserError, warn
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.storage import atomic_update, commit_pending, find_corruption, write_json
from artificial_pain.training import checkpoints

RECORD = "run.json"
# Of the flags, those that a run may go on with another value of.
RESUMABLE_FLAGS = {"output_dir", "restart", "precision", "no_log_predictions", "push_to_hub"}
# Of a record, what is read again.
STARTED_KEYS = {
    "arguments": {"model_name", "revision", "dataset_name", "balanced"},
    "data": {"fingerprint", "max_length", "data_source"},
    "encoder": {"revision"},
    "wandb": {"id", "mode", "url", "folders"},
}
FINISHED_KEYS = {**STARTED_KEYS, "sha256": {CONFIG_NAME, WEIGHTS}}


def checkpoints_folder(run_folder: Path) -> Path:
    """Where the checkpoints are while a run is not finished, with the record of its beginning."""
    return run_folder / "checkpoints"


def find(run_folder: Path, record: dict, restart: bool) -> tuple[dict | None, dict | None]:
    """The records of the stopped and of the finished run that the command of `record` began; at most one is there.

    With `restart` a stopped run is removed, and a finished one is left until the new one has finished. Raises UserError
    where the run in the folder is one of other settings.
    """
    commit_pending(run_folder)
    folder = checkpoints_folder(run_folder)
    stopped = None if restart else _read(folder / RECORD, STARTED_KEYS)
    finished = None if restart else _read(run_folder / RECORD, FINISHED_KEYS)
    if stopped and finished and stopped["started"] == finished["started"]:
        stopped = None  # the process died after it had written the run, before it had removed the checkpoints
    if stopped and _differences(stopped, record) and not checkpoints.any_valid(folder):
        stopped = None  # nothing of its training is lost
    if folder.exists() and not stopped:
        shutil.rmtree(folder)  # nobody's, also where it was being removed when its process died
    if stopped:
        _require_same(run_folder, "stopped", stopped, record)
        _warn_of_changes(run_folder, stopped, record)
        return stopped, None
    if finished:
        _require_same(run_folder, "finished", finished, record)
    return None, finished


def _read(path: Path, parts: dict[str, set[str]]) -> dict | None:
    """A record, which has at least these parts; None if there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if "started" not in record or not all(record[part].keys() >= names for part, names in parts.items()):
            raise ValueError("it is no record of a run")
        return record
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read ({error!r}): add --restart to train the run anew") from None


def _differences(earlier: dict, now: dict) -> list[str]:
    """What the settings of two runs, by their records, do not share."""
    flags = sorted((earlier["arguments"].keys() | now["arguments"].keys()) - RESUMABLE_FLAGS)
    values = {flag: (earlier["arguments"].get(flag), now["arguments"].get(flag)) for flag in flags}
    differences = [f"--{flag} {then}, not {value}" for flag, (then, value) in values.items() if then != value]
    for what, key, part in (("text splits", "data", "fingerprint"), ("tokens", "data", "max_length")):
        if earlier[key][part] != now[key][part]:
            differences.append(f"other {what}")
    if earlier["encoder"] != now["encoder"]:
        differences.append(f"the encoder's revision {earlier['encoder']['revision']}")
    return differences


def _require_same(run_folder: Path, state: str, earlier: dict, now: dict) -> None:
    """Raise UserError that tells in what the settings differ, if they do."""
    differences = _differences(earlier, now)
    if differences:
        raise UserError(
            f"{run_folder}: a {state} run of other settings is there ({'; '.join(differences)}): give its command "
            "again, or add --restart to train anew in its place"
        )


def _warn_of_changes(run_folder: Path, stopped: dict, now: dict) -> None:
    """Tell what is not a setting, and can change the bits all the same."""
    parts = {"git": "code", "versions": "versions of Python and packages", "device": "device or number of threads"}
    changed = [name for part, name in parts.items() if stopped.get(part) != now[part]]
    if changed:
        warn(f"{run_folder}: goes on with other {', '.join(changed)}: the bits can be others than if never stopped")


def begin(run_folder: Path, record: dict) -> None:
    """Note whose checkpoints they are that will be in the folder. Raises UserError where that cannot be written."""
    folder = checkpoints_folder(run_folder)
    partial = folder / f"{RECORD}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(partial, record)
        partial.replace(folder / RECORD)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}): make room, or give another --output_dir"
        ) from None


@contextmanager
def replaced(run_folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of the run, together; then the checkpoints are removed."""
    with atomic_update(run_folder) as folder:
        yield folder
    shutil.rmtree(checkpoints_folder(run_folder))


def finished(run_folder: Path) -> dict:
    """The record of the finished run in the folder. Raises UserError where there is none."""
    record = _read(run_folder / RECORD, FINISHED_KEYS)
    if record is None:
        raise UserError(f"{run_folder}: has no finished run: give the folder that the model script prints")
    return record


def unfinished(run_folder: Path) -> dict | None:
    """The record of the run that was begun in the folder, None if none was. Raises UserError where it is damaged."""
    return _read(checkpoints_folder(run_folder) / RECORD, STARTED_KEYS)


def load_model(run_folder: Path, record: dict) -> EmotionModel:
    """The model of a finished run. Raises UserError where its files are not those that were written."""
    reason = find_corruption(run_folder, record["sha256"])
    if reason:
        raise UserError(f"{run_folder}: damaged ({reason}): train the run anew, with --restart, or download it again")
    return EmotionModel.from_pretrained(run_folder)

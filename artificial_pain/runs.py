"""A run's folder over time: begun, stopped, finished; and whether a command is the one that began it."""

import json
import shutil
from pathlib import Path

from artificial_pain.digests import digest
from artificial_pain.encoders import WEIGHTS
from artificial_pain.errors import UserError
from artificial_pain.files import finish_replacing, write_json
from artificial_pain.models import EmotionModel
from artificial_pain.report import RECORD

# Of the flags, those that a run may go on with another value of.
FREE = {"output_dir", "restart", "precision", "no_log_predictions"}


def checkpoints_folder(run_folder: Path) -> Path:
    """Where the checkpoints are while a run is not finished, with the record of its beginning."""
    return run_folder / "checkpoints"


def find(run_folder: Path, record: dict, restart: bool) -> tuple[dict | None, dict | None]:
    """The records of the stopped and of the finished run that the command of `record` began; at most one is there.

    With `restart` a stopped run is removed, and a finished one is left until the new one has finished. Raises UserError
    where the run in the folder is one of other settings.
    """
    finish_replacing(run_folder)
    checkpoints = checkpoints_folder(run_folder)
    stopped = None if restart else _read(checkpoints / RECORD)
    finished = None if restart else _read(run_folder / RECORD)
    if stopped and finished and stopped["started"] == finished["started"]:
        stopped = None  # the process died after it had written the run, before it had removed the checkpoints
    if checkpoints.exists() and not stopped:
        shutil.rmtree(checkpoints)  # nobody's, also where it was being removed when its process died
    if stopped:
        _require_same(run_folder, "stopped", stopped, record)
        return stopped, None
    if finished:
        _require_same(run_folder, "finished", finished, record)
    return None, finished


def _read(path: Path) -> dict | None:
    """A record; None if there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {name: record[name] for name in ("started", "arguments", "data", "encoder", "wandb")} | record
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error!r}): add --restart to train the run anew") from None


def _require_same(run_folder: Path, state: str, earlier: dict, now: dict) -> None:
    """Raise UserError that tells what the settings of two runs, by their records, do not share."""
    flags = sorted((earlier["arguments"].keys() | now["arguments"].keys()) - FREE)
    values = {flag: (earlier["arguments"].get(flag), now["arguments"].get(flag)) for flag in flags}
    differences = [f"--{flag} {then}, not {value}" for flag, (then, value) in values.items() if then != value]
    for what, key, part in (("text splits", "data", "fingerprint"), ("tokens", "data", "max_length")):
        if earlier[key].get(part) != now[key][part]:
            differences.append(f"other {what}")
    if earlier["encoder"] != now["encoder"]:
        differences.append(f"the encoder's revision {earlier['encoder'].get('revision')}")
    if differences:
        raise UserError(
            f"{run_folder}: a {state} run of other settings is there ({'; '.join(differences)}): give its command "
            "again, or add --restart to train anew in its place"
        )


def begin(run_folder: Path, record: dict) -> None:
    """Note whose checkpoints they are that will be in the folder."""
    checkpoints = checkpoints_folder(run_folder)
    checkpoints.mkdir(parents=True, exist_ok=True)
    partial = checkpoints / f"{RECORD}.partial"
    write_json(partial, record)
    partial.replace(checkpoints / RECORD)


def load_model(run_folder: Path, record: dict) -> EmotionModel:
    """The model of a finished run. Raises UserError where its weights are not those that were written."""
    path = run_folder / WEIGHTS
    if not path.is_file() or digest(path) != record.get("weights_sha256"):
        raise UserError(f"{path}: missing or damaged: add --restart to train the run anew")
    return EmotionModel.from_pretrained(run_folder)

"""The status of a run's folder, and the record in it: a run is started, interrupted, finished.

Everything here works without the Trainer, whose import takes seconds.
"""

import hashlib
import json
from datetime import datetime
from pathlib import Path

from artificial_pain import storage
from artificial_pain.data import examples
from artificial_pain.encoders import CONFIG, WEIGHTS
from artificial_pain.errors import UserError, as_user_error, first_line, logger
from artificial_pain.training import checkpoints

RECORD = "run.json"
READINGS = "test_readings.jsonl"  # in the folder of the corpus: which runs were evaluated on its test split
FORMAT = 4  # of a record and of the files beside it; records of format 1 do not say it
EVALUATED_ONLY = "the run is finished, and is evaluated"  # a model script logs it instead of training again
# A run may go on with another value of these flags. A flag that is new has no value in earlier records: every earlier
# run then has other settings.
RESUMABLE_FLAGS = {"output_dir", "restart", "precision", "no_log_predictions", "push_to_hub"}
# Those of the examples, which their fingerprint tells apart.
RESUMABLE_FLAGS |= {*examples.PUBLISHED, examples.SEED} - {"seed"}
# The keys of a record that are read again.
STARTED_KEYS = {"arguments": {"model_name", "revision", "dataset_name", "balanced", "debug"}, "encoder": {"revision"}}
STARTED_KEYS |= {
    "data": {"fingerprint", "corpus", "tokenizer", *examples.ALWAYS_SAID},
    "wandb": {"id", "mode", "url", "folders"},
}
FINISHED_KEYS = {**STARTED_KEYS, "sha256": {CONFIG, WEIGHTS}}


def checkpoints_folder(run_folder: Path) -> Path:
    """Where the checkpoints are while a run is not finished, with the record of its start."""
    return run_folder / "checkpoints"


def prepare(run_folder: Path, record: dict, restart: bool) -> dict:
    """Make the folder ready for the run of `record`, and return the record of the interrupted or finished run that the
    same command started, {} where there is none.

    With `restart` an interrupted run is removed, and a finished one is left until the new one has finished. Raises
    UserError where the run in the folder is one of other settings.
    """
    storage.commit_pending(run_folder)
    folder = checkpoints_folder(run_folder)
    interrupted = {} if restart else unfinished_record(run_folder)
    complete = {} if restart else _read(run_folder / RECORD, FINISHED_KEYS)
    if interrupted and interrupted["started"] == complete.get("started"):
        interrupted = {}  # the process died after it had written the run, before it had removed the checkpoints
    if interrupted and _differences(interrupted, record) and not checkpoints.any_valid(folder):
        interrupted = {}  # nothing of its training is lost
    if folder.exists() and not interrupted:
        storage.remove(folder)  # of no run, or its removal was cut short
    earlier = interrupted or complete
    if earlier and (differences := _differences(earlier, record)):
        other = f"a {'stopped' if interrupted else 'finished'} run of other settings is there"
        remedy = "give its command again, or add --restart to train anew in its place"
        raise UserError(f"{run_folder}: {other} ({'; '.join(differences)}): {remedy}")
    if interrupted:
        _warn_of_changes(run_folder, interrupted, record)
    return earlier


def setting(record: dict) -> str:
    """What a run's setting is called among others: 12 hexadecimal digits, the same for all seeds, folds and folders."""
    arguments = {name: value for name, value in record["arguments"].items() if name not in RESUMABLE_FLAGS | {"seed"}}
    data = {name: examples.value(record["data"], name) for name in examples.PUBLISHED.keys() - {"data_source", "fold"}}
    return hashlib.sha256(json.dumps([arguments, data], sort_keys=True).encode()).hexdigest()[:12]


def but_for_the_seed(record: dict) -> tuple[str, str]:
    """What runs have in common that differ in their seed alone: their setting and their data."""
    return setting(record), record["data"]["fingerprint"]


def note_reading(run_folder: Path, record: dict) -> None:
    """Add a line about a run to the ledger of its corpus' test split: the run has been evaluated on it."""
    line = {"time": datetime.now().astimezone().isoformat(timespec="seconds"), "setting": setting(record)}
    line |= {"run": str(run_folder.relative_to(run_folder.parents[1])), "command": record["command"]}
    with (run_folder.parents[1] / READINGS).open("ab") as file:  # a line is added at once, by whatever process
        file.write(f"{json.dumps(line)}\n".encode())


def read_readings(run_folder: Path) -> set[str]:
    """The settings in the ledger of a run's corpus. Raises UserError where a line is damaged."""
    path, settings = run_folder.parents[1] / READINGS, set()
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), start=1):
        with as_user_error(
            f"{path}: line {number} is damaged", ValueError, KeyError, TypeError, remedy="remove the line"
        ):
            settings.add(json.loads(line)["setting"])
    return settings


def is_finished(record: dict) -> bool:
    return "sha256" in record  # of the files that its training wrote


def _read(path: Path, keys: dict[str, set[str]]) -> dict:
    """A record, which has at least these keys; {} if there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("format") != FORMAT:
            remedy = "train the run anew, by its model script with --restart"
            raise UserError(f"{path}: was written by an earlier version: {remedy}")
        missing = ({"started", "seed", "command"} - record.keys()) | {
            name for part in keys for name in keys[part] - record[part].keys()
        }
        if missing:
            raise ValueError(f"it has no {', '.join(sorted(missing))}")
        return record
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"  # the name says what a bare key is
        raise UserError(f"{path}: cannot be read ({reason}): train the run anew, with --restart") from None


def _differences(earlier: dict, now: dict) -> list[str]:
    """In what the settings of two runs differ, by their records."""
    then, arguments = earlier["arguments"], now["arguments"]
    flags = sorted((then.keys() | arguments.keys()) - RESUMABLE_FLAGS)
    pairs = [(flag, then.get(flag), arguments.get(flag)) for flag in flags]
    differences = [f"--{flag} {value}, not {wanted}" for flag, value, wanted in pairs if value != wanted]
    data = {"fingerprint": "other text splits", "max_length": "other tokens", "tokenizer": "another tokenizer"}
    differences += [name for key, name in data.items() if earlier["data"][key] != now["data"][key]]
    if earlier["encoder"] != now["encoder"]:
        differences.append(f"the encoder's revision {earlier['encoder']['revision']}")
    return differences


def _warn_of_changes(run_folder: Path, interrupted: dict, now: dict) -> None:
    """Warn of what is not a setting, and can change the last digits of results all the same."""
    parts = {"git": "code", "versions": "versions of Python and packages", "device": "device or number of threads"}
    if changed := [name for part, name in parts.items() if interrupted.get(part) != now[part]]:
        changes = f"goes on with other {', '.join(changed)}"
        logger.warning(f"{run_folder}: {changes}: results may differ in the last digits from a run never stopped")


def start(run_folder: Path, record: dict) -> None:
    """Write the record of the run beside its checkpoints to come. Raises UserError where that cannot be written."""
    folder = checkpoints_folder(run_folder)
    with as_user_error(f"{folder}: cannot be written", OSError, remedy="make room, or give another --output_dir"):
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_json(folder / f"{RECORD}.partial", record)
        (folder / f"{RECORD}.partial").replace(folder / RECORD)


def finished_record(run_folder: Path) -> dict:
    """The record of the finished run in the folder. Raises UserError where there is none."""
    record = _read(run_folder / RECORD, FINISHED_KEYS)
    if not record:
        raise UserError(f"{run_folder}: has no finished run: give the folder that the model script prints")
    return record


def unfinished_record(run_folder: Path) -> dict:
    """The record of the run that was started in the folder, {} if none was. Raises UserError where it is damaged."""
    return _read(checkpoints_folder(run_folder) / RECORD, STARTED_KEYS)


def require_valid(run_folder: Path, record: dict) -> None:
    """Raise UserError where the files of a finished run are not those that were written."""
    if reason := storage.find_corruption(run_folder, record["sha256"]):
        raise UserError(f"{run_folder}: damaged ({reason}): train the run anew, with --restart, or download it again")

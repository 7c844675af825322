"""What is around the training: validation, loading, the dataloader, start-up, intervals, checkpoints."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from commands import in_a_process, timed
from recipes import Task, our_trainer
from tqdm import tqdm
from transformers import TrainerCallback
from turns import our_validation, published_validation, waiting

from artificial_pain.evaluation import baselines, bootstrap
from artificial_pain.evaluation.classification import classification, macro_f1, summands
from artificial_pain.storage import REPOSITORY
from artificial_pain.training import checkpoints, recipe
from artificial_pain.training.trainer import EmotionTrainer

TURNS = 3
SAVES, STEPS_OF_A_SAVE = 7, 10  # checkpoints, and training steps before each
BLOCK = 2**20  # bytes of a write
PUBLISHED_EXAMPLES = 12  # of a turn of the published validation, spread over the split
SCRIPTS = [
    REPOSITORY / task / f"{task}-{part}.py"
    for task in ("classification", "intensity")
    for part in ("dataloader", "model")
]
CLASSIFICATION_DATALOADER, CLASSIFICATION_MODEL = SCRIPTS[:2]
START_UP = Path(__file__).with_name("start_up.py")
# Programs that import what a start needs at least, and their names.
TRAINING_FLOOR = "import torch, datasets; from transformers import Trainer"
DATALOADER_FLOOR = "import pandas, datasets, python_calamine, pooch; from huggingface_hub import snapshot_download; "
DATALOADER_FLOOR += "from sklearn.model_selection import train_test_split; "
DATALOADER_FLOOR += "from transformers import BertTokenizer"
PREDICT_FLOOR = "import torch; from transformers import BertModel, BertTokenizer"
FLOORS = {
    TRAINING_FLOOR: "torch, datasets and the Trainer",
    DATALOADER_FLOOR: "its libraries, without torch",
    PREDICT_FLOOR: "torch, tokenizer and model",
}


def rows(model_name: str, sources: dict[str, str], folder: Path) -> list[dict[str, str]]:
    """What was measured, and what it is compared with, mostly a target. folder: has the splits of both corpora."""
    tasks = [Task(model_name, corpus, sources[corpus], folder) for corpus in ("SAD", "ESConv")]
    measured = [_validation(tasks[0], target=20), _validation(tasks[1], target=3), _loading(tasks[0])]
    sad = ["--model_name", model_name, "--dataset_name", "SAD", "--data_source", sources["SAD"]]
    with tempfile.TemporaryDirectory() as scratch:
        root = ["--output_dir", scratch]
        measured += _dataloader("dataloader, SAD", [*sad, *root], seconds=6)
        measured += _dataloader("dataloader, SAD balanced", [*sad, *root, "--balanced"], seconds=7)
        size = sum(path.stat().st_size for path in Path(scratch).glob("*/*/balanced*/**/*") if path.is_file())
        measured.append(_row("tokenized SAD on disk, balanced", f"{size / 1e6:.2f} MB", "≤ 3 MB"))
    for script in SCRIPTS:
        measured.append(_row(f"{script.name} --help", f"{_median_seconds(script, '--help'):.2f} s", "≤ 0.5 s"))
    measured += _start_up(model_name, sources["SAD"], folder)
    measured.append(_intervals(tasks[0]))
    measured.append(in_a_process(_checkpoint, tasks[0]))
    return measured


def _row(what: str, measured: str, target: str) -> dict[str, str]:
    return {"what": what, "measured": measured, "target or comparison": target}


def _validation(task: Task, target: int) -> dict[str, str]:
    """Passes of ours over the validation split, and parts of the published one's, in turns."""
    examples = len(task.load()[2].tokenized["validation"])
    rates = {"published": [], "ours": []}
    with waiting(our_validation, task) as our, waiting(published_validation, task) as their:
        for turn in tqdm(range(TURNS), desc=f"Validation on {task.corpus}"):
            part = [int(i) for i in np.linspace(turn, examples - 1, PUBLISHED_EXAMPLES)]
            for name, process, evaluated in (("published", their, part), ("ours", our, range(examples))):
                process.send(evaluated)
                rates[name].append(len(evaluated) / process.recv().seconds)
    published, ours = np.array(rates["published"]), np.array(rates["ours"])
    times = ours / published
    measured = f"{published.mean():.1f} and {ours.mean():.0f} examples/s: "
    measured += f"{times.mean():.1f} ({times.min():.1f} to {times.max():.1f}) times"
    return _row(f"validation, {task.corpus}: published and ours", measured, f"≥ {target} times")


def _loading(task: Task) -> dict[str, str]:
    encoder, tokenizer, _ = task.load()
    seconds = []
    for _ in range(TURNS):
        started = time.perf_counter()
        task.load_splits(encoder, tokenizer)
        seconds.append(time.perf_counter() - started)
    return _row("loading the tokenized splits, SAD", f"{statistics.median(seconds):.3f} s", "≤ 0.1 s")


def _dataloader(what: str, flags: Sequence[object], seconds: float) -> list[dict[str, str]]:
    """Its whole process, and the same without a start of Python that imports what it imports."""
    taken = _median_seconds(CLASSIFICATION_DATALOADER, *flags)
    work = taken - _median_seconds("-c", "import artificial_pain.data.sources, artificial_pain.data.statistics")
    return [
        _row(what, f"{taken:.1f} s", f"≤ {seconds} s"),
        _row(f"{what}: without its imports", f"{work:.1f} s", "≤ 2 s"),
    ]


def _start_up(model_name: str, source: str, folder: Path) -> list[dict[str, str]]:
    """CPU seconds until the work begins, above those of a process that only imports the libraries the work needs."""
    sad = ["--model_name", model_name, "--dataset_name", "SAD", "--data_source", source, "--output_dir", folder]
    training = [CLASSIFICATION_MODEL, *sad, "--debug", "--restart"]
    with tempfile.TemporaryDirectory() as scratch:
        dataloader = [CLASSIFICATION_DATALOADER, *sad[:-1], scratch]
        trained = [*training[:-3], scratch, "--epochs", "1", "--batch_size", "64"]
        timed(*dataloader)
        timed(*trained, environment={"WANDB_MODE": "disabled"})
        (run,) = Path(scratch).glob("*/*/loss-classification")
        starts = [
            ("model script, SAD, CPU time to its first step", training, TRAINING_FLOOR, 1.0),
            ("dataloader, SAD, CPU time to its first progress bar", dataloader, DATALOADER_FLOOR, 0.5),
            (
                "predict, one sentence, CPU time",
                [REPOSITORY / "artificial_pain/predict.py", run, "I am late"],
                PREDICT_FLOOR,
                0.7,
            ),
        ]
        rows = []
        for what, words, floor, target in starts:
            seconds = statistics.median(start_up(*words)["seconds"] for _ in range(TURNS))
            least = statistics.median(start_up(floor)["seconds"] for _ in range(TURNS))
            measured = f"{seconds - least:.2f} s ({seconds:.2f} - {least:.2f})"
            rows.append(_row(f"{what}, beyond importing {FLOORS[floor]}", measured, f"≤ {target} s"))
    return rows


def start_up(*words: object) -> dict:
    """What `start_up.py` prints of a script, or of a program in the string `words`, in a process of one thread."""
    program = ["-c", f"{words[0]}; import start_up; start_up.stop()"] if isinstance(words[0], str) else words
    command = [sys.executable, *([] if program[0] == "-c" else [START_UP]), *map(str, program)]
    paths = os.pathsep.join(map(str, (REPOSITORY, START_UP.parent)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _median_seconds(*words: object) -> float:
    return statistics.median(timed(*words).seconds for _ in range(TURNS))


def _intervals(task: Task) -> dict[str, str]:
    """What the evaluation of a run resamples, and its paired test; TF-IDF's predictions stand for the model's too."""
    _, _, splits = task.load()
    names, test = splits.label_names, splits.texts["test"]
    features, labels = baselines.tfidf_features(splits.texts), test["label"].to_numpy()
    words = baselines.fit_classifier(features, splits.texts)
    predicted, probabilities = words.predict(features["test"]), {"": words.predict_proba(features["test"])}
    majority = np.full(len(labels), splits.texts["train"]["label"].mode()[0])

    def work() -> None:
        classification(labels, predicted, names, probabilities, intervals=True)
        for baseline in (majority, predicted):
            classification(labels, baseline, names, intervals=True)
        bootstrap.permutation_test(
            macro_f1, *(summands(labels, each, len(names))[None] for each in (predicted, majority))
        )

    seconds = statistics.median(timeit.repeat(work, number=1, repeat=TURNS))
    what = f"confidence intervals of a SAD run and its baselines, {bootstrap.RESAMPLES:,} resamples, and a paired test"
    return _row(what, f"{seconds:.2f} s", "≤ 2 s")


class Saves(TrainerCallback):
    """Writes checkpoints in the middle of the training, and plain files of as many bytes, in turns."""

    def __init__(self, trainer: EmotionTrainer):
        self.trainer, self.checkpoints, self.files, self.bytes = trainer, [], [], 0

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == SAVES * STEPS_OF_A_SAVE
        if state.global_step % STEPS_OF_A_SAVE == 0:
            os.sync()
            control.should_save = True
            self.began = time.perf_counter()

    def on_save(self, args, state, control, **kwargs):
        self.checkpoints.append(time.perf_counter() - self.began)
        self.trainer.best_checkpoint.finish()
        checkpoint = Path(args.output_dir, f"checkpoint-{state.global_step}")
        self.bytes = sum(path.stat().st_size for path in checkpoint.iterdir())
        checkpoints.remove(checkpoint)  # both write to memory that was just given back: fresh memory may be slow
        path = checkpoint.with_name("bytes")
        os.sync()
        self.files.append(timeit.timeit(lambda: _write(path, self.bytes), number=1))
        path.unlink()


def _write(path: Path, size: int) -> None:
    """Write so many bytes to the disk."""
    block = bytes(BLOCK)
    with path.open("wb") as file:
        for _ in range(size // BLOCK):
            file.write(block)
        os.fsync(file.fileno())


def _checkpoint(task: Task) -> dict[str, str]:
    """How long the training waits for a checkpoint, beside a write of its bytes."""
    with our_trainer(task) as trainer:
        saves = Saves(trainer)
        trainer.add_callback(saves)
        with recipe.only_used_rows(trainer):
            trainer.train()
    waited, written = (statistics.median(seconds) for seconds in (saves.checkpoints, saves.files))
    what = f"a checkpoint of {saves.bytes / 1e6:.0f} MB: the training waits"
    return _row(what, f"{waited:.2f} s", f"a plain write of its bytes: {written:.2f} s")

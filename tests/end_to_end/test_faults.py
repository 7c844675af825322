"""What goes wrong on the machine itself: disks that fill up, memory, numbers that overflow, two at work at once."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import trainers
from conftest import (
    DATALOADER,
    ESCONV_FOLDER,
    INTENSITY_MODEL,
    MODEL,
    REPOSITORY,
    SAD_FOLDER,
    SAD_SAMPLE,
    SAMPLE,
    folder_of,
)
from transformers import TrainerCallback
from warm import Script, sealed, wait_for

from artificial_pain import cli, encoders, storage
from artificial_pain.data import sources, tokenization, vocabulary
from artificial_pain.data.sources import read_corpus
from artificial_pain.errors import Terminated, UserError
from artificial_pain.training import recipe
from artificial_pain.training.callbacks import StopIfNotFinite
from artificial_pain.training.trainer import EmotionTrainer

QUIET = {"WANDB_MODE": "disabled"}
FAST = ["--epochs", 3, "--batch_size", 16, "--learning_rate", "1e-3"]


@pytest.fixture
def words(encoder) -> list:
    return ["--model_name", encoder, *SAD_SAMPLE]


@pytest.fixture
def root(sample_splits, tmp_path) -> Path:
    """A root of one's own with SAD's splits."""
    here = tmp_path / "root" / SAD_FOLDER
    shutil.copytree(sample_splits / SAD_FOLDER, here, ignore=shutil.ignore_patterns("*loss-*"))
    return tmp_path / "root"


@pytest.fixture
def disk(root, tmp_path) -> Path:
    """A disk of 6 MB, on which the root is."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    shutil.copytree(root, folder / "root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, left: int) -> Path:
    """Fill the disk but for `left` bytes."""
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - left))
    return filler


DISK = (
    "a disk that fills up in the training",
    "one line says so. The last complete checkpoint is intact, and the same command resumes from it",
)


@pytest.mark.fault(*DISK)
def test_a_disk_that_fills_up_leaves_the_last_checkpoint(words, encoder, disk, tmp_path):
    """A tmpfs of 6 MB, filled while the run trains."""
    command = [*words, *FAST, "--output_dir", disk / "root"]
    checkpoints = disk / "root" / SAD_FOLDER / folder_of(encoder) / "loss-classification" / "checkpoints"
    script = Script(MODEL, command, tmp_path, **QUIET)
    wait_for(lambda: sealed(checkpoints), script)
    os.kill(script.pid, signal.SIGSTOP)
    filler = fill(disk, left=100_000)
    os.kill(script.pid, signal.SIGCONT)
    assert script.wait() == 1
    assert re.search(r"error: .*checkpoint-\d+: cannot be written \(.*\), with 0 MB free: make room", script.last())
    whole = sealed(checkpoints)
    assert whole and {path.name for path in checkpoints.iterdir()} == {"run.json", *(path.name for path in whole)}
    filler.unlink()
    script = Script(MODEL, command, tmp_path, **QUIET)
    assert script.wait() == 0 and f"going on from {whole[-1]}" in script.told()


@pytest.mark.fault("too little disk space at the start", "one line says so before anything is trained")
def test_the_needed_space_is_checked_before_the_training(words, disk, tmp_path):
    """A tmpfs with 500 KB left, for checkpoints of more."""
    fill(disk, left=500_000)
    script = Script(MODEL, [*words, *FAST, "--output_dir", disk / "root"], tmp_path, **QUIET)
    assert script.wait() == 1 and "epoch " not in script.told()
    assert re.search(r"the checkpoints need \d+ MB of disk, and \d+ MB are free: make room", script.last())


@pytest.mark.fault(*DISK)
def test_a_disk_that_is_full_from_the_start_is_told(words, encoder, disk, tmp_path):
    """A tmpfs without room for anything but the locks, which are there."""
    folder = disk / "root" / SAD_FOLDER / folder_of(encoder)
    for lock in (disk / "root" / f".{SAD_FOLDER}.lock", folder / ".loss-classification.lock"):
        lock.write_text("an earlier process")
    fill(disk, left=0)
    script = Script(MODEL, [*words, *FAST, "--output_dir", disk / "root"], tmp_path, **QUIET)
    assert script.wait() == 1 and "Traceback" not in script.told()
    assert script.last().startswith(
        f"error: {folder}/loss-classification/checkpoints: cannot be written (No space left"
    )


@pytest.mark.fault(*DISK)
def test_a_run_that_cannot_be_written_leaves_the_one_before(encoder, disk):
    """A tmpfs of 6 MB, full when the finished run's weights are to be written."""
    model = trainers.make_model(encoders.Encoder("tiny", encoder, None), ["a", "b"])
    (disk / "run").mkdir()
    (disk / "run" / "model.safetensors").write_text("before")
    fill(disk, left=20_000)
    with (
        pytest.raises(UserError, match=r"cannot be written .*: what was there before is kept"),
        storage.atomic_update(disk / "run") as folder,
    ):
        model.save_pretrained(folder)
    assert (disk / "run" / "model.safetensors").read_text() == "before"
    assert os.listdir(disk / "run") == ["model.safetensors"]


NOT_FINITE = (
    "a loss or gradient that is NaN or infinite",
    "the run stops at that step and says what to try. The checkpoint is kept",
)


@pytest.mark.fault(*NOT_FINITE)
def test_a_training_that_diverges_stops_at_the_step(words, root, tmp_path):
    """A learning rate of 1e30."""
    rates = ["--learning_rate", "1e30", "--head_learning_rate", "1e30"]
    script = Script(MODEL, [*words, *rates, "--output_dir", root], tmp_path, **QUIET)
    assert script.wait() == 1 and "error: step 2: the loss is not finite: add --precision fp32" in script.last()
    assert "--restart with a lower --learning_rate" in script.last()


@pytest.fixture
def trainer(encoder, root, tmp_path) -> EmotionTrainer:
    """A Trainer as the script makes it, of 2 epochs of 18 steps."""
    source = encoders.Encoder(str(encoder), encoder, None)
    tokenizer = encoders.load_tokenizer(source)
    layout = storage.Layout(root, "SAD", SAD_FOLDER, source.folder_name, balanced=False)
    splits = tokenization.load_splits(layout, source, tokenizer, lambda settings: "")
    return trainers.make_trainer(source, tokenizer, splits, tmp_path / "checkpoints", epochs=2, batch_size=16)


@pytest.mark.fault(*NOT_FINITE)
def test_a_gradient_that_is_not_finite_does_not_reach_the_weights(trainer):
    """One weight's gradient made infinite in the second epoch, while the loss is finite."""
    weight, steps = trainer.model.emotion_head[0].weight, []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        steps.append(weight.detach().clone())
        return gradient * float("inf") if len(steps) == 20 else gradient

    weight.register_hook(spoil)
    with pytest.raises(UserError, match="step 20: the gradient is not finite"):
        recipe.train(trainer)
    assert torch.equal(weight, steps[-1]) and len(steps) == 20
    assert [path.name for path in sealed(Path(trainer.args.output_dir))] == ["checkpoint-18"]


def test_step_with_infinite_gradient_is_left_to_the_loss_scaler_of_fp16(trainer):
    """Until its scale has fallen so low that no scale would help."""
    for parameter in trainer.model.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    for scale, stops in ((65536.0, False), (0.5, True)):
        optimizer = SimpleNamespace(scaler=torch.amp.GradScaler("cpu", init_scale=scale))
        with pytest.raises(UserError, match="the gradient is not finite") if stops else nullcontext():
            StopIfNotFinite().on_pre_optimizer_step(None, trainer.state, None, trainer.model, optimizer)


def test_gradient_is_not_finite_where_a_single_element_is_not(trainer):
    """Whichever parameter it is in; gradients of 0 are finite"""
    optimizer = SimpleNamespace(scaler=None)
    parameters = list(trainer.model.parameters())
    for infinite in (None, *parameters):
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        if infinite is not None:
            infinite.grad.view(-1)[0] = float("inf")
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        with nullcontext() if infinite is None else pytest.raises(UserError, match="step 1: the gradient"):
            StopIfNotFinite().on_pre_optimizer_step(None, trainer.state, None, trainer.model, optimizer)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    StopIfNotFinite().on_pre_optimizer_step(None, trainer.state, None, trainer.model, optimizer)


@pytest.mark.fault("out of memory", "one line that names batch size, length and precision")
def test_a_lack_of_memory_is_told_with_what_it_depends_on(encoder, dialogue_splits, tmp_path):
    """The memory of the process limited to 60 MB more than it has, when the training begins."""
    here = tmp_path / "root" / ESCONV_FOLDER
    shutil.copytree(dialogue_splits / ESCONV_FOLDER, here, ignore=shutil.ignore_patterns("*accuracy-*"))
    words = ["--model_name", encoder, *SAMPLE, "--batch_size", 512, "--epochs", 50, "--output_dir", tmp_path / "root"]
    script = Script(INTENSITY_MODEL, words, tmp_path, **QUIET)
    wait_for(lambda: any(here.glob("*/accuracy-*/checkpoints")), script)
    used = int(re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{script.pid}/status").read_text())[1]) * 1024
    resource.prlimit(script.pid, resource.RLIMIT_AS, (used + 60_000_000, used + 60_000_000))
    assert script.wait() == 1
    told = f"--batch_size 512 (evaluation: up to {recipe.EVALUATION_BATCH_SIZE}), texts of up to 512 tokens"
    assert f"error: out of memory with {told}" in script.last()
    assert "Traceback" not in script.told()


def test_a_lack_of_memory_outside_of_the_training_is_told(capsys):
    """More asked for than there can be, where a dataloader works."""
    with pytest.raises(SystemExit) as ended:
        cli.run(lambda args: bytearray(2**60), lambda: None)
    assert ended.value.code == 1 and capsys.readouterr().err.startswith("error: out of memory (none is left)")


def test_the_traceback_of_a_bug_has_no_secrets(capsys, monkeypatch):
    """What the scripts do not expect ends them with its traceback, less what is secret in the environment."""
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    with pytest.raises(SystemExit) as ended:
        cli.run(lambda args: {}["hf_planted"], lambda: None)
    told = capsys.readouterr().err
    assert ended.value.code == 1 and told.startswith("Traceback") and "KeyError: '***'" in told


@pytest.mark.fault(
    "SIGTERM, Ctrl-C", "a checkpoint is saved, and one line has the command that resumes. Exit code 143 or 130"
)
def test_a_signal_after_the_last_checkpoint_is_not_lost(trainer):
    """Sent when nothing is left to do but to load the best checkpoint."""

    class Signal(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step == state.max_steps:
                os.kill(os.getpid(), signal.SIGTERM)

    trainer.add_callback(Signal())
    with pytest.raises(Terminated, match="stopped after step 36 of 36, with a checkpoint"):
        recipe.train(trainer)


AT_ONCE = ("two processes in one folder", "files are not mixed: the second waits, or ends and names the first")


@pytest.mark.fault(*AT_ONCE)
@pytest.mark.parametrize("path", [DATALOADER, MODEL], ids=["dataloader", "model"])
def test_the_second_on_the_splits_waits_and_says_for_whom(path, words, root, tmp_path):
    """A dataloader, or a model, while another process holds the folder of the splits."""
    flags = [] if path == DATALOADER else FAST
    corpus = root / SAD_FOLDER
    with storage.exclusive_lock(corpus, wait=True):
        script = Script(path, [*words, *flags, "--output_dir", root], tmp_path, **QUIET)
        wait_for(lambda: "waiting for it" in script.told(), script)
        assert f"{corpus}: process {os.getpid()} on " in script.told() and "is at work there" in script.told()
    assert script.wait() == 0


@pytest.mark.fault(*AT_ONCE)
def test_the_second_run_of_a_folder_ends_with_who_is_at_work(words, root, tmp_path):
    """The same command while the first one trains."""
    command = [*words, "--epochs", 50, "--output_dir", root]
    first = Script(MODEL, command, tmp_path / "first", **QUIET)
    wait_for(lambda: "epoch    1" in first.told(), first)
    second = Script(MODEL, command, tmp_path / "second", **QUIET)
    assert second.wait() == 1
    assert f"process {first.pid} on " in second.last() and "classification-model.py" in second.last()
    first.process.kill()
    first.wait()
    third = Script(MODEL, [*command, "--restart"], tmp_path / "third", **QUIET)
    wait_for(lambda: "epoch    1" in third.told(), third)
    third.process.kill()
    third.wait()


@pytest.mark.fault(*AT_ONCE)
def test_dataloaders_and_readers_at_once_never_mix_files(encoder, tmp_path):
    """Four dataloaders of a file that has other sentences for each, while the splits are loaded over and over."""
    sentences = read_corpus("SAD", sources.locate("SAD", "sample"), "original_label")
    sentences = sentences.rename(columns={"label_name": "original_label"})
    root, folder = tmp_path / "root", tmp_path / "root" / "mine"

    def start(number: int) -> Script:
        """Without so many sentences. By its name, the file is the same for all."""
        here = tmp_path / str(number)
        here.mkdir()
        sentences[number:].to_csv(here / "mine.csv", index=False)
        words = ["--model_name", encoder, "--dataset_name", "SAD", "--data_source", "/proc/self/cwd/mine.csv"]
        return Script(DATALOADER, [*words, "--output_dir", root], here)

    assert start(0).wait() == 0
    source = encoders.Encoder(str(encoder), encoder, None)
    tokenizer = encoders.load_tokenizer(source)
    layout = storage.Layout(root, "SAD", folder.name, source.folder_name, balanced=False)
    scripts = [start(number) for number in (1, 2, 3, 4)]
    while any(script.process.is_alive() for script in scripts):
        tokenization.load_splits(layout, source, tokenizer, lambda settings: "")
        statistics = json.loads((folder / "dataset_statistics.json").read_text())
        assert statistics.keys() > set(vocabulary.SPLITS)
    assert [script.wait() for script in scripts] == [0, 0, 0, 0]
    splits = tokenization.load_splits(layout, source, tokenizer, lambda settings: "")
    statistics = json.loads((folder / "dataset_statistics.json").read_text())
    examples = [sum(map(len, splits.texts.values()))]
    examples.append(sum(statistics[name]["examples"] for name in vocabulary.SPLITS))
    assert examples[0] == examples[1] in {len(sentences) - number for number in (1, 2, 3, 4)}
    assert statistics["fingerprint"] == splits.fingerprint


def test_signal_after_the_work_is_no_traceback(command, tmp_path):
    """SIGTERM while Python ends"""
    program = "import atexit, os, signal, sys; sys.path.insert(0, sys.argv[1])\nfrom artificial_pain import cli\n"
    program += "atexit.register(os.kill, os.getpid(), signal.SIGTERM)\ncli.run(lambda args: None, lambda: None)\n"
    (tmp_path / "program.py").write_text(program)
    done = command(tmp_path / "program.py", REPOSITORY, cold=True)
    assert done.err == "" and done.code == -signal.SIGTERM

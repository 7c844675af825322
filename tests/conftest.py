"""What the tests share: the scripts as a user calls them, tiny encoders, a hub, and the real corpora where they are.

With --faults: the tests of faults alone, each in full, and at the end their table.
"""

import json
import os
import runpy
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest
import warm_python

from artificial_pain.encoders import Encoder

REPOSITORY = Path(__file__).resolve().parent.parent
DATALOADER = REPOSITORY / "classification" / "classification-dataloader.py"
MODEL = REPOSITORY / "classification" / "classification-model.py"
INTENSITY_DATALOADER = REPOSITORY / "intensity" / "intensity-dataloader.py"
INTENSITY_MODEL = REPOSITORY / "intensity" / "intensity-model.py"
STUDY, PREDICT, REPORT = ("artificial_pain.study", "artificial_pain.predict", "artificial_pain.report")
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
GATED = ["mental/mental-roberta-base", "mental/mental-bert-base-uncased"]
GOOD_TOKEN, POOR_TOKEN = "hf_good", "hf_poor"
# The flags of the samples' examples, which the dataloader and the model script share, and the names of their folders.
SAMPLE = ["--data_source", "sample"]
SAD_SAMPLE = ["--dataset_name", "SAD", *SAMPLE]
BALANCED = ["--balanced", "--samples_per_label", "40"]
SAD_FOLDER, ESCONV_FOLDER = "SAD-sample", "ESConv-sample"
BALANCED_SAD_FOLDER, BALANCED_ESCONV_FOLDER = (f"{name}-samples_per_label40" for name in (SAD_FOLDER, ESCONV_FOLDER))

QUICK_WAITS = 0.1  # of the waits between two tries of a download; with --faults they are those of users

FAULTS_TABLE = {"fault": 26, "what was done": 40, "promised": 52, "held": 12}  # columns, and their widths


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="the tests of faults alone, in full, and a table of them")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: only with --faults, where all cases of a fault are tried")
    config.addinivalue_line("markers", "fault(fault, promised): a row of the table; the docstring is what was done")
    if not hasattr(config, "workerinput"):  # one server for all workers
        server = warm_python.serve()
        server.__enter__()
        config.add_cleanup(lambda: server.__exit__(None, None, None))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("faults"):
        items[:] = [item for item in items if item.get_closest_marker("fault")]
    else:
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        # The groups first: the short tests then fill the gap until the last worker has ended.
        items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    for mark in item.iter_markers("fault"):
        report.fault = (mark.args[0], " ".join(item.function.__doc__.split()), mark.args[1])
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a row a fault: held if all of its tests passed."""
    if not config.getoption("faults"):
        return
    outcomes: dict[tuple, set[str]] = {}
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            if outcome and hasattr(report, "fault") and (outcome != "passed" or report.when == "call"):
                outcomes.setdefault(tuple(report.fault), set()).add(outcome)
    widths = FAULTS_TABLE.values()
    terminalreporter.section("faults")
    rows = [tuple(FAULTS_TABLE)]
    rows += [(*fault, "held" if found == {"passed"} else ", ".join(sorted(found))) for fault, found in outcomes.items()]
    for row in rows:
        cells = map(textwrap.wrap, row, widths)
        for line in zip_longest(*cells, fillvalue=""):
            terminalreporter.line("  ".join(f"{part:{width}s}" for part, width in zip(line, widths, strict=True)))
        terminalreporter.line("-" * sum(widths))


@dataclass
class Outcome:
    """What a script did: exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that the user is told; fails where there is a traceback or more than one."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if "error: " in line]
        assert len(lines) == 1, self.err
        return lines[0]


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture(scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment without the settings of whoever runs the tests, and with a home of its own."""
    home = tmp_path_factory.mktemp("home")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON", "WANDB_", "XDG_"))
    }
    return {
        **kept,
        "HOME": str(home),
        "NETRC": str(home / "netrc"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture(scope="session")
def command(clean_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Outcome]:
    """Run a script in a process of its own, as a user would, from some other folder.

    The process is warm (see `warm_python`), or `cold` as a user's.
    """
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(
        script: Path | str, *words: object, timeout: float = 240, cold: bool = False, **environment: str
    ) -> Outcome:
        python = sys.executable if cold else os.environ["WARM_PYTHON"]
        done = subprocess.run(
            [python, *(script.split() if isinstance(script, str) else [str(script)]), *map(str, words)],
            env={**clean_environment, **environment},
            cwd=elsewhere,
            capture_output=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def folder_of(encoder: Path) -> str:
    """The name of a local encoder's folder in that of a corpus."""
    return Encoder(str(encoder), encoder, None).folder_name


def module(command: Callable[..., Outcome], name: str, *words: object, **options: object) -> Outcome:
    """Run a module of the package as a program, as from the top of the checkout."""
    return command(f"-m {name}", *words, PYTHONPATH=str(REPOSITORY), WANDB_MODE="disabled", **options)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a script from its first line to its last in this process: for the many cases that end early."""

    def run(path: Path, *words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def share_of_waits(pytestconfig: pytest.Config) -> float:
    """What part of a wait between two tries is waited."""
    return 1 if pytestconfig.getoption("faults") else QUICK_WAITS


@pytest.fixture
def quick_waits(share_of_waits: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits of this process take that part of their time."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds * share_of_waits))


@pytest.fixture
def cuda_build_without_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's CUDA build, which pip installs on Linux, on a machine without a GPU: it names CUDA all the same."""
    import torch

    monkeypatch.setattr(
        torch.accelerator,
        "current_accelerator",
        lambda check_available=False: None if check_available else torch.device("cuda"),
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny RoBERTa, BERT and ModernBERT with random weights, by their published names."""
    from tiny_encoders import PUBLISHED, make_tiny_encoders  # here, as torch: xdist's first process needs no model

    return make_tiny_encoders(tmp_path_factory.mktemp("encoders"), PUBLISHED)


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny encoders of the other families, by the names of the repositories whose files they have."""
    from tiny_encoders import OTHERS, make_tiny_encoders

    return make_tiny_encoders(tmp_path_factory.mktemp("families"), OTHERS)


@pytest.fixture(scope="session")
def encoder(tiny: dict[str, Path]) -> Path:
    """The tiny BERT, with which the scripts are tested."""
    return tiny["mental/mental-bert-base-uncased"]


@pytest.fixture(scope="session")
def calm(encoder, tmp_path_factory) -> Path:
    """The tiny BERT without dropout, whose losses do not depend on which process draws its masks."""
    folder = shutil.copytree(encoder, tmp_path_factory.mktemp("calm") / encoder.name)
    config = json.loads((folder / "config.json").read_text())
    config.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def hub(tiny: dict[str, Path]) -> Iterator[object]:
    """The tiny encoders on a `Hub` of our own, the first two of them gated as the real ones are."""
    from hub import Hub

    with Hub(tiny, gated=GATED, tokens={GOOD_TOKEN: GATED, POOR_TOKEN: []}) as hub:
        yield hub


@pytest.fixture
def splits():
    """Tokenized splits of many lengths, with intensities of which every third is missing."""
    from models import make_splits

    return make_splits()


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder with the real SAD_v1.zip and ESConv.json, which are never part of this repository."""
    folder = os.environ.get("ARTIFICIAL_PAIN_CORPORA")
    if not folder:
        pytest.skip("the real corpora are not here: set ARTIFICIAL_PAIN_CORPORA to a folder that has them")
    return Path(folder)


@pytest.fixture(scope="session")
def run_dataloader(
    encoder: Path, command: Callable[..., Outcome], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """A root with splits by a dataloader, balanced and not, tokenized for the tiny BERT."""

    def run(dataloader: Path, *words: str) -> Path:
        root = tmp_path_factory.mktemp("splits")
        for balance in ([], BALANCED):
            done = command(dataloader, "--model_name", encoder, *words, "--output_dir", root, *balance)
            assert done.code == 0, done.err
        return root

    return run


@pytest.fixture(scope="session")
def sample_splits(run_dataloader: Callable[..., Path]) -> Path:
    """A root with the splits of SAD's sample, by the classification task."""
    return run_dataloader(DATALOADER, *SAD_SAMPLE)


@pytest.fixture(scope="session")
def dialogue_splits(run_dataloader: Callable[..., Path]) -> Path:
    """A root with the splits of ESConv's sample, by the intensity task."""
    return run_dataloader(INTENSITY_DATALOADER, *SAMPLE)


def copy_splits(source: Path, root: Path) -> Path:
    """A copy of the splits in a root, without runs that other tests have made there."""
    return shutil.copytree(
        source, root, ignore=shutil.ignore_patterns("*loss-*", "*accuracy-*", "*macro_f1-*", "wandb")
    )


def copy_calm_splits(source: Path, root: Path, encoder: Path, calm: Path) -> Path:
    """As `copy_splits`, tokenized for the tiny BERT without dropout: its tokenizer is the same."""
    copy_splits(source, root)
    for folder in [*root.glob(f"*/{folder_of(encoder)}")]:
        folder.rename(folder.with_name(folder_of(calm)))
    return root


@pytest.fixture(scope="session")
def tracked(dialogue_splits: Path, encoder: Path, command: Callable, tmp_path_factory) -> tuple[Path, Outcome]:
    """The folder of a run of four heads that W&B has logged without a key, with own tags and group; what it said."""
    folder = tmp_path_factory.mktemp("tracked")
    root = copy_splits(dialogue_splits, folder / "root")
    words = ["--model_name", encoder, *SAMPLE, "--output_dir", root]
    words += ["--epochs", "3", "--batch_size", "16", "--precision", "fp32"]
    rates = ["--learning_rate", "1e-3", "--head_learning_rate", "3e-3", "--warmup_steps", "4"]
    environment = {"WANDB_DIR": str(folder), "WANDB_PROJECT": "mine", "WANDB_RUN_GROUP": "mine"}
    done = command(INTENSITY_MODEL, *words, *rates, **environment, WANDB_TAGS="a tag,another")
    assert done.code == 0, done.err
    return root / ESCONV_FOLDER / folder_of(encoder) / "accuracy-4-heads-intensity-change", done


@dataclass
class Studied:
    """A study that was run: where its runs are, and what it said."""

    root: Path
    done: Outcome


@pytest.fixture(scope="session")
def study_words(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> list:
    """The flags of a study of ESConv's sample: one head and four, two seeds."""
    words = ["--model_name", encoder, "--dataset_name", "ESConv", "--balance", "unbalanced"]
    words += ["--output_dir", tmp_path_factory.mktemp("study") / "tiny", *SAMPLE]
    flags = "--epochs 2 --batch_size 16 --learning_rate 1e-3 --head_learning_rate 1e-3 --warmup_steps 4"
    return [*words, "--model_flags", f"{flags} --precision fp32", "--seeds", "42", "43"]


@pytest.fixture(scope="session")
def studied(study_words: list, command: Callable[..., Outcome]) -> Studied:
    """That study's runs, which no test changes."""
    done = module(command, STUDY, *study_words, timeout=600)
    assert done.code == 0, done.err
    return Studied(study_words[study_words.index("--output_dir") + 1], done)

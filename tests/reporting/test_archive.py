"""Runs in one file: a report that is drawn from it is that of the runs' folders, and a plan says what is missing."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import ESCONV_FOLDER, REPOSITORY, module
from pyarrow import parquet

from artificial_pain import storage
from artificial_pain.reporting import archive
from artificial_pain.reporting.run_files import Run

pytestmark = pytest.mark.xdist_group("study")
REPORT = REPOSITORY / "artificial_pain" / "report.py"


@pytest.fixture(scope="module")
def written(studied, command, tmp_path_factory) -> Path:
    """The study's runs in a file."""
    folder = tmp_path_factory.mktemp("archive")
    words = [studied.root, "--output", folder / "page.md", "--archive", folder / "runs.parquet"]
    done = module(command, "artificial_pain.report", *words)
    assert done.code == 0, done.err
    return folder / "runs.parquet"


@pytest.fixture
def file(written, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(written, tmp_path))


def page(script, tmp_path: Path, *words: object) -> str:
    done = script(REPORT, *words, "--output", tmp_path / "page.md")
    assert done.code == 0, done.err
    return (tmp_path / "page.md").read_text()


def assert_same_but_for_rounding(text: str, other: str, tolerance: float) -> None:
    number = re.compile(r"-?\d+\.\d{3}")
    assert number.sub("x", text) == number.sub("x", other)
    ours, theirs = (list(map(float, number.findall(one))) for one in (text, other))
    assert ours == pytest.approx(theirs, abs=tolerance) and len(ours) > 200


def test_report_of_the_file_is_that_of_the_runs(file, studied, script, tmp_path):
    """With its figures, and its numbers but for rounding: the file has single precision"""
    of_folders = page(script, tmp_path, studied.root)
    figures = [path.name for path in (tmp_path / "page").iterdir()]
    shutil.rmtree(tmp_path / "page")
    of_file = page(script, tmp_path, file)
    # The commands name the encoder's folder, of which the file has the last part.
    assert_same_but_for_rounding(*(text.split("## What is missing")[0] for text in (of_file, of_folders)), 0.003)
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == sorted(figures) and len(figures) == 6


def test_runs_of_a_file_and_of_a_folder_are_compared(studied, script, tmp_path):
    """On one page, in one section: they are the same examples"""
    root = shutil.copytree(studied.root, tmp_path / "some", ignore=shutil.ignore_patterns("*heads*"))
    page(script, tmp_path, root, "--archive", tmp_path / "some.parquet")
    shutil.rmtree(root)
    other = shutil.copytree(studied.root, tmp_path / "others", ignore=shutil.ignore_patterns("loss-*"))
    text = page(script, tmp_path, other, tmp_path / "some.parquet")
    assert text.count(f"\n## {ESCONV_FOLDER}\n") == 1
    tests = text.split("### Paired tests")[1].split("###")[0]
    assert tests.count("| macro-F1 |") == 5, "one of the two, and of each with the two baselines"


def test_file_has_what_was_predicted_and_no_texts(file, studied):
    """Of each example of validation and test its row in the corpus, labels, probabilities and intensities"""
    folders = sorted(path.parent for path in studied.root.rglob("run.json"))
    rows = parquet.read_table(file).to_pylist()
    assert [Path(row["run"]) for row in rows] == folders
    for row, run in zip(rows, archive.read(file), strict=True):
        for split, frame in (("validation", run.validation), ("test", run.predictions)):
            table = pd.read_csv(run.folder / f"predictions_{split}.csv", index_col=0)
            calibrated = [name for name in table if name.startswith("calibrated_")]
            assert set(frame) == set(table) - {"text"} and not set(calibrated) & set(row[split][0])
            assert [example["row"] for example in row[split]] == list(table.index) == list(frame.index)
            assert frame["label_name"].tolist() == table["label_name"].tolist()
            numbers = table[frame.columns].select_dtypes("number")
            assert frame[numbers.columns].to_numpy() == pytest.approx(numbers.to_numpy(), rel=1e-5, nan_ok=True)
            assert not [text for text in table["text"] if text[:40] in str(row)]


def test_runs_are_added_and_a_run_of_before_is_replaced(file, studied, script, tmp_path):
    """Also where the page shows a part of the runs alone; a run is the same by its folder"""
    root = shutil.copytree(studied.root, tmp_path / "more", ignore=shutil.ignore_patterns("*-seed43", "*heads*"))
    page(script, tmp_path, file, root, "--archive", file)
    assert len(archive.read(file)) == 5
    (results,) = root.rglob("evaluation_results.json")
    changed = json.loads(results.read_text())
    changed["test"]["accuracy"] = 0.125
    results.write_text(json.dumps(changed))
    page(script, tmp_path, file, root, "--dataset_name", "ESConv", "--data_source", "sample", "--archive", file)
    runs = {run.folder: run.results["test"]["accuracy"] for run in archive.read(file)}
    assert len(runs) == 5 and runs[results.parent] == 0.125
    assert not file.with_name(f"{file.name}.partial").exists()


def test_an_archive_that_cannot_be_written_leaves_no_part(file, tmp_path):
    taken = tmp_path / "taken.parquet"
    taken.mkdir()
    with pytest.raises(IsADirectoryError):
        archive.write(taken, archive.read(file))
    assert not list(tmp_path.glob("*.partial"))


def test_file_has_no_path_of_the_checkout_and_nothing_of_wandb(studied, monkeypatch, tmp_path):
    """Of another path the last part is left; the run is read back where the checkout is"""
    source = next(path.parent for path in studied.root.rglob("loss-classification/run.json"))
    run = Run.read(source)
    checkout = Path("/home/jos\u00e9/pain")
    monkeypatch.setattr(storage, "REPOSITORY", checkout)
    record = {
        **run.record,
        "command": f"python {checkout}/a.py --data_source /mnt{checkout}/b.csv",
        "wandb": {"url": "x"},
    }
    archive.write(tmp_path / "runs.parquet", [replace(run, folder=checkout / "runs" / "a" / "b" / "c", record=record)])
    (row,) = parquet.read_table(tmp_path / "runs.parquet").to_pylist()
    assert row["run"] == "runs/a/b/c"
    stored = json.loads(row["record"])
    assert stored["command"] == "python a.py --data_source b.csv" and "wandb" not in stored
    assert stored["encoder"] == run.record["encoder"] | {"name": Path(run.record["encoder"]["name"]).name}
    monkeypatch.setattr(storage, "REPOSITORY", Path("/elsewhere"))
    assert archive.read(tmp_path / "runs.parquet")[0].folder == Path("/elsewhere/runs/a/b/c")


def test_plan_says_which_runs_are_missing_with_their_commands(file, studied, script, tmp_path):
    """The commands of the page, one with a seed more, and one of other flags, of which there is no run"""
    text = page(script, tmp_path, file)
    commands = re.findall(r"^python -m artificial_pain\.study .*tiny.*$", text.split("## Commands")[1], re.MULTILINE)
    four, one = sorted(commands, key=lambda command: "classification" in command)
    (root,) = re.findall(r"--output_dir (\S+)", one)
    lines = [
        "# comment",
        "",
        four,
        one.replace("--seeds 42 43", "--seeds 42 43 44"),
        one.replace("--epochs 2", "--epochs 9"),
    ]
    (tmp_path / "plan.txt").write_text("\n".join(lines))
    _, missing = page(script, tmp_path, file, "--plan", tmp_path / "plan.txt").split("## What is missing\n")
    assert [line for line in missing.split("## Commands")[0].splitlines() if line] == [
        f"- classification, unbalanced, {root}: seeds 44:",
        f"  `{one.replace('--seeds 42 43', '--seeds 44')}`",
        f"- classification, unbalanced, {root}: seeds 42, 43:",
        f"  `{one.replace('--epochs 2', '--epochs 9')}`",
    ]
    (tmp_path / "plan.txt").write_text(f"{four}\n{one}\n")
    assert "\n\nNothing.\n" in page(script, tmp_path, file, "--plan", tmp_path / "plan.txt")


@pytest.mark.parametrize("damage", ["no file of ours", "no Parquet", "a column less"])
def test_file_that_is_none_is_refused(damage, file, script, tmp_path):
    if damage == "no Parquet":
        file.write_bytes(b"PAR1")
    elif damage == "a column less":
        parquet.write_table(parquet.read_table(file).drop_columns("curves"), file)
    else:
        pd.DataFrame({"text": ["a"]}).to_parquet(file)
    done = script(REPORT, file, "--output", tmp_path / "page.md")
    assert done.code == 1 and f"{file}: is no archive of runs" in done.error


def test_files_that_cannot_be_read_or_written_are_told(file, script, tmp_path):
    words = [file, "--output", tmp_path / "page.md"]
    done = script(REPORT, *words, "--plan", tmp_path / "none.txt")
    assert done.code == 1 and "none.txt: cannot be read" in done.error
    for line in ("python -m artificial_pain.study --task intensity", "make results", "python 'open"):
        (tmp_path / "plan.txt").write_text(line)
        done = script(REPORT, *words, "--plan", tmp_path / "plan.txt")
        assert done.code == 1 and f"plan.txt: {line}: " in done.error
    (tmp_path / "run.json").write_text("{}")
    done = script(REPORT, *words, "--archive", tmp_path / "run.json")
    assert done.code == 2 and "expected a name that ends in .parquet" in done.error
    done = script(REPORT, *words, "--archive", tmp_path / "none" / "runs.parquet")
    assert done.code == 1 and "runs.parquet: cannot be written" in done.error


def test_records_of_this_repository_have_no_texts_and_no_path_of_a_machine():
    """And are small: 5 MB for all corpora, each with its licence beside it"""
    files = sorted((REPOSITORY / "docs" / "records").glob("*.parquet"))
    assert files and sum(path.stat().st_size for path in files) <= 5e6
    for path in files:
        assert path.with_name(f"{path.stem}-licence.md").exists()
        for row in parquet.read_table(path).to_pylist():
            assert not re.search(r"(?<![\w/.:-])/\w", row["record"] + row["run"]), row["run"]
            assert "text" not in row["test"][0] and "text" not in row["validation"][0]


@pytest.mark.parametrize(
    ("section", "flags"),
    [("ESConv", ["--dataset_name", "ESConv"]), ("SAD-imhi", ["--dataset_name", "SAD", "--split", "imhi"])],
)
def test_report_of_this_repository_is_drawn_from_its_records(section, flags, script, tmp_path, monkeypatch):
    """By the command of `make results`, but for the rounding of another processor; of the page these sections"""
    (line,) = re.findall(r"^results:.*\n\t\$\(VENV\)/python -m \S+ (.*)$", (REPOSITORY / "Makefile").read_text(), re.M)
    *words, output = line.split()
    monkeypatch.chdir(REPOSITORY)
    drawn = page(script, tmp_path, *words[:-1], *flags).replace("](page/", "](report/")
    pages = drawn, Path(output).read_text()
    parts = [re.search(rf"^## {section}\n.*?(?=^## )", text, re.MULTILINE | re.DOTALL)[0] for text in pages]
    assert_same_but_for_rounding(*parts, 0.0011)
    assert all("## What is missing\n\nNothing.\n" in text for text in pages)

"""The report of a study: its numbers are those of the runs' files, its commands are those that made them."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import ESCONV_FOLDER, REPORT, REPOSITORY, STUDY, folder_of, module
from scipy import stats
from sklearn.metrics import f1_score

from artificial_pain import study
from artificial_pain.evaluation import bootstrap
from artificial_pain.reporting import commands, grid

pytestmark = pytest.mark.xdist_group("study")
SCRIPT = REPOSITORY / "artificial_pain" / "report.py"


@pytest.fixture(scope="module")
def report(studied, command, tmp_path_factory):
    """The page of the study's runs."""
    page = tmp_path_factory.mktemp("report") / "RESULTS.md"
    done = module(command, REPORT, studied.root, "--output", page)
    assert done.code == 0 and "4 runs of 2 settings" in done.err, done.err
    assert done.out.split() == [str(page), f"{page.with_suffix('')}/"]
    return page


@pytest.fixture(scope="module")
def one(encoder) -> str:
    """The name of the row of one head."""
    return f"{encoder.name}, one head"


@pytest.fixture(scope="module")
def four(encoder) -> str:
    """The name of the row of four heads."""
    return f"{encoder.name}, 4 heads"


def row(page, *cells: str) -> list[str]:
    """The cells of the first row that begins with these."""
    lines = [line for line in page.read_text().splitlines() if line.startswith("| " + " | ".join(cells) + " |")]
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def runs_of(studied, encoder, kind: str) -> list:
    folder = studied.root / ESCONV_FOLDER / folder_of(encoder)
    return [folder / kind, folder / f"{kind}-seed43"]


def test_row_has_mean_deviation_and_interval(report, studied, encoder, four):
    """Against the metrics of scikit-learn and scipy, and the resamples one by one"""
    folders = runs_of(studied, encoder, "accuracy-4-heads-intensity-change")
    frames = [pd.read_csv(folder / "predictions_test.csv") for folder in folders]
    truth, names = frames[0]["label_name"], sorted(frames[0]["label_name"].unique())

    def macro_f1(frame, rows) -> float:
        return f1_score(truth[rows], frame["predicted"][rows], labels=names, average="macro", zero_division=0)

    def cell(values: list[float], samples: list[list[float]]) -> str:
        resampled = np.array(samples).T
        examples = resampled.mean(axis=0).var(ddof=1) - resampled.var(axis=0, ddof=1).mean() / 2
        examples += np.diff(resampled.mean(axis=1))[0] ** 2 / 4  # the seeds' own difference is no part of that
        of_seeds = np.var(values, ddof=1) / 2
        variance = max(0, examples) + of_seeds
        freedom = variance**2 / of_seeds**2 if of_seeds else np.inf
        low, high = (
            stats.t.interval(0.95, freedom, np.mean(values), variance**0.5) if variance else (np.mean(values),) * 2
        )
        return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f} [{low:.3f}, {high:.3f}]"

    drawn = np.random.default_rng([bootstrap.SEED, 0]).integers(len(truth), size=(bootstrap.RESAMPLES, len(truth)))
    samples = [[(frame["predicted"][rows] == truth[rows]).mean() for frame in frames] for rows in drawn]
    values = [(frame["predicted"] == truth).mean() for frame in frames]
    cells = row(report, four)
    assert cells[1] == "2" and cells[4] == cell(values, samples)
    values = [macro_f1(frame, slice(None)) for frame in frames]
    assert cells[3].startswith(f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f} [")

    mask = frames[0]["initial_intensity"].notna()
    annotated = frames[0].loc[mask, "initial_intensity"].to_numpy()
    predicted = [frame.loc[mask, "initial_intensity_at_predicted"].to_numpy() for frame in frames]
    drawn = np.random.default_rng([bootstrap.SEED, 0]).integers(
        len(annotated), size=(bootstrap.RESAMPLES, len(annotated))
    )
    errors = [np.abs(values - annotated) for values in predicted]
    samples = [[error[rows].mean() for error in errors] for rows in drawn]
    cells = row(report, "initial", four)
    assert cells[2] == cell([error.mean() for error in errors], samples)
    rho = np.mean([stats.spearmanr(annotated, values).statistic for values in predicted])
    assert cells[5].startswith(f"{rho:.3f} ± ")
    train_means = [json.loads((f / "evaluation_results.json").read_text())["train_mean"]["initial"] for f in folders]
    of_mean = [(annotated - mean) ** 2 for mean in train_means]
    r2 = [1 - (error[0] ** 2).sum() / error[1].sum() for error in zip(errors, of_mean, strict=True)]
    assert cells[4].startswith(f"{np.mean(r2):.3f} ± ")


def test_baselines_are_rows_and_published_figures_are_not_for_the_sample(report, studied, encoder):
    results = json.loads((runs_of(studied, encoder, "loss-classification")[0] / "evaluation_results.json").read_text())
    scores = results["baselines"]["tfidf_logistic_regression"]
    low, high = scores["intervals"]["macro_f1"]
    assert row(report, "TF-IDF + logistic regression")[3] == f"{scores['macro_f1']:.3f} [{low:.3f}, {high:.3f}]"
    assert row(report, "change", "training mean")[2].count("[") == 1
    text = report.read_text()
    assert "the bundled synthetic sample" in text and "*published*" not in text


def test_whether_intensity_helps_is_answered_with_interval_and_p_value(report, one, four):
    """Four heads less one, on the same test dialogues"""
    cells = row(report, four, one, "heads, model_metric", "macro-F1")
    difference, low, high = map(float, re.fullmatch(r"([+-][\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]", cells[4]).groups())
    means = [float(row(report, name)[3].split()[0]) for name in (four, one)]
    assert difference == pytest.approx(means[0] - means[1], abs=0.0011) and low <= difference <= high
    assert 0 < float(cells[5]) <= float(cells[6]) <= 1 and 0 < float(cells[7]) <= 1, "of settings, of Holm, of models"
    answer = f"- {four}, less {one}: {cells[4].split()[0]} macro-F1, p (Holm) = {cells[6]}: "
    conclusion = "no difference is shown" if float(cells[6].strip("< ")) >= 0.05 else "it h"
    _, answers = report.read_text().split("**Does intensity help the emotion?**")
    assert f"\n\n{answer}{conclusion}" in answers


def test_commands_of_the_page_find_their_runs_finished(report, studied, command, tmp_path):
    """Each is given again as the page has it, with its last seed alone, on a copy of the runs"""
    root = shutil.copytree(studied.root, tmp_path / "runs")
    lines = re.findall(r"^python -m artificial_pain.study (.* \S*tiny .*)$", report.read_text(), re.MULTILINE)
    assert len(lines) == 2
    for words in map(shlex.split, lines):
        words[words.index("--output_dir") + 1] = str(root)
        words.remove("42")
        assert words[words.index("--seeds") + 1] == "43"
        done = module(command, STUDY, *words)
        assert done.out.splitlines() == ["1 runs: 1 done, 0 failed"] and "about ?" in done.err, done.err


def test_missing_runs_are_listed_with_their_commands(studied, encoder, one, script, monkeypatch, tmp_path):
    """All cells of the published encoders, a seed of one setting, and an unfinished run"""
    root = shutil.copytree(studied.root, tmp_path / "runs")
    folder = root / ESCONV_FOLDER / folder_of(encoder) / "loss-classification-seed43"
    (folder / "checkpoints").mkdir()
    (folder / "run.json").rename(folder / "checkpoints" / "run.json")
    assert script(SCRIPT, root, "--output", tmp_path / "page.md").code == 0
    text = (tmp_path / "page.md").read_text()
    assert (
        f"{one} (runs), {ESCONV_FOLDER}: seeds 43:" in text
        and "loss-classification-seed43: started, not finished:" in text
    )
    cells = []
    for line in re.findall(r"`python -m artificial_pain.study (.*)`", text):
        monkeypatch.setattr(sys, "argv", ["study", *shlex.split(line)])
        args = study.parse_args()
        cells += [(cell, tuple(args.seeds)) for cell in args.cells]
    published = {(cell, (42, 43)) for cell in grid.grid(grid.PUBLISHED_ENCODERS)}
    assert published <= set(cells) and len(cells) == len(published) + 2
    assert {seeds for cell, seeds in cells if (cell, seeds) not in published} == {(43,)}


def test_runs_of_two_processors_are_two_rows_that_are_not_compared(studied, encoder, one, script, tmp_path):
    """Each row names its own; a seed that was trained on the other one is not missing"""
    root = shutil.copytree(studied.root, tmp_path / "runs", ignore=shutil.ignore_patterns("*.safetensors"))
    path = root / ESCONV_FOLDER / folder_of(encoder) / "loss-classification-seed43" / "run.json"
    record = json.loads(path.read_text())
    here, record["device"]["name"] = record["device"]["name"], "another"
    path.write_text(json.dumps(record))
    assert script(SCRIPT, root, "--output", tmp_path / "page.md").code == 0
    text = (tmp_path / "page.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith(f"| {one}, trained on ") and line.count(" | ") == 6]
    assert sorted(line.split(" | ")[-1] for line in rows) == [f"{here}, fp32 |", "another, fp32 |"], rows
    tests = text.split("### Paired tests")[1].split("###")[0]
    assert (
        not re.search(r"\| .*another.* \| .*(head|heads).* \| .*macro-F1", tests.replace("\n| ", "\n"))
        and f"trained on {here}" in tests
    )
    missing = text.split("## What is missing")[1].split("## Commands")[0]
    assert f"{ESCONV_FOLDER}: seeds" not in missing


def test_same_runs_give_same_bytes_and_old_figures_are_removed(report, studied, command, tmp_path):
    page = tmp_path / "RESULTS.md"
    (tmp_path / "RESULTS").mkdir()
    (tmp_path / "RESULTS" / "SAD-comparison.png").touch()
    (tmp_path / "RESULTS" / "SAD-holiday.png").touch()
    assert module(command, REPORT, studied.root, "--output", page).code == 0
    files = [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    files.remove(Path("RESULTS/SAD-holiday.png"))
    assert files == [path.relative_to(report.parent) for path in sorted(report.parent.rglob("*")) if path.is_file()]
    for path in files:
        assert (tmp_path / path).read_bytes() == (report.parent / path).read_bytes(), path


def test_page_shows_all_figures(report):
    names = re.findall(r"!\[.+\]\((.+)\)", report.read_text())
    kinds = {"comparison", "confusion-1", "confusion-4", "learning-1", "learning-4", "intensity-4"}
    assert {name.removeprefix(f"RESULTS/{ESCONV_FOLDER}-").removesuffix(".png") for name in names} == kinds
    for name in names:
        assert len(np.unique(plt.imread(report.parent / name)[:, :, 0])) > 20, "not blank"
        assert (report.parent / name).stat().st_size < 100_000


def test_folders_without_runs_are_refused(script, tmp_path):
    done = script(SCRIPT, tmp_path)
    assert done.code == 1 and "no finished run" in done.error
    assert "is neither a folder nor a file" in script(SCRIPT, tmp_path / "nothing").error
    assert script(SCRIPT, tmp_path, "--output", "RESULTS.txt").code == 2


def test_flags_of_the_splits_need_the_name_of_the_corpus(script):
    done = script(SCRIPT, "--folds", "5")
    assert done.code == 2 and done.error.endswith("--folds: give --dataset_name too")
    esconv = ["--dataset_name", "ESConv"]
    assert "leave it out" in script(SCRIPT, *esconv, "--folds", "5", "--fold", "1").error
    assert "N from 2" in script(SCRIPT, *esconv, "--folds", "1").error
    assert "for --dataset_name SAD alone" in script(SCRIPT, *esconv, "--split", "imhi").error


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("predictions_test.csv", None),
        ("learning_curves.csv", None),
        ("learning_curves.csv", "epoch,loss,eval_loss\n"),
        ("run.json", "{"),
        ("run.json", "[]"),
        ("evaluation_results.json", '{"test": {"macro_f1": 0.5}}'),  # of a version without intervals
        ("evaluation_results.json", '{"test": {}, "validation": {"macro_f1": 0.5}, "baselines": {}}'),
        ("predictions_test.csv", '"","text","label_name","predicted","probability_anger"\n1,"a","anger","anger",1.0\n'),
        ("predictions_test.csv", '"","text"\n1,"a"\n'),
        ("checkpoints/run.json", "{}"),
    ],
)
def test_damaged_run_is_refused(name, content, studied, encoder, script, tmp_path):
    root = shutil.copytree(studied.root, tmp_path / "runs", ignore=shutil.ignore_patterns("*.safetensors"))
    folder = root / ESCONV_FOLDER / folder_of(encoder) / "loss-classification"
    if name.startswith("checkpoints"):
        (folder / "checkpoints").mkdir()
        (folder / "run.json").unlink()
    else:
        (folder / name).unlink()
    if content:
        (folder / name).write_text(content)
    done = script(SCRIPT, root, "--output", tmp_path / "page.md")
    assert done.code == 1 and "loss-classification" in done.error and "--restart" in done.error
    assert not (tmp_path / "page.md").exists()


@pytest.mark.parametrize(
    ("part", "name"), [("arguments", "balanced"), ("data", "label_column"), ("", "seed"), ("", "command")]
)
def test_incomplete_record_is_refused(part, name, studied, encoder, script, tmp_path):
    root = shutil.copytree(studied.root, tmp_path / "runs", ignore=shutil.ignore_patterns("*.safetensors"))
    path = root / ESCONV_FOLDER / folder_of(encoder) / "loss-classification" / "run.json"
    record = json.loads(path.read_text())
    del (record[part] if part else record)[name]
    path.write_text(json.dumps(record))
    done = script(SCRIPT, root, "--output", tmp_path / "page.md")
    assert done.code == 1 and str(path.parent) in done.error and f" no {name}" in done.error


def test_study_command_keeps_flags_and_paths(studied, encoder):
    """Paths of runs and corpus are relative to the current folder; --no_log_predictions and --revision are kept"""
    record = json.loads((runs_of(studied, encoder, "loss-classification")[0] / "run.json").read_text())
    record["command"] += " --no_log_predictions --revision v1"
    record["arguments"]["revision"] = "v1"
    record["data"]["data_source"] = str(REPOSITORY / "files" / "ESConv.json")
    words = shlex.split(commands.study_command(record, studied.root, [7]))
    assert Path(words[words.index("--output_dir") + 1]).resolve() == studied.root
    assert Path(words[words.index("--data_source") + 1]).resolve() == REPOSITORY / "files" / "ESConv.json"
    assert words[words.index("--revision") + 1] == "v1"
    assert not {"--max_length", "--data_seed", "--deduplicate"} & {*words}, "these are as published"
    (model_flags,) = (shlex.split(word.split("=", 1)[1]) for word in words if "_flags=" in word)
    assert "--no_log_predictions" in model_flags
    assert not {"--seed", "--revision", "--data_source"} & {*model_flags} and words[words.index("--seeds") + 1] == "7"

"""The page of representations: of the study's runs, its numbers, figures and cache."""

import json
import re
import runpy
import shutil
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
import torch
from conftest import ESCONV_FOLDER, REPOSITORY, folder_of
from sklearn.decomposition import PCA

from artificial_pain.analysis import axis, measures, probes, states
from artificial_pain.errors import UserError
from artificial_pain.evaluation import baselines, bootstrap
from artificial_pain.modeling.model import EmotionModel

pytestmark = pytest.mark.xdist_group("study")
SCRIPT = REPOSITORY / "artificial_pain" / "represent.py"


@pytest.fixture(scope="module")
def folder(studied, encoder):
    return studied.root / ESCONV_FOLDER / folder_of(encoder)


@pytest.fixture(scope="module")
def runs(folder):
    kinds = ("loss-classification", "accuracy-4-heads-intensity-change")
    return [folder / f"{kind}{seed}" for kind in kinds for seed in ("", "-seed43")]


class Kept(measures.Measures):
    """As measured by the command."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        Kept.last = self


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """The page of all parts; what was printed."""
    page, printed = tmp_path_factory.mktemp("whole") / "page.md", StringIO()
    words = [SCRIPT, *runs, "--severity_source", "sample", "--output", page]
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(printed):
        patched.setattr(sys, "argv", list(map(str, words)))
        patched.setattr(measures, "Measures", Kept)
        for module in (probes, baselines):  # two strengths take half of the time
            patched.setattr(module, "STRENGTHS", [1e-3, 1e-1])
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return page, printed.getvalue()


@pytest.fixture(scope="module")
def measured(whole):
    return Kept.last


@pytest.fixture(scope="module")
def subject(measured):
    return measured.subject


def cells(text: str, *first: str) -> list[str]:
    line, *_ = [line for line in text.splitlines() if line.startswith("| " + " | ".join(first) + " |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_page_console_and_figures(whole, measured):
    page, printed = whole
    text = page.read_text()
    assert not re.search(r"\bnan\b|None|Undefined", text)
    images = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(images) == 6 and all((page.parent / name).is_file() for name in images)
    names = [states.RANDOM, states.BEFORE, "one head", "4 heads"]
    assert list(measured.states) == names and f"| | {' | '.join(names)} |" in text
    row = cells(text, "probe of the label: macro-F1")
    value = measured.probes["label_name"]["4 heads"][-1].score.values
    assert row[4].startswith(f"{value.mean():.3f} ± {value.std(ddof=1):.3f} [")
    assert "probe of the label: macro-F1" in printed and str(page) in printed
    assert ("no difference is shown" in printed) or ("a difference is shown" in printed)
    assert "says nothing about people" in text and "CKA with before fine-tuning" in text


def test_settings_are_compared_with_their_seeds_paired(measured):
    """Of each measure the difference of the means; its t has the seeds' differences in it"""
    tests = {test["title"]: test for test in measured.compare("4 heads", "one head")}
    ours, theirs = (measured.similarities["initial_intensity"]["cosine", name].last for name in ("4 heads", "one head"))
    test = tests["similarity with the initial intensity, cosine: rho"]
    assert test["difference"] == pytest.approx((ours.values - theirs.values).mean())
    cka = tests["CKA with before fine-tuning"]
    after = [measured.cka_with_before[name][:, -1, -1] for name in ("4 heads", "one head")]
    difference = after[0] - after[1]
    margin = 12.706 * difference.std(ddof=1) / np.sqrt(2)  # t with one degree of freedom
    assert cka["interval"] == pytest.approx([difference.mean() - margin, difference.mean() + margin], abs=1e-3)
    p_values = [test["p_value"] for test in tests.values()]
    assert [test["p_value_holm"] for test in tests.values()] == pytest.approx(bootstrap.holm(p_values).tolist())
    assert measured.compare("one head", "one head")[0]["difference"] == 0


def test_settings_with_one_seed_in_common_are_not_compared(measured, monkeypatch):
    monkeypatch.setattr(measured.subject.groups["one head"], "seeds", [42, 99])
    assert measured.same_seeds("4 heads", "one head") == [(0, 0)] and measured.compare("4 heads", "one head") == []


def test_one_label_cannot_be_read(subject, monkeypatch):
    frames = {split: frame.assign(label_name="anger") for split, frame in subject.splits.texts.items()}
    with pytest.raises(UserError, match="one label alone"):
        measures.Measures(replace(subject, splits=replace(subject.splits, texts=frames)))


def test_states_are_read_once(runs, subject, monkeypatch, folder):
    """And kept beside the runs: those of another process come from the files"""
    first = subject.states["4 heads"][0]["test"]
    monkeypatch.setattr(states, "pooled_states", None)
    again = states.load(runs)
    assert (again.states["4 heads"][0]["test"] == first).all()
    assert first.shape[:2] == (len(subject.splits.texts["test"]), 3) and (folder / states.FOLDER).is_dir()


def test_last_layer_is_what_the_heads_read(subject, runs):
    """In the precision of the machine; and the layer below is another"""
    model = EmotionModel.from_pretrained(runs[2]).eval()
    found = subject.states["4 heads"][0]["test"]
    for row, ids in enumerate(subject.splits.tokenized["test"]["input_ids"][:5]):
        with torch.no_grad():
            read = model.encoder(torch.tensor([ids]), torch.ones(1, len(ids))).last_hidden_state[0, 0].numpy()
        assert found[row, -1] == pytest.approx(read, abs=0.05)
        assert np.abs(found[row, -2] - read).max() > 0.1


def test_parts_alone(runs, script, tmp_path, monkeypatch):
    """The map needs the test split alone; its shares are those of the principal components"""
    read = []
    monkeypatch.setattr(
        states.States,
        "read",
        lambda self, texts, title, read_=states.States.read: read.append(title) or read_(self, texts, title),
    )
    done = script(SCRIPT, runs[2], "--map", "--output", tmp_path / "map.md")
    assert done.code == 0 and set(read) == {"test"}, done.err
    assert [path.name for path in (tmp_path / "map").iterdir()] == ["map.png"]
    assert "## Probes" not in (tmp_path / "map.md").read_text()


def test_a_planted_severity_is_found_across_corpora(measured):
    """The rho is scipy's, of the places along the axis"""
    from scipy.stats import spearmanr

    found = measured.axes["initial_intensity"]["4 heads"]
    tokenized, frame = measured.severity.tokenized, measured.severity.texts
    each = measured.states["4 heads"][0]
    train = {split: each.last(split) for split in measured.texts}
    places = each.read(tokenized, "severity")[:, -1] @ axis.fit(train, measured.texts, "initial_intensity")
    assert found.severity.values[0] == pytest.approx(spearmanr(places, frame["severity"]).statistic)
    assert frame["severity"].min() >= 0 and frame["severity"].max() <= 10
    assert PCA(2).fit(train["test"]).explained_variance_ratio_.sum() <= 1


def test_runs_that_do_not_belong_together_are_told(runs, script, tmp_path):
    other = shutil.copytree(runs[1], tmp_path / "other")
    record = json.loads((other / "run.json").read_text())
    record["data"]["fingerprint"] = "another"
    (other / "run.json").write_text(json.dumps(record))
    done = script(SCRIPT, runs[0], other, "--output", tmp_path / "page.md")
    assert done.code == 1 and "reads other splits, another encoder" in done.error
    copy = shutil.copytree(runs[0], tmp_path / "copy")
    done = script(SCRIPT, runs[0], copy, "--output", tmp_path / "page.md")
    assert done.code == 1 and "has the same setting and seed" in done.error
    done = script(SCRIPT, copy, "--output", tmp_path / "page.md")
    assert done.code == 1 and "there are no such splits yet" in done.error
    done = script(SCRIPT, runs[0], "--output", tmp_path / "page.txt")
    assert done.code == 2 and "expected a name that ends in .md" in done.error

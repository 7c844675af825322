"""The pages say what the code does: flags, files, guarantees, results, links, and the README's commands."""

import os
import re
import shlex
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
from conftest import (
    DATALOADER,
    GOOD_TOKEN,
    INTENSITY_DATALOADER,
    INTENSITY_MODEL,
    MODEL,
    REPOSITORY,
    SAMPLE,
    folder_of,
)
from warm import Script, sealed, wait_for

README = REPOSITORY / "README.md"
BENCHMARKS = REPOSITORY / "docs" / "benchmarks.md"
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")])
COMMANDS = {path.name: path for path in (DATALOADER, MODEL, INTENSITY_DATALOADER, INTENSITY_MODEL)}
COMMANDS |= {
    f"python -m artificial_pain.{name}": REPOSITORY / "artificial_pain" / f"{name}.py"
    for name in ("predict", "study", "report", "compare", "convert", "represent", "trajectory")
}
MAX_SEMICOLONS = 1  # in the prose of a page
TOP_LEVEL = {"README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "Makefile", "pyproject.toml"}
TOP_LEVEL |= {"requirements.txt", "requirements-dev.txt", ".gitignore", ".ci", ".github"}
TOP_LEVEL |= {"classification", "intensity", "artificial_pain", "docs", "tests"}


def section(page: Path, heading: str) -> str:
    """The text below a heading, to the next one of its level."""
    (text,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    return text


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of the tables in a text, without their heads."""
    lines = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    heads = {i for i, line in enumerate(lines) if i + 1 < len(lines) and lines[i + 1].startswith("---")}
    return [line.split(" | ") for i, line in enumerate(lines) if i not in heads and not line.startswith("---")]


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_anchors_resolve(page):
    for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, name = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if name:
            headings = re.findall(r"^#+ (.*)$", prose(target), re.MULTILINE)
            assert name in map(anchor, headings), link


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_on_pages_name_scripts_that_exist(page):
    for path in re.findall(r"(?:python|torchrun .*?|launch .*?) ([\w/-]+\.py)", page.read_text()):
        assert (REPOSITORY / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_have_one_semicolon_at_most(page):
    assert prose(page).count(";") <= MAX_SEMICOLONS


def test_readme_is_read_in_ten_minutes():
    assert 150 <= len(README.read_text().splitlines()) <= 200


def test_top_level_has_nothing_else():
    listed = subprocess.run(["git", "-C", REPOSITORY, "ls-files"], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no checkout of git: no list of its files can be had")
    assert {line.split("/")[0] for line in listed.stdout.splitlines()} == TOP_LEVEL


def test_guarantees_are_what_is_tested(request: pytest.FixtureRequest):
    """A row for each fault of the tests that are run with this one; where all are, no row more."""
    table = rows(section(REPOSITORY / "docs" / "guarantees.md", "What goes wrong, and what is promised"))
    promised, items = {tuple(row) for row in table}, request.session.items
    tested = {mark.args for item in items for mark in item.iter_markers("fault")}
    assert tested <= promised
    if {item.path for item in items} == set(Path(__file__).parent.rglob("test_*.py")):
        assert tested == promised


@pytest.mark.parametrize("page", [README, REPOSITORY / "docs" / "results.md"], ids=lambda path: path.name)
def test_results_are_those_of_the_report(page):
    """Each row and each command of the results stands on the page that the report made"""
    text = section(README, "Results") if page == README else page.read_text()
    told = re.findall(r"^(?:\| .*|python -m artificial_pain\.study .*)$", text, re.MULTILINE)
    assert len(told) > 8
    assert set(told) <= set((REPOSITORY / "docs" / "report.md").read_text().splitlines())


def test_rows_of_representations_are_those_of_the_pages():
    """Each of SAD's and ESConv's rows, and the figures beside these pages"""
    docs = REPOSITORY / "docs"
    told = re.findall(r"^\| .*", section(docs / "representations.md", "What holds"), re.MULTILINE)
    pages = [docs / f"representations-{corpus}.md" for corpus in ("SAD", "ESConv")]
    assert len(told) > 12 and set(told) <= {line for page in pages for line in page.read_text().splitlines()}
    for page in pages:
        drawn = {path.name for path in page.with_suffix("").iterdir()}
        assert drawn == set(re.findall(rf"\]\({page.stem}/(.*?)\)", page.read_text()))


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_are_those_of_the_command(name, script, monkeypatch):
    """Each flag of --help with its default; where a default is in words, its words are the page's own"""
    monkeypatch.setenv("COLUMNS", "1000")  # a flag with a long value has its help on the next line
    done = script(COMMANDS[name], "--help")
    told = {}
    for flag, value, text in re.findall(r"^  (--\w+)( \S[^\n]*?)?(?:\n {10,}|  +|$)(.*)$", done.out, re.MULTILINE):
        default = re.search(r"\(default: (.*)\)$", text)
        told[flag] = default[1] if default else "none" if value else "off"
    written = {row[0].strip("`"): row[1] for row in rows(section(REPOSITORY / "docs" / "flags.md", f"`{name}`"))}
    assert written.keys() == told.keys()
    in_words = {flag for flag, cell in written.items() if cell not in ("off", "none") and not cell.startswith("`")}
    assert all(" " in told[flag] or told[flag] == "none" for flag in in_words)
    exact = {flag: cell.strip("`") for flag, cell in written.items() if flag not in in_words}
    assert exact == {flag: told[flag] for flag in exact}


def test_speed_of_the_readme_is_that_of_the_benchmark():
    """Of the whole processes in batches of 6"""
    measured = {row[0]: row for row in rows(section(BENCHMARKS, "Whole processes")) if row[1] == "6"}
    sad, esconv = measured["SAD"], measured["ESConv"]
    text = " ".join(README.read_text().split())
    assert f"{sad[3]} s on SAD and {esconv[3]} s on ESConv" in text
    assert f"{sad[4].split()[0]} and {esconv[4].split()[0]} times as long" in text


def test_flags_of_the_readme_have_their_defaults():
    flags = {row[0]: row[1] for row in rows(section(README, "Run it"))}
    of_pages = {}
    for name in (MODEL.name, INTENSITY_MODEL.name):
        of_pages |= {row[0]: row[1] for row in rows(section(REPOSITORY / "docs" / "flags.md", f"`{name}`"))}
    assert flags.items() <= of_pages.items()
    assert flags.keys() == {f"`--{name}`" for name in ("model_name", "dataset_name", "balanced", "debug", "head_num")}


@pytest.mark.xdist_group("intensity_scripts")  # one worker makes its runs
def test_files_are_those_that_a_run_writes(tracked, encoder, tmp_path):
    """Both ways: of the corpus, the tokenized splits, a finished run, and a run that was killed"""
    run, _ = tracked
    corpus = run.parents[1]
    words = [
        "--model_name",
        encoder,
        *SAMPLE,
        "--output_dir",
        corpus.parent,
        "--batch_size",
        "16",
        "--warmup_steps",
        "0",
    ]
    killed = Script(INTENSITY_MODEL, [*words, "--seed", "7"], tmp_path / "home", WANDB_MODE="disabled")
    checkpoints = run.with_name(f"{run.name}-seed7") / "checkpoints"
    wait_for(lambda: len(sealed(checkpoints)) == 1, killed)
    killed.process.kill()
    for path in checkpoints.glob("checkpoint-*"):
        if path not in sealed(checkpoints):
            shutil.rmtree(path)
    folders = {
        "The corpus folder": [corpus, "balanced_*", f"{folder_of(encoder)}/*"],
        "The tokenized splits": [corpus / folder_of(encoder) / "tokenized_splits"],
        "The run's folder": [run],
        "checkpoints/": [checkpoints],
    }
    for heading, (folder, *others) in folders.items():
        patterns = [row[0].strip("`") for row in rows(section(REPOSITORY / "docs" / "files.md", heading))]
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        files = [name for name in files if not any(fnmatch(name, other) for other in others)]
        assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in files), (heading, files)
        assert all(any(fnmatch(name, pattern) for name in files) for pattern in patterns), (heading, files)


@pytest.mark.xdist_group("readme")
def test_commands_of_the_readme_run(hub, command, tmp_path):
    """The model scripts from a cold start, the published names on a hub on loopback, the sample, and fewer examples.

    Their standard output begins with the results, also where transformers prints when it is imported (offline W&B).
    """
    pairs = re.findall(r"^python (\S+) (.*)$", section(README, "Run it"), re.MULTILINE)
    assert [path for path, _ in pairs] == [str(path.relative_to(REPOSITORY)) for path in COMMANDS.values()][:4]
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": GOOD_TOKEN, "WANDB_MODE": "offline"}
    for path, words in pairs:
        words = [*shlex.split(words), *SAMPLE, "--output_dir", str(tmp_path)]
        if "dataloader" not in path and "--debug" not in words:
            words += ["--epochs", "1"]
        if "--balanced" in words:
            words += ["--samples_per_label", "20"]
        done = command(REPOSITORY / path, *words, cold="model" in path.split("-")[1], **environment)
        assert done.code == 0, done.err
        if "model" in path.split("-")[1]:
            corpus = f"the synthetic sample of {words[words.index('--dataset_name') + 1]}"
            assert done.out.splitlines()[0].startswith(corpus), "the results"
            (run,) = re.findall(r"^Run folder: (.*)$", done.out, re.MULTILINE)
            name = words[words.index("--model_name") + 1]
            assert f'"revision": "{hub.commit(name)}"' in Path(run, "run.json").read_text()
            assert name in Path(run, "config.json").read_text(), "the encoder's name, not its path in the cache"
    assert Path(run).name == "accuracy-4-heads-intensity-change"
    (tmp_path / "texts.txt").write_text("I have not slept for days\n")
    for name, words in re.findall(r"^python (-m \S+) (.*)$", section(README, "Use a trained model"), re.MULTILINE):
        files = {"RUN_FOLDER": run, "texts.txt": tmp_path / "texts.txt"}
        words = [files.get(word, word) for word in shlex.split(words)] + ["--map"] * ("represent" in name)
        is_cold = name.endswith("predict") and "--file" not in words
        done = command(name, *words, PYTHONPATH=str(REPOSITORY), cold=is_cold, **environment)
        assert done.code == 0 and done.out, done.err


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README.read_text(), re.MULTILINE))
def test_make_targets_of_the_readme_exist(target):
    environment = {**os.environ, "MAKEFLAGS": ""}
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

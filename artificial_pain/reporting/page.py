"""The page of a report: tables with intervals, paired tests, figures, and what is missing."""

import argparse
import os
import shlex
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from artificial_pain import cli, encoders
from artificial_pain.evaluation import bootstrap
from artificial_pain.evaluation.tables import number
from artificial_pain.reporting import figures, grid, tables
from artificial_pain.reporting.groups import Group, paired, task

FIGURES = ("comparison", "confusion-?", "learning-?", "intensity-?")  # how their names end, after the corpus


class Section:
    """The groups that were tested on the same examples, the best on validation first."""

    def __init__(self, groups: Sequence[Group], with_root: bool, folder: Path, slug: str):
        self.groups = sorted(groups, key=lambda group: (-group.validation, group.name(True)))
        self.names = names(self.groups, with_root)
        self.folder, self.slug = folder, slug  # where its figures are, and how their names begin

    def pairs(self) -> list[tuple[int, int]]:
        """The groups to test against each other: the best and every other, those that differ in one setting, and those
        with more heads and fewer whose scripts' defaults differ.
        """
        pairs = []
        for i, j in combinations(range(len(self.groups)), 2):
            differences = self.groups[i].differences(self.groups[j])
            heads = "heads" in differences and differences <= {"heads", "warmup_steps", "model_metric"}
            if i == 0 or len(differences) == 1 or heads:
                pairs.append((j, i) if heads and self.groups[j].heads > self.groups[i].heads else (i, j))
        return pairs

    def markdown(self) -> str:
        first = self.groups[0]
        origin = {None: "the published file", "sample": "the bundled synthetic sample, which says nothing about people"}
        source = first.data["data_source"]
        column = f", `{first.data['label_column']}`" if first.data["label_column"] else ""
        parts = [
            f"## {first.arguments['dataset_name']}{column}",
            f"{len(first.labels):,} test examples of {len(first.label_names)} labels; from "
            f"{origin.get(source, f'{Path(str(source)).name}, given by the user')}.",
            tables.emotion(self.groups, self.names),
        ]
        if any(group.targets for group in self.groups):
            parts += ["### Intensities", "Read at the predicted emotion.", self._intensities()]
        if len(self.groups) > 1:
            parts += ["### Paired tests", *self._tests()]
        return "\n\n".join([*parts, "### Figures", *self._figures()])

    def _intensities(self) -> str:
        return tables.intensity(self.groups, self.names)

    def _tests(self) -> list[str]:
        tests, answers = [], []
        for i, j in tqdm(self.pairs(), desc=f"Testing {self.slug}", unit=" pairs"):
            ours, theirs = self.groups[i], self.groups[j]
            differences, of_metrics = ours.differences(theirs), paired(ours, theirs)
            tests.append((self.names[i], self.names[j], differences, of_metrics))
            if ours.heads > theirs.heads == 1 and differences <= {"heads", "warmup_steps", "model_metric"}:
                answers.append(f"- {self.names[i]}, less {self.names[j]}: {_answer(of_metrics['macro-F1'])}")
        if answers:
            answers = ["**Does intensity help the emotion?**", "\n".join(answers)]
        return [tables.paired(tests), *answers]

    def _figures(self) -> list[str]:
        rows = []
        for name, group in zip(self.names, self.groups, strict=True):
            rows.append((name, group.emotion["macro_f1"].mean, group.emotion["macro_f1"].interval))
        for name, scores in tables.baselines(self.groups, "macro_f1"):
            rows.append((name, scores["macro_f1"], scores["intervals"]["macro_f1"]))
        best = {group.heads: i for i, group in reversed(list(enumerate(self.groups)))}  # of each number of heads
        path = self._path("comparison")
        figures.draw_comparison(path, rows, "macro-F1 on test, with its 95 % interval")
        images = [self._image("Macro-F1 with intervals", path)]
        for heads, i in sorted(best.items()):
            group, name = self.groups[i], self.names[i]
            drawn = {"confusion": figures.draw_confusion, "learning": figures.draw_learning_curves}
            if set(figures.BEFORE_AND_AFTER) <= set(group.targets):
                drawn["intensity"] = figures.draw_before_and_after
            told = {"confusion": "Confusion matrix", "learning": "Learning curves", "intensity": "Before and after"}
            for kind, draw in drawn.items():
                path = self._path(f"{kind}-{heads}")
                draw(path, group)
                images.append(self._image(f"{told[kind]}: {name}", path))
        return images

    def _path(self, kind: str) -> Path:
        return self.folder / f"{self.slug}-{kind}.png"

    def _image(self, title: str, path: Path) -> str:
        return f"{title}\n\n![{title}]({quote(self.folder.name)}/{quote(path.name)})"


def names(groups: Sequence[Group], with_root: bool) -> list[str]:
    """What the rows are called; those that would be called the same, also by the settings that they do not share."""
    told = [group.name(with_root) for group in groups]
    for name in {name for name in told if told.count(name) > 1}:
        alike = [i for i, other in enumerate(told) if other == name]
        apart = set().union(*(groups[alike[0]].differences(groups[i]) for i in alike))
        for i in alike:
            settings = [f"{setting} {groups[i].settings.get(setting)}" for setting in sorted(apart)]
            settings += [groups[i].task] if len({groups[j].task for j in alike}) > 1 else []
            told[i] = ", ".join([name, *(settings or [str(groups[i].root)])])
    return told


def _answer(test: dict) -> str:
    p_value = tables.p_value(test)
    difference = number(test["difference"], "+")
    change = f"{difference} macro-F1, p {p_value if '<' in p_value else f'= {p_value}'}"
    if test["p_value"] >= 0.05:
        return f"{change}: no difference is shown."
    return f"{change}: it {'helps' if test['difference'] > 0 else 'harms'}."


def sections(groups: Sequence[Group], folder: Path) -> list[Section]:
    """By corpus; those of the same corpus with other test examples are apart."""
    apart: dict[tuple, list[Group]] = defaultdict(list)
    for group in groups:
        examples = group.examples.to_csv()
        apart[group.arguments["dataset_name"], group.data["label_column"] or "", examples].append(group)
    with_root = len({group.root for group in groups}) > 1
    made, slugs = [], defaultdict(int)
    for (dataset_name, column, _), members in sorted(apart.items()):
        slug = "-".join(filter(None, [dataset_name, column]))
        slugs[slug] += 1
        number = f"-{slugs[slug]}" if slugs[slug] > 1 else ""
        made.append(Section(members, with_root, folder, slug + number))
    return made


def study_command(record: dict, root: Path, seeds: Sequence[int]) -> str:
    """The command that makes runs like that of the record, of these seeds."""
    given = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--model_name", "--dataset_name", "--output_dir", "--seed", "--push_to_hub"):
        given.add_argument(flag)
    for flag in ("--balanced", "--restart"):
        given.add_argument(flag, action="store_true")
    model_flags = given.parse_known_args(shlex.split(record["command"])[2:])[1]
    arguments, settings = record["arguments"], {**record["data"]}
    if settings["data_source"] and Path(settings["data_source"]).is_absolute():
        settings["data_source"] = os.path.relpath(settings["data_source"])
    words = ["python", "-m", "artificial_pain.study", "--model_name", arguments["model_name"]]
    words += ["--dataset_name", arguments["dataset_name"], "--task", task(record)]
    words += ["--balance", "balanced" if arguments["balanced"] else "unbalanced", "--seeds", *map(str, seeds)]
    words += _output_dir(root)
    dataloader_flags = cli.dataloader_flags(settings)
    if arguments["revision"] != encoders.DEFAULT_REVISION:
        dataloader_flags += ["--revision", arguments["revision"]]
    words += [f"--dataloader_flags={shlex.join(dataloader_flags)}"] if dataloader_flags else []
    words += [f"--model_flags={shlex.join(model_flags)}"] if model_flags else []
    return shlex.join(words)


def _output_dir(root: Path) -> list[str]:
    if root in cli.TASK_FOLDERS.values():
        return []
    return ["--output_dir", os.path.relpath(root)]


def missing(groups: Sequence[Group], unfinished: dict[Path, dict]) -> list[tuple[str, str]]:
    """What of the published grid, and of the seeds, has no finished run; with the command that would fill it."""
    tried = [group for group in groups if not group.arguments["debug"]]
    seeds = sorted({seed for group in tried for seed in group.seeds}) or [cli.SEED]
    there = {
        grid.Cell(
            group.task,
            group.arguments["dataset_name"],
            "balanced" if group.arguments["balanced"] else "unbalanced",
            group.arguments["model_name"],
        )
        for group in tried
        if group.data["data_source"] != "sample" and group.data["label_column"] in (None, cli.LABEL_COLUMNS[0])
        if group.task == "classification" or group.heads == 4
    }
    told, roots = [], {group.root for group in groups}
    for encoder in grid.PUBLISHED_ENCODERS:
        cells = [cell for cell in grid.grid([encoder]) if cell not in there]
        if cells:
            words = ["python", "-m", "artificial_pain.study", "--model_name", encoder]
            for flag, part in {"--dataset_name": "dataset_name", "--balance": "balance", "--task": "task"}.items():
                words += [flag, *dict.fromkeys(getattr(cell, part) for cell in cells)]
            what = "; ".join(f"{cell.task}, {cell.dataset_name} {cell.balance}" for cell in cells)
            words += _output_dir(*roots) if len(roots) == 1 else []
            told.append((f"{encoder}: {what}", shlex.join([*words, "--seeds", *map(str, seeds)])))
    for group in tried:
        lacking = [seed for seed in seeds if seed not in group.seeds]
        if lacking:
            what = f"{group.name(True)}, {group.arguments['dataset_name']}: seeds {', '.join(map(str, lacking))}"
            told.append((what, study_command(group.first.record, group.root, lacking)))
    for folder, record in unfinished.items():
        root = folder.parents[2]
        what = f"{folder.relative_to(root.parent)}: begun, and not finished"
        told.append((what, study_command(record, root, [record["seed"]])))
    return told


def page(groups: Sequence[Group], unfinished: dict[Path, dict], folder: Path) -> str:
    """The whole of it, in Markdown; its figures are drawn into `folder`."""
    made = sections(groups, folder)
    lacking = [f"- {what}:\n  `{command}`" for what, command in missing(groups, unfinished)]
    commands = [
        f"# {name}: {section.slug}\n{study_command(group.first.record, group.root, group.seeds)}"
        for section in made
        for name, group in zip(section.names, section.groups, strict=True)
    ]
    return "\n\n".join(
        [
            "# Results",
            "On the test split: mean ± standard deviation over the seeds and, in brackets, the 95 % interval of that "
            f"mean: the bootstrap over the test examples, {bootstrap.RESAMPLES:,} resamples. Rows are in the order of "
            "their macro-F1 on the validation split, by which settings are to be chosen; the test split was read once "
            f"for each run. Paired tests: approximate randomisation, {bootstrap.PERMUTATIONS:,} permutations, "
            "two-sided, not corrected for their number, of the seeds that both have, else of as many as both have. "
            "`python -m artificial_pain.report` made this page.",
            *(section.markdown() for section in made),
            "## What is missing",
            "\n".join(lacking) if lacking else "Nothing of the published grid.",
            "## Commands",
            "Each row's runs, from the top of the checkout:",
            "```\n" + "\n\n".join(commands) + "\n```\n",
        ]
    )

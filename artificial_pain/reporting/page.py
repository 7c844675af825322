"""The page of a report: tables with intervals, paired tests, figures, and what is missing."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

from artificial_pain.evaluation import bootstrap
from artificial_pain.evaluation.tables import format_number
from artificial_pain.reporting import figures, tables
from artificial_pain.reporting.commands import missing_runs, study_command
from artificial_pain.reporting.groups import Group, paired_tests

FIGURES = ("comparison", "confusion-?", "learning-?", "intensity-?")  # how their names end, after the corpus
# The number of heads, and the flags whose defaults differ between the scripts of one head and of four.
HEADS = {"heads", "warmup_steps", "model_metric"}


class Section:
    """The groups that were tested on the same examples, the best on validation first."""

    def __init__(self, groups: Sequence[Group], with_root: bool, folder: Path, slug: str):
        """folder: of the figures; slug: the beginning of their names."""
        self.groups = sorted(groups, key=lambda group: (-group.validation.mean, group.name(True)))
        self.names = row_names(self.groups, with_root)
        self.folder, self.slug = folder, slug

    def pairs(self) -> list[tuple[int, int]]:
        """The groups to test against each other: the best and every other, those that differ in one setting, and those
        with more heads and fewer that differ in nothing but the heads and their scripts' defaults.
        """
        pairs = []
        for i, j in combinations(range(len(self.groups)), 2):
            differences = self.groups[i].differences(self.groups[j])
            heads = "heads" in differences and differences <= HEADS
            if i == 0 or len(differences) == 1 or heads:
                pairs.append((j, i) if heads and self.groups[j].heads > self.groups[i].heads else (i, j))
        return pairs

    def markdown(self) -> str:
        first = self.groups[0]
        source = first.data["data_source"]
        names = {None: "the published file", "sample": "the bundled synthetic sample, which says nothing about people"}
        source_name = names.get(source, f"{Path(str(source)).name}, given by the user")
        column = f", `{first.data['label_column']}`" if first.data["label_column"] else ""
        parts = [
            f"## {first.arguments['dataset_name']}{column}",
            f"{len(first.labels):,} test examples of {len(first.label_names)} labels; from {source_name}.",
            tables.emotion_table(self.groups, self.names),
        ]
        if any(group.targets for group in self.groups):
            table = tables.intensity_table(self.groups, self.names)
            parts += ["### Intensities", "Read at the predicted emotion.", table]
        if len(self.groups) > 1:
            parts += ["### Paired tests", *self._paired_tests()]
        return "\n\n".join([*parts, "### Figures", *self._figures()])

    def _paired_tests(self) -> list[str]:
        comparisons, answers = [], []
        for i, j in tqdm(self.pairs(), desc=f"Testing {self.slug}", unit=" pairs"):
            group, other = self.groups[i], self.groups[j]
            differences, tests = group.differences(other), paired_tests(group, other)
            comparisons.append((self.names[i], self.names[j], differences, tests))
            if group.heads > other.heads == 1 and differences <= HEADS:
                answers.append(f"- {self.names[i]}, less {self.names[j]}: {_answer(tests['macro-F1'])}")
        if answers:
            answers = ["**Does intensity help the emotion?**", "\n".join(answers)]
        return [tables.paired_test_table(comparisons), *answers]

    def _figures(self) -> list[str]:
        metrics = [group.emotion["macro_f1"] for group in self.groups]
        rows = [(name, metric.mean, metric.interval) for name, metric in zip(self.names, metrics, strict=True)]
        for name, scores in tables.baseline_scores(self.groups, "macro_f1"):
            rows.append((name, scores["macro_f1"], scores["intervals"]["macro_f1"]))
        path = self._path("comparison")
        figures.draw_comparison(path, rows, "macro-F1 on test, with its 95 % interval")
        images = [self._image("Macro-F1 with intervals", path)]
        best = {group.heads: i for i, group in reversed(list(enumerate(self.groups)))}  # of each number of heads
        for heads, i in sorted(best.items()):
            group = self.groups[i]
            kinds = [
                ("confusion", "Confusion matrix", figures.draw_confusion),
                ("learning", "Learning curves", figures.draw_learning_curves),
            ]
            if set(figures.BEFORE_AND_AFTER) <= set(group.targets):
                kinds.append(("intensity", "Before and after", figures.draw_before_and_after))
            for kind, title, draw in kinds:
                path = self._path(f"{kind}-{heads}")
                draw(path, group)
                images.append(self._image(f"{title}: {self.names[i]}", path))
        return images

    def _path(self, kind: str) -> Path:
        return self.folder / f"{self.slug}-{kind}.png"

    def _image(self, title: str, path: Path) -> str:
        return f"{title}\n\n![{title}]({quote(self.folder.name)}/{quote(path.name)})"


def row_names(groups: Sequence[Group], with_root: bool) -> list[str]:
    """The names of the rows; where several would be the same, with the settings in which these groups differ."""
    names = [group.name(with_root) for group in groups]
    for name in {name for name in names if names.count(name) > 1}:
        namesakes = [i for i, other in enumerate(names) if other == name]
        differences = set().union(*(groups[namesakes[0]].differences(groups[i]) for i in namesakes))
        for i in namesakes:
            settings = [f"{setting} {groups[i].settings.get(setting)}" for setting in sorted(differences)]
            settings += [groups[i].task] if len({groups[j].task for j in namesakes}) > 1 else []
            names[i] = ", ".join([name, *(settings or [str(groups[i].root)])])
    return names


def _answer(test: dict) -> str:
    p_value = tables.format_p_value(test)
    difference = format_number(test["difference"], "+")
    change = f"{difference} macro-F1, p {p_value if '<' in p_value else f'= {p_value}'}"
    if test["p_value"] >= 0.05:
        return f"{change}: no difference is shown."
    return f"{change}: it {'helps' if test['difference'] > 0 else 'harms'}."


def split_into_sections(groups: Sequence[Group], folder: Path) -> list[Section]:
    """A section for each corpus and column of labels; for each set of test examples, where there are several."""
    by_examples: dict[tuple, list[Group]] = defaultdict(list)
    for group in groups:
        column = group.data["label_column"] or ""
        by_examples[group.arguments["dataset_name"], column, group.examples.to_csv()].append(group)
    with_root = len({group.root for group in groups}) > 1
    sections, slug_counts = [], defaultdict(int)
    for (dataset_name, column, _), members in sorted(by_examples.items()):
        slug = "-".join(filter(None, [dataset_name, column]))
        slug_counts[slug] += 1
        suffix = f"-{slug_counts[slug]}" if slug_counts[slug] > 1 else ""
        sections.append(Section(members, with_root, folder, slug + suffix))
    return sections


def page(groups: Sequence[Group], unfinished: dict[Path, dict], folder: Path) -> str:
    """The page in Markdown; its figures are drawn into `folder`."""
    sections = split_into_sections(groups, folder)
    missing = [f"- {name}:\n  `{command}`" for name, command in missing_runs(groups, unfinished)]
    commands = [
        f"# {name}: {section.slug}\n{study_command(group.first.record, group.root, group.seeds)}"
        for section in sections
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
            *(section.markdown() for section in sections),
            "## What is missing",
            "\n".join(missing) if missing else "Nothing of the published grid.",
            "## Commands",
            "Each row's runs, from the top of the checkout:",
            "```\n" + "\n\n".join(commands) + "\n```\n",
        ]
    )

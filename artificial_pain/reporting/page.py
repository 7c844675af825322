"""The page of a report: tables with intervals, paired tests, figures, and what is missing."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from jinja2 import Template
from tqdm import tqdm

from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation import bootstrap
from artificial_pain.reporting import figures, tables
from artificial_pain.reporting.commands import study_command
from artificial_pain.reporting.groups import TRAINED_ON, Group, Metric, paired_tests

TEMPLATE = Path(__file__).with_name("page_template.md")
# Of the best group of each number of heads: how the figure's file is called, its title, and what draws it.
GROUP_FIGURES = [
    ("confusion", "Confusion matrix", figures.draw_confusion),
    ("learning", "Learning curves", figures.draw_learning_curves),
    ("intensity", "Before and after", figures.draw_before_and_after),
]
FIGURE_NAMES = ["comparison", *(f"{kind}-?" for kind, *_ in GROUP_FIGURES)]  # patterns, of what follows the corpus
# The number of heads, and the flags whose defaults differ between the scripts of one head and of four.
HEADS_SETTINGS = {"heads", "warmup_steps", "model_metric"}


class Section:
    """The groups that were tested on the same examples, the best on validation first."""

    def __init__(self, groups: Sequence[Group], with_root: bool, folder: Path, slug: str):
        """folder: of the figures; slug: the beginning of their names."""
        groups = sorted(groups, key=lambda group: (-group.validation_macro_f1.mean, group.name(with_root=True)))
        self.rows = list(zip(row_names(groups, with_root), groups, strict=True))
        self.best, self.has_targets = groups[0], any(group.targets for group in groups)
        self.has_all_targets = any(len(group.targets) == len(INTENSITIES) for group in groups)
        self.folder, self.slug = folder, slug

    def pairs(self) -> list[tuple[tables.Row, tables.Row]]:
        """The groups to test against each other: the best and every other, those that differ in one setting, and those
        with more heads and fewer that differ in nothing but the heads and their scripts' defaults. Rows of other
        processors or precisions are not tested against each other.
        """
        pairs = []
        for row, other in combinations(self.rows, 2):
            differences = row[1].differences(other[1])
            only_heads = "heads" in differences and differences <= HEADS_SETTINGS
            if TRAINED_ON in differences:
                continue
            if row is self.rows[0] or len(differences) == 1 or only_heads:
                pairs.append((other, row) if only_heads and other[1].heads > row[1].heads else (row, other))
        return pairs

    def paired_tests(self) -> tuple[str, list[tuple[str, str, dict]]]:
        """A table with a row for each metric of each pair; and the tests of macro-F1 of more heads against one."""
        lines, answers = [], []
        for (name, group), (other_name, other) in tqdm(self.pairs(), f"Testing {self.slug}", leave=False, disable=None):
            differences, tests = group.differences(other), paired_tests(group, other)
            for metric, test in tests.items():
                difference = tables.metric_cell(Metric(test["difference"], None, test["interval"]), "+")
                names = [name, other_name, ", ".join(sorted(differences)), metric]
                lines.append([*names, difference, tables.format_p_value(test)])
            if group.heads > 1 and other.heads == 1 and differences <= HEADS_SETTINGS:
                answers.append((name, other_name, tests["macro-F1"]))
        return tables.markdown_table(["", "less", "they differ in", "of", "difference", "p"], lines), answers

    def draw_figures(self) -> Iterator[tuple[str, str]]:
        """Draw the figures; yield the title and the file's name of each."""
        metrics = [(name, group.emotion_metrics["macro_f1"]) for name, group in self.rows]
        for name, scores in tables.baseline_scores(self.rows, "macro_f1"):
            metrics.append((name, tables.baseline_metric(scores, "macro_f1")))
        file_name = f"{self.slug}-comparison.png"
        figures.draw_comparison(self.folder / file_name, metrics, "macro-F1 on test, with its 95 % interval")
        yield "Macro-F1 with intervals", file_name
        # Of each number of heads the first row.
        best = {group.heads: (name, group) for name, group in reversed(self.rows)}
        for heads, (name, group) in sorted(best.items()):
            for kind, title, draw in GROUP_FIGURES:
                if kind != "intensity" or set(figures.BEFORE_AND_AFTER) <= set(group.targets):
                    file_name = f"{self.slug}-{kind}-{heads}.png"
                    draw(self.folder / file_name, group)
                    yield f"{title}: {name}", file_name


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


def split_into_sections(groups: Sequence[Group], folder: Path) -> list[Section]:
    """A section for each corpus; for each set of test examples, where there are several."""
    by_examples: dict[tuple, list[Group]] = defaultdict(list)
    for group in groups:
        examples = tuple(group.first.predictions["label_name"].items())  # with their rows in the corpus
        by_examples[group.corpus, group.data["corpus_sha256"], examples].append(group)
    with_root = len({group.root for group in groups}) > 1
    sections, counts = [], Counter()
    for (slug, *_), members in sorted(by_examples.items()):
        counts[slug] += 1
        suffix = f"-{counts[slug]}" if counts[slug] > 1 else ""
        sections.append(Section(members, with_root, folder, slug + suffix))
    return sections


def page(groups: Sequence[Group], missing: Sequence[tuple[str, str]], folder: Path) -> str:
    """The page in Markdown; its figures are drawn into `folder`. missing: names of runs, and the commands of these."""
    sections = split_into_sections(groups, folder)
    drawn = [(section, *section.paired_tests(), list(section.draw_figures())) for section in sections]
    rows = [(section.slug, name, group) for section in sections for name, group in section.rows]
    template = Template(TEMPLATE.read_text(encoding="utf-8"), trim_blocks=True, keep_trailing_newline=True)
    functions = {"study_command": study_command, "tables": tables, "bootstrap": bootstrap}
    return template.render(functions, sections=drawn, rows=rows, missing=missing)

"""The page of a report: tables with intervals, paired tests, figures, and what is missing."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path

from jinja2 import Template
from tqdm import tqdm

from artificial_pain.evaluation import bootstrap
from artificial_pain.evaluation.tables import BASELINES
from artificial_pain.reporting import figures, tables
from artificial_pain.reporting.commands import study_command
from artificial_pain.reporting.groups import TRAINED_ON, Group, paired_tests

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
        self.best_name, self.best = best_row(self.rows)
        self.num_targets = max(len(group.targets) for group in groups)
        self.folder, self.slug = folder, slug

    def pairs(self) -> list[tuple[tables.Row, tables.Row]]:
        """The groups to test against each other: the best and every other, those that differ in one setting, and those
        with more heads and fewer that differ in nothing but the heads and their scripts' defaults. Rows of other
        processors or precisions are not tested against each other.
        """
        pairs = []
        best_first = sorted(self.rows, key=lambda row: row[1] is not self.best)
        for row, other in combinations(best_first, 2):
            differences = row[1].differences(other[1])
            only_heads = "heads" in differences and differences <= HEADS_SETTINGS
            if TRAINED_ON in differences:
                continue
            if row[1] is self.best or len(differences) == 1 or only_heads:
                pairs.append((other, row) if only_heads and other[1].heads > row[1].heads else (row, other))
        return pairs

    @cached_property
    def tests(self) -> list[dict]:
        """The paired tests of the pairs, and of the best row of each number of heads against the baselines.

        Each has what `groups.paired_tests` says of a metric; `p_value_holm` among those of the section; and the names
        and what the two differ in, to show.
        """
        pairs = [(*row, *other, sorted(row[1].differences(other[1]))) for row, other in self.pairs()]
        for name, group in self.best_of_heads().values():
            added = tables.balanced_to(group)
            pairs += [(name, group, BASELINES[key] + added, other, []) for key, other in group.baselines().items()]
        tests = []
        for name, group, less, other, differences in tqdm(pairs, f"Testing {self.slug}", leave=False, disable=None):
            names = {"name": name, "other_name": less, "differences": ", ".join(differences)}
            helps = group.heads > 1 and other.heads == 1 and set(differences) <= HEADS_SETTINGS
            for metric, test in paired_tests(group, other).items():
                tests.append({**names, "metric": metric, **test, "does_intensity_help": helps and metric == "macro-F1"})
        known = [test for test in tests if test["p_value"] is not None]
        for test, adjusted in zip(known, bootstrap.holm([test["p_value"] for test in known]), strict=True):
            test["p_value_holm"] = float(adjusted)
        return [{"p_value_holm": None, **test} for test in tests]

    @property
    def num_readings(self) -> int:
        """How many settings were evaluated on the test split."""
        return len(set().union(*(run.readings for _, group in self.rows for run in group.runs)))

    def best_of_heads(self) -> dict[int, tables.Row]:
        """The best row of each number of heads."""
        numbers = sorted({group.heads for _, group in self.rows})
        return {heads: best_row([row for row in self.rows if row[1].heads == heads]) for heads in numbers}

    def draw_figures(self) -> Iterator[tuple[str, str]]:
        """Draw the figures; yield the title and the file's name of each."""
        metrics = [(name, group.emotion_metric("macro_f1")) for name, group in tables.with_ensembles(self.rows)]
        for name, scores in tables.baseline_scores(self.rows, "macro_f1"):
            metrics.append((name, tables.baseline_metric(scores, "macro_f1")))
        file_name = f"{self.slug}-comparison.png"
        figures.draw_comparison(self.folder / file_name, metrics, "macro-F1 on test, with its 95 % interval")
        yield "Macro-F1 with intervals", file_name
        for heads, (name, group) in self.best_of_heads().items():
            for kind, title, draw in GROUP_FIGURES:
                if kind != "intensity" or set(figures.BEFORE_AND_AFTER) <= set(group.targets):
                    file_name = f"{self.slug}-{kind}-{heads}.png"
                    draw(self.folder / file_name, group)
                    yield f"{title}: {name}", file_name


def best_row(rows: Sequence[tables.Row]) -> tables.Row:
    """The best on validation of the rows with the most seeds: with fewer, a mean is more easily high by chance."""
    return max(rows, key=lambda row: len(row[1].runs))  # of equal ones the first


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
    drawn = [(section, list(section.draw_figures())) for section in sections]
    rows = [(section.slug, name, group) for section in sections for name, group in section.rows]
    template = Template(TEMPLATE.read_text(encoding="utf-8"), trim_blocks=True, keep_trailing_newline=True)
    functions = {"study_command": study_command, "tables": tables, "bootstrap": bootstrap}
    return template.render(functions, sections=drawn, rows=rows, missing=missing)

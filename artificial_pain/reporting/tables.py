"""The tables of a report, in Markdown."""

from collections.abc import Iterator, Sequence

from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation.tables import BASELINES, HEADINGS, UNDEFINED, format_number
from artificial_pain.reporting.groups import Group, Metric
from artificial_pain.reporting.run_files import EMOTION_METRICS, INTENSITY_METRICS

# Wang & Roman (CCN 2025): F1 of MentalRoBERTa on ESConv, by the number of heads.
PUBLISHED = {1: 0.59, 4: 0.63}
PUBLISHED_ON = "MentalRoBERTa, all 1,300 dialogues"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def metric_cell(metric: Metric) -> str:
    """Mean ± standard deviation over the seeds, and the interval over the examples."""
    if metric.mean is None:
        return UNDEFINED
    deviation = "" if metric.deviation is None else f" ± {format_number(metric.deviation)}"
    return f"{format_number(metric.mean)}{deviation}{_interval(metric.interval)}"


def _interval(ends: Sequence[float] | None) -> str:
    return f" [{format_number(ends[0])}, {format_number(ends[1])}]" if ends else ""


def _baseline_cell(scores: dict, metric: str) -> str:
    """A baseline's metric, from evaluation_results.json."""
    if metric not in scores:
        return ""
    value = scores[metric]
    return UNDEFINED if value is None else f"{format_number(value)}{_interval(scores['intervals'][metric])}"


def baseline_scores(groups: Sequence[Group], part: str) -> Iterator[tuple[str, dict]]:
    """Name and scores of the baselines that have the part ("macro_f1" or "intensity"), once for each training split."""
    # Runs of four heads come first: runs of fewer have fewer targets of the same baselines.
    ordered = sorted(groups, key=lambda group: (bool(group.arguments["balanced"]), -len(group.targets)))
    for key, name in BASELINES.items():
        scores_by_split = {}  # by what is added to the name; nothing for the unbalanced split
        for group in ordered:
            split = f", balanced to {group.data['samples_per_label']} a label" if group.arguments["balanced"] else ""
            scores = group.first.results["baselines"].get(key)
            if scores is not None and part in scores:
                scores_by_split.setdefault(split, scores)
        for split, scores in scores_by_split.items():
            if not split or scores != scores_by_split.get(""):  # the majority is counted before the balancing
                yield name + split, scores


def emotion_table(groups: Sequence[Group], names: Sequence[str]) -> str:
    """A row a group, with its macro-F1 on validation; below, the baselines and the published figures."""
    rows = []
    for group, name in zip(groups, names, strict=True):
        metrics = [group.validation, *(group.emotion[metric] for metric in EMOTION_METRICS)]
        rows.append([name, str(len(group.runs)), *map(metric_cell, metrics)])
    for name, scores in baseline_scores(groups, "macro_f1"):
        rows.append([name, "", "", *(_baseline_cell(scores, metric) for metric in EMOTION_METRICS)])
    if groups[0].arguments["dataset_name"] == "ESConv" and groups[0].data["data_source"] != "sample":
        for num_heads, score in PUBLISHED.items():
            heads = "one head" if num_heads == 1 else f"{num_heads} heads"
            rows.append([f"*published*: {PUBLISHED_ON}, {heads}", "", "", f"{score:.2f} (F1)", "", ""])
    headings = [HEADINGS[metric] for metric in EMOTION_METRICS]
    return markdown_table(["", "seeds", "macro-F1 on validation", *headings], rows)


def intensity_table(groups: Sequence[Group], names: Sequence[str]) -> str:
    """For each target a row a group; below, the baselines."""
    rows = []
    for target, target_name in INTENSITIES.items():
        for group, name in zip(groups, names, strict=True):
            if target in group.targets:
                metrics = [group.intensity[target][metric] for metric in INTENSITY_METRICS]
                rows.append([target_name, name, *map(metric_cell, metrics)])
        for name, scores in baseline_scores(groups, "intensity"):
            scores = scores["intensity"]["predicted_label"].get(target_name)
            if scores:
                cells = [_baseline_cell(scores["micro"], metric) for metric in INTENSITY_METRICS]
                rows.append([target_name, name, *cells])
    return markdown_table(["", "", *(HEADINGS[metric] for metric in INTENSITY_METRICS)], rows)


def paired_test_table(comparisons: Sequence[tuple[str, str, set[str], dict]]) -> str:
    """A row for each metric of each pair: both names, the settings in which they differ, and their `paired_tests`."""
    rows = []
    for name, other_name, differences, tests in comparisons:
        for metric, test in tests.items():
            difference = f"{format_number(test['difference'], '+')}{_interval(test['interval'])}"
            rows.append([name, other_name, ", ".join(sorted(differences)), metric, difference, format_p_value(test)])
    return markdown_table(["", "less", "they differ in", "of", "difference", "p"], rows)


def format_p_value(test: dict) -> str:
    """With three digits; "< 0.001" where it is smaller."""
    return "< 0.001" if test["p_value"] < 0.001 else f"{test['p_value']:.3f}"

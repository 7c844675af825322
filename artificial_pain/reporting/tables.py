"""The tables of a report, in Markdown."""

from collections.abc import Iterator, Sequence

from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation.tables import BASELINES, HEADINGS, UNDEFINED, format_number
from artificial_pain.reporting.groups import EMOTION_METRICS, INTENSITY_METRICS, Group, Metric

# Wang & Roman (CCN 2025): F1 of MentalRoBERTa on ESConv, by the number of heads.
PUBLISHED = {1: 0.59, 4: 0.63}
PUBLISHED_ON = "MentalRoBERTa, all 1,300 dialogues"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def cell(metric: Metric) -> str:
    """Mean ± standard deviation over the seeds, and the interval over the examples."""
    if metric.mean is None:
        return UNDEFINED
    deviation = "" if metric.deviation is None else f" ± {format_number(metric.deviation)}"
    return f"{format_number(metric.mean)}{deviation}{_interval(metric.interval)}"


def _interval(ends: Sequence[float] | None) -> str:
    return f" [{format_number(ends[0])}, {format_number(ends[1])}]" if ends else ""


def _of_file(scores: dict, metric: str) -> str:
    """A baseline's metric, from evaluation_results.json."""
    if metric not in scores:
        return ""
    value = scores[metric]
    return UNDEFINED if value is None else f"{format_number(value)}{_interval(scores['intervals'][metric])}"


def baselines(groups: Sequence[Group], part: str) -> Iterator[tuple[str, dict]]:
    """Name and metrics of each baseline that has the part ("macro_f1" or "intensity"); of a training split each."""
    # Runs of all heads before those of fewer, which have fewer targets of the same baselines.
    fullest = sorted(groups, key=lambda group: (bool(group.arguments["balanced"]), -len(group.targets)))
    for name, words in BASELINES.items():
        told = {}
        for group in fullest:
            scores = group.first.results["baselines"].get(name)
            balanced = group.arguments["balanced"] and f", balanced to {group.data['samples_per_label']} a label"
            if scores is not None and part in scores:
                told.setdefault(balanced, scores)
        for balanced, scores in told.items():
            same = balanced and told.get(False) == scores  # a majority of before the balancing
            if not same:
                yield f"{words}{balanced or ''}", scores


def emotion(groups: Sequence[Group], names: Sequence[str]) -> str:
    """A row a group, with its macro-F1 on validation, then the baselines and the published figures."""
    rows = []
    for group, name in zip(groups, names, strict=True):
        validation = Metric.of([run.results["validation"]["macro_f1"] for run in group.runs])
        scores = [cell(group.emotion[metric]) for metric in EMOTION_METRICS]
        rows.append([name, str(len(group.runs)), cell(validation), *scores])
    for name, scores in baselines(groups, "macro_f1"):
        rows.append([name, "", "", *(_of_file(scores, metric) for metric in EMOTION_METRICS)])
    if groups[0].arguments["dataset_name"] == "ESConv" and groups[0].data["data_source"] != "sample":
        for heads, score in PUBLISHED.items():
            words = "one head" if heads == 1 else f"{heads} heads"
            rows.append([f"*published*: {PUBLISHED_ON}, {words}", "", "", f"{score:.2f} (F1)", "", ""])
    headings = [HEADINGS[metric] for metric in EMOTION_METRICS]
    return table(["", "seeds", "macro-F1 on validation", *headings], rows)


def intensity(groups: Sequence[Group], names: Sequence[str]) -> str:
    """For each target a row a group, then the baselines."""
    rows = []
    for target, told in INTENSITIES.items():
        for group, name in zip(groups, names, strict=True):
            if target in group.targets:
                rows.append([told, name, *(cell(group.intensity[target][metric]) for metric in INTENSITY_METRICS)])
        for name, scores in baselines(groups, "intensity"):
            of_target = scores["intensity"]["predicted_label"].get(told)
            if of_target:
                rows.append([told, name, *(_of_file(of_target["micro"], metric) for metric in INTENSITY_METRICS)])
    return table(["", "", *(HEADINGS[metric] for metric in INTENSITY_METRICS)], rows)


def paired(tests: Sequence[tuple[str, str, set[str], dict]]) -> str:
    """A row for each metric of each pair: both names, what they differ in, and `results.paired`."""
    rows = []
    for ours, theirs, differences, of_metrics in tests:
        for metric, test in of_metrics.items():
            difference = f"{format_number(test['difference'], '+')}{_interval(test['interval'])}"
            rows.append([ours, theirs, ", ".join(sorted(differences)), metric, difference, p_value(test)])
    return table(["", "less", "they differ in", "of", "difference", "p"], rows)


def p_value(test: dict) -> str:
    """With three digits, or that it is less."""
    return "< 0.001" if test["p_value"] < 0.001 else f"{test['p_value']:.3f}"

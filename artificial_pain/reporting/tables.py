"""The tables of a report, in Markdown."""

from collections.abc import Iterator, Sequence

from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation.readings import READING_TITLES, READINGS
from artificial_pain.evaluation.tables import BASELINES, UNDEFINED, format_number
from artificial_pain.reporting.groups import Group, Metric, hardware, heads_name
from artificial_pain.reporting.run_files import CALIBRATED_METRICS, EMOTION_METRICS, INTENSITY_METRICS

Row = tuple[str, Group]  # its name on the page
# Wang & Roman (CCN 2025): F1 of MentalRoBERTa on ESConv, by the number of heads.
PUBLISHED = {1: 0.59, 4: 0.63}
PUBLISHED_ON = "MentalRoBERTa, all 1,300 dialogues"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def metric_cell(metric: Metric, sign: str = "") -> str:
    """Mean ± standard deviation over the seeds, and the interval over the examples."""
    if metric.mean is None:
        return UNDEFINED
    deviation = "" if metric.deviation is None else f" ± {format_number(metric.deviation)}"
    interval = f" [{', '.join(map(format_number, metric.interval))}]" if metric.interval else ""
    return format_number(metric.mean, sign) + deviation + interval


def baseline_metric(scores: dict, name: str) -> Metric:
    """A baseline's metric, from evaluation_results.json; without intervals where no example is annotated."""
    return Metric(scores[name], None, scores.get("intervals", {}).get(name))


def _baseline_cells(scores: dict, metrics: Sequence[str]) -> list[str]:
    return [metric_cell(baseline_metric(scores, name)) if name in scores else "" for name in metrics]


def baseline_scores(rows: Sequence[Row], part: str) -> Iterator[tuple[str, dict]]:
    """Name and scores of the baselines that have the part ("macro_f1" or "intensity"), once for each training split.

    The frozen encoder's is there once for each encoder too.
    """
    # Runs of four heads come first: runs of fewer have fewer targets of the same baselines.
    groups = [group for _, group in rows]
    ordered = sorted(groups, key=lambda group: (bool(group.arguments["balanced"]), -len(group.targets)))
    encoders = {group.arguments["model_name"] for group in groups}
    for key, name in BASELINES.items():
        scores_by_split = {}  # by what is added to the name; nothing for the unbalanced split
        for group in ordered:
            of_encoder = f" ({group.arguments['model_name']})" if key == "frozen_ridge" and len(encoders) > 1 else ""
            split = f", balanced to {group.data['samples_per_label']} a label" if group.arguments["balanced"] else ""
            scores = group.first.results["baselines"].get(key, {})
            if part in scores:
                scores_by_split.setdefault(of_encoder + split, scores)
        for added, scores in scores_by_split.items():
            if not added or scores != scores_by_split.get(""):  # the majority is counted before the balancing
                yield name + added, scores


def emotion_table(rows: Sequence[Row]) -> str:
    """A row a group, with its macro-F1 on validation; below, the baselines and the published figures."""
    lines = []
    for name, group in rows:
        metrics = [group.validation_macro_f1, *(group.emotion_metrics[metric] for metric in EMOTION_METRICS)]
        lines.append([name, str(len(group.runs)), *map(metric_cell, metrics), hardware(group.first.record)])
    for name, scores in baseline_scores(rows, "macro_f1"):
        lines.append([name, "", "", *_baseline_cells(scores, EMOTION_METRICS), ""])
    best, blanks = rows[0][1], [""] * len(EMOTION_METRICS)
    if best.corpus == "ESConv":
        for heads, score in PUBLISHED.items():
            lines.append([f"*published*: {PUBLISHED_ON}, {heads_name(heads)}", "", "", f"{score:.2f} (F1)", *blanks])
    return markdown_table(["", "seeds", "macro-F1 on validation", *EMOTION_METRICS.values(), "trained on"], lines)


def intensity_table(rows: Sequence[Row], reading: str) -> str:
    """For each target a row a group, in one of READINGS; below, the baselines."""
    lines = []
    for target, target_name in INTENSITIES.items():
        for name, group in rows:
            if target in group.targets:
                raw, calibrated = (group.intensity_metrics(target, reading, which) for which in (False, True))
                metrics = [raw[metric] for metric in INTENSITY_METRICS]
                metrics += [calibrated[metric] for metric in CALIBRATED_METRICS]
                lines.append([target_name, name, *map(metric_cell, metrics)])
        for name, scores in baseline_scores(rows, "intensity"):
            scores = scores["intensity"][reading].get(target_name)
            if scores:
                blanks = [""] * len(CALIBRATED_METRICS)
                lines.append([target_name, name, *_baseline_cells(scores["micro"], INTENSITY_METRICS), *blanks])
    return markdown_table(["", "", *INTENSITY_METRICS.values(), *CALIBRATED_METRICS.values()], lines)


def inconsistency_table(rows: Sequence[Row]) -> str:
    """A row a group of four heads, with the mean inconsistency of each of READINGS over the seeds."""
    lines = []
    for name, group in rows:
        if "inconsistency" in group.first.results["test"]:
            scores = [run.results["test"]["inconsistency"] for run in group.runs]
            metrics = [Metric.over_seeds([score[reading] for score in scores]) for reading in READINGS]
            lines.append([name, *map(metric_cell, metrics)])
    return markdown_table(["", *READING_TITLES.values()], lines)


def format_p_value(test: dict) -> str:
    """With three digits; "< 0.001" where it is smaller."""
    return "< 0.001" if test["p_value"] < 0.001 else f"{test['p_value']:.3f}"

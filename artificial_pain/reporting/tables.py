"""The tables of a report, in Markdown."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from artificial_pain.data.vocabulary import CALIBRATED, INTENSITIES
from artificial_pain.evaluation.readings import READING_TITLES, READINGS
from artificial_pain.evaluation.tables import BASELINES, UNDEFINED, format_number
from artificial_pain.reporting.groups import Group, Metric, hardware, heads_name
from artificial_pain.reporting.run_files import (
    CALIBRATED_METRICS,
    EMOTION_METRICS,
    INTENSITY_METRICS,
    PROBABILITY_METRICS,
)

Row = tuple[str, Group]  # its name on the page
# Wang & Roman (CCN 2025): F1 of MentalRoBERTa on ESConv, by the number of heads.
PUBLISHED = {1: 0.59, 4: 0.63}
PUBLISHED_ON = "MentalRoBERTa, all 1,300 dialogues"
# Weighted F1 on SAD's split of the IMHI benchmark, as quoted by Yang et al. (WWW 2024) and later papers.
PUBLISHED_IMHI = {"MentalRoBERTa": 0.6844, "MentalQLM": 0.6702, "MentaLLaMA-13B": 0.6362, "MentaLLaMA-7B": 0.6218}
PUBLISHED_IMHI |= {"ChatGPT, zero-shot": 0.5405}


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def metric_cell(metric: Metric, sign: str = "") -> str:
    """Mean ± standard deviation over the seeds, and the interval."""
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

    Those of the frozen encoder are there once for each encoder too.
    """
    # Runs of four heads come first: runs of fewer have fewer targets of the same baselines.
    groups = [group for _, group in rows]
    ordered = sorted(groups, key=lambda group: (bool(group.arguments["balanced"]), -len(group.targets)))
    encoders = {group.arguments["model_name"] for group in groups}
    for key, name in BASELINES.items():
        scores_by_split = {}  # by what is added to the name; nothing for the unbalanced split
        for group in ordered:
            is_several = key.startswith("frozen") and len(encoders) > 1
            of_encoder = f" ({group.arguments['model_name']})" if is_several else ""
            scores = group.first.results["baselines"].get(key, {})
            if part in scores:
                scores_by_split.setdefault(of_encoder + balanced_to(group), scores)
        for added, scores in scores_by_split.items():
            if not added or scores != scores_by_split.get(""):  # the majority is counted before the balancing
                yield name + added, scores


def balanced_to(group: Group) -> str:
    """What is added to the name of a baseline that was fitted to balanced examples; else nothing."""
    return f", balanced to {group.data['samples_per_label']} a label" if group.arguments["balanced"] else ""


def with_ensembles(rows: Sequence[Row]) -> Iterator[Row]:
    """Each row, and after one of several seeds, these averaged."""
    for name, group in rows:
        yield name, group
        if len(group.runs) > 1:
            yield f"{name}, {len(group.runs)} seeds averaged", group.ensemble


def emotion_table(rows: Sequence[Row]) -> str:
    """A row a group, with its macro-F1 on validation; below, the baselines and the published figures."""
    lines = []
    for name, group in with_ensembles(rows):
        metrics = [group.validation_macro_f1, *map(group.emotion_metric, EMOTION_METRICS)]
        lines.append([name, str(len(group.runs)), *map(metric_cell, metrics), hardware(group.first.record)])
    for name, scores in baseline_scores(rows, "macro_f1"):
        lines.append([name, "", "", *_baseline_cells(scores, EMOTION_METRICS), ""])
    for name, metric, cell in published_rows(rows[0][1]):
        cells = [cell if metric == each else "" for each in EMOTION_METRICS]
        lines.append([f"*published*: {name}", "", "", *cells, ""])
    return markdown_table(["", "seeds", "macro-F1 on validation", *EMOTION_METRICS.values(), "trained on"], lines)


def published_rows(best: Group) -> Iterator[tuple[str, str, str]]:
    """Name, metric and cell of the figures that are published for these test examples."""
    if best.corpus == "ESConv":
        for heads, score in PUBLISHED.items():
            yield f"{PUBLISHED_ON}, {heads_name(heads)}", "macro_f1", f"{score:.2f} (F1)"
    if best.corpus == "SAD-imhi":
        for name, score in PUBLISHED_IMHI.items():
            yield name, "weighted_f1", metric_cell(published_metric(score, len(best.labels)))


def published_metric(score: float, n: int) -> Metric:
    """A published figure with the interval that n examples imply, as of a share of right predictions."""
    margin = 1.96 * (score * (1 - score) / n) ** 0.5
    return Metric(score, None, [score - margin, score + margin])


def against_published(best: Group) -> Iterator[tuple[str, float, str]]:
    """Of each published figure of SAD-imhi its name, how much more weighted F1 the group has, and what that shows.

    The published predictions are not known, so the two errors are taken as independent.
    """
    ours = best.emotion_metric("weighted_f1")
    for name, score in PUBLISHED_IMHI.items() if best.corpus == "SAD-imhi" else ():
        theirs = published_metric(score, len(best.labels))
        margins = [np.ptp(each.interval) / 2 for each in (ours, theirs)]
        difference = ours.mean - score
        verdict = "a tie" if abs(difference) <= np.hypot(*margins) else "higher" if difference > 0 else "lower"
        yield name, difference, verdict


def probability_table(rows: Sequence[Row]) -> str:
    """A row a group, before and after the calibration: what its probabilities are worth.

    Averaged seeds have one after it alone: their label is the most probable one of the calibrated averages.
    """
    lines = []
    for name, group in with_ensembles(rows):
        for prefix, calibrated in (("", "no"), (CALIBRATED, "yes"))[(name, group) not in rows :]:
            error = f"{prefix}expected_calibration_error"
            metrics = [group.emotion_metric(f"{prefix}{metric}") for metric in PROBABILITY_METRICS]
            metrics.append(group.emotion_metric(f"{error}_if_calibrated"))
            lines.append([name, calibrated, *map(metric_cell, metrics)])
    return markdown_table(["", "calibrated", *PROBABILITY_METRICS.values(), "of a calibrated model"], lines)


def source_table(rows: Sequence[Row]) -> str:
    """The weighted F1 for each source of the examples: a row a group, and the baselines; "" where none has sources."""
    rows = [row for row in rows if row[1].results[0].get("by_source")]
    if not rows:
        return ""
    sources, lines = rows[0][1].results[0]["by_source"], []
    for name, group in with_ensembles(rows):
        by_source = [[results["by_source"][source] for results in group.results] for source in sources]
        lines.append([name, *(metric_cell(Metric.over_seeds("weighted_f1", each)) for each in by_source)])
    for name, scores in baseline_scores(rows, "by_source"):
        lines.append([name, *(format_number(scores["by_source"][source]["weighted_f1"]) for source in sources)])
    return markdown_table(["", *(f"{source} (n={scores['n']})" for source, scores in sources.items())], lines)


def intensity_table(rows: Sequence[Row], reading: str) -> str:
    """For each target a row a group, in one of READINGS; below, the baselines."""
    lines = []
    for target, target_name in INTENSITIES.items():
        for name, group in with_ensembles(rows):
            if target in group.targets:
                raw, calibrated = (group.intensity_metrics(target, reading, which) for which in (False, True))
                metrics = [raw[metric] for metric in INTENSITY_METRICS]
                metrics += [calibrated[metric] for metric in CALIBRATED_METRICS]
                lines.append([target_name, name, *map(metric_cell, metrics)])
        for name, scores in baseline_scores(rows, "intensity"):
            scores = scores["intensity"].get(reading, {}).get(target_name)  # of pooled folds, one reading alone
            if scores:
                blanks = [""] * len(CALIBRATED_METRICS)
                lines.append([target_name, name, *_baseline_cells(scores["micro"], INTENSITY_METRICS), *blanks])
    return markdown_table(["", "", *INTENSITY_METRICS.values(), *CALIBRATED_METRICS.values()], lines)


def inconsistency_table(rows: Sequence[Row]) -> str:
    """A row a group of four heads, with the mean inconsistency of each of READINGS over the seeds."""
    lines = []
    for name, group in with_ensembles(rows):
        if "inconsistency" in group.first.results["test"]:
            scores = [{r: results["inconsistency"][r] for r in READINGS} for results in group.results]
            metrics = [Metric.over_seeds(reading, scores) for reading in READINGS]
            lines.append([name, *map(metric_cell, metrics)])
    return markdown_table(["", *READING_TITLES.values()], lines)


def format_p_value(p_value: float | None) -> str:
    """With three digits; "< 0.001" where it is smaller."""
    return UNDEFINED if p_value is None else "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def tests_table(tests: Sequence[dict]) -> str:
    """A row a test, see `Section.tests`."""
    lines = []
    for test in tests:
        difference = metric_cell(Metric(test["difference"], None, test["interval"]), "+")
        p_values = [format_p_value(test[name]) for name in ("p_value", "p_value_holm", "p_value_of_models")]
        lines.append([test["name"], test["other_name"], test["differences"], test["metric"], difference, *p_values])
    columns = ["", "less", "they differ in", "of", "difference", "p", "p (Holm)", "p of these models"]
    return markdown_table(columns, lines)


def detectable(tests: Sequence[dict]) -> dict[str, list[float]]:
    """By metric, the least, the median and the greatest of the differences that the tests could have shown."""
    frame = pd.DataFrame(tests).dropna(subset="detectable")
    found = frame.groupby("metric", sort=False)["detectable"]
    return {metric: differences.astype(float).quantile([0, 0.5, 1]).tolist() for metric, differences in found}

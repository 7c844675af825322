"""The page of a subject's representations, and the table for the console."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Template

from artificial_pain.analysis import axis, figures, probes, similarity
from artificial_pain.analysis.measures import TITLES, Measures
from artificial_pain.analysis.probes import WORDS
from artificial_pain.analysis.similarity import DISTANCES
from artificial_pain.analysis.states import BEFORE
from artificial_pain.data.vocabulary import INTENSITIES
from artificial_pain.evaluation import bootstrap
from artificial_pain.evaluation.bootstrap import LEVEL, Scores
from artificial_pain.evaluation.tables import UNDEFINED, format_number
from artificial_pain.reporting.groups import Metric
from artificial_pain.reporting.tables import format_p_value, metric_cell

TEMPLATE = Path(__file__).with_name("page_template.md")


def cell(scores: Scores | None) -> str:
    """Mean ± standard deviation over the seeds, and the interval; of a single seed that over the examples, if any."""
    if scores is None:
        return ""
    mean = float(scores.values.mean())
    if not np.isfinite(mean):
        return UNDEFINED
    if len(scores.values) == 1:
        is_resampled = np.ptp(scores.resampled) > 0
        return metric_cell(Metric(mean, None, bootstrap.interval(scores.resampled[0]) if is_resampled else None))
    return metric_cell(Metric(mean, float(scores.values.std(ddof=1)), bootstrap.compare(scores)["interval"]))


def without_random(scores: pd.Series) -> str:
    """The mean of what `axis.ablate` says of the random directions, and the range of 95 % of it."""
    random = scores.iloc[2:]
    return metric_cell(Metric(random.mean(), None, np.percentile(random, bootstrap.PERCENTILES).tolist()))


def difference_cell(test: dict) -> str:
    return metric_cell(Metric(test["difference"], None, test["interval"]), "+")


def verdict(tests: Sequence[dict], name: str, other: str) -> str:
    """What holds of two settings, in a sentence."""
    shown = [test for test in tests if test["p_value_holm"] < LEVEL]
    if not shown:
        return f"Between {name} and {other}, no difference is shown in any of the {len(tests)} measures."
    titles = ", ".join(f"{test['title']} ({format_number(test['difference'], '+')})" for test in shown)
    return f"{name} less {other}: a difference is shown in {len(shown)} of {len(tests)} measures: {titles}."


def comparisons(measures: Measures) -> list[tuple[str, str, list[dict]]]:
    """Two settings each, that with more heads first, where they have seeds in common."""
    pairs = [(name, other, measures.compare(name, other)) for other, name in combinations(measures.subject.groups, 2)]
    return [pair for pair in pairs if pair[2]]


def table(measures: Measures) -> pd.DataFrame:
    """What is measured of the last layer, a row each, of each of the states, a column each."""
    scores = {name: measures.last_layer(name) for name in measures.states}
    *_, titles = scores.values()  # of the last setting: it has all measures
    return pd.DataFrame({name: [cell(of.get(title)) for title in titles] for name, of in scores.items()}, index=titles)


def draw(measures: Measures, folder: Path) -> None:
    """Draw the figures, but for the map."""
    panels = {}
    for target, by_name in measures.probes.items():
        lines = {name: np.array([each.score.values.mean() for each in layers]) for name, layers in by_name.items()}
        lines[WORDS] = np.full(len(lines[BEFORE]), lines[WORDS])  # which has no layers
        panels[f"{TITLES[target]} ({'r' if target in INTENSITIES else 'macro-F1'})"] = lines
    figures.draw_curves(folder / "probes.png", panels, "layer")
    panels = {f"{TITLES[target]} ({distance})": {} for target in measures.similarities for distance in DISTANCES}
    for target, found in measures.similarities.items():
        for (distance, name), each in found.items():
            panels[f"{TITLES[target]} ({distance})"][name] = each.layers
    figures.draw_curves(folder / "similarity.png", panels, "layer", "rho")
    before_after = {name: values.mean(axis=0) for name, values in measures.cka_with_before.items()}
    figures.draw_cka(folder / "cka.png", before_after)
    if measures.cka_by_layer:
        figures.draw_curves(folder / "cka-runs.png", {"between two runs": measures.cka_by_layer}, "layer", "linear CKA")
    if measures.axes:
        by_title = {TITLES[target]: by_name for target, by_name in measures.axes.items()}
        figures.draw_angles(folder / "axis.png", by_title, measures.label_names)


def page(measures: Measures, folder: Path, map_alone: bool) -> str:
    """The page in Markdown; its figures are drawn into `folder`."""
    names = [BEFORE, *measures.subject.groups]
    states = {name: measures.states[name][0].last("test") for name in names}
    figures.draw_map(folder / "map.png", states, measures.test, next(iter(measures.intensities), None))
    if not map_alone:
        draw(measures, folder)
    template = Template(TEMPLATE.read_text(encoding="utf-8"), trim_blocks=True, keep_trailing_newline=True)
    functions = [cell, difference_cell, without_random, verdict, comparisons, table, format_p_value, format_number]
    context = {function.__name__: function for function in functions}
    context |= {"m": measures, "map_alone": map_alone, "folder": folder.name, "titles": TITLES}
    return template.render(context, probes=probes, similarity=similarity, axis=axis)

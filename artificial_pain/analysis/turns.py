"""What a model says after each turn of a seeker, in one dialogue and in the mean of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from artificial_pain.analysis.figures import draw_curves
from artificial_pain.data.vocabulary import INTENSITIES, PROBABILITY
from artificial_pain.errors import UserError
from artificial_pain.evaluation import bootstrap
from artificial_pain.evaluation.readings import READINGS
from artificial_pain.evaluation.tables import format_number
from artificial_pain.reporting.groups import Metric
from artificial_pain.reporting.tables import format_p_value, metric_cell
from artificial_pain.runs.predictor import Predictor

PLACES = np.linspace(0, 1, 11)  # of a dialogue: 0 is its first turn, 1 its last
STEPS = ["strategy", "turns", "quantity", "step", "beyond", "interval", "p_value"]  # columns of `Followed.steps`
WORDS = 6  # of a turn, in the table and the figure
OF_EMOTION = "probability of the emotion"  # of the annotated one; beside the intensities
MIN_DIALOGUES = 10  # with a strategy: of fewer, the error over dialogues is not known
SEED = 0


def after_each_turn(predictor: Predictor, dialogues: Sequence[Sequence[str]]) -> list[pd.DataFrame]:
    """What the model predicts of the first turn, of the first two, and so on: a frame a dialogue, with a row a turn.

    As `Predictor` returns it. The intensities `initial`, `final` and `change` are those expected over the emotions.
    """
    predicted = predictor([" ".join(turns[: i + 1]) for turns in dialogues for i in range(len(turns))])
    for name in INTENSITIES.values():
        if name in predicted:
            predicted[name] = predicted[f"{name}{READINGS['expected']}"]
    lengths = list(map(len, dialogues))
    ends = np.cumsum(lengths)
    return [predicted.iloc[end - n : end].reset_index(drop=True) for n, end in zip(lengths, ends, strict=True)]


def first_words(turn: str) -> str:
    words = turn.split()
    return " ".join(words[:WORDS]) + (" …" if len(words) > WORDS else "")


def table(predicted: pd.DataFrame, turns: Sequence[str]) -> pd.DataFrame:
    """A row a turn of one dialogue."""
    columns = {"turn": range(1, len(turns) + 1), "emotion": predicted["emotion"]}
    columns["probability"] = predicted.filter(like=PROBABILITY).max(axis=1).map(format_number)
    columns |= {name: predicted[name].map(format_number) for name in INTENSITIES.values() if name in predicted}
    return pd.DataFrame(columns | {"begins with": [*map(first_words, turns)]})


def draw(path: Path, predicted: pd.DataFrame, turns: Sequence[str], annotated: dict[str, float]) -> None:
    """The curves of one dialogue, over the first words of its turns; rings are annotated intensities, at its ends."""
    emotions = {name: predicted[PROBABILITY + name].to_numpy() for name in predicted["emotion"].unique()}
    intensities = {name: predicted[name].to_numpy() for name in INTENSITIES.values() if name in predicted}
    panels = {"probability of an emotion": emotions}
    panels |= {f"intensity{' (rings: annotated)' if annotated else ''}": intensities} if intensities else {}
    last, ticks = len(turns) - 1, (range(len(turns)), list(map(first_words, turns)))
    rings = {name: (0 if name == "initial" else last, value) for name, value in annotated.items()}
    draw_curves(path, panels, "", ticks=ticks, rings=rings)


@dataclass(frozen=True)
class Followed:
    """Dialogues, and what the model says after each of their turns: a frame each, with a row a turn.

    The columns are the probability of the dialogue's annotated emotion, and the intensities if there are any.
    """

    values: list[pd.DataFrame]
    shuffled: list[pd.DataFrame]  # the same turns in a random order
    strategies: list[list[list[str]]]  # of the supporter, before each turn

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """In both orders the values at PLACES, interpolated: (dialogues, places, quantities)."""

        def at_places(frame: pd.DataFrame) -> list[np.ndarray]:
            return np.transpose([np.interp(PLACES, np.linspace(0, 1, len(frame)), frame[name]) for name in frame])

        orders = {"in their order": self.values, "shuffled turns": self.shuffled}
        return {name: np.stack(list(map(at_places, frames))) for name, frames in orders.items()}

    def steps(self) -> pd.DataFrame:
        """A row for each strategy and quantity: the mean `step` of the quantity with the seeker's turn after it; and
        `beyond` the mean step at turns of that number, with its `interval` and `p_value` over dialogues.

        These are of t, with the bootstrap's error over the dialogues, and as many degrees of freedom as dialogues have
        the strategy, less 1. A turn after several strategies counts for each. A strategy of few dialogues is left out.
        """
        from scipy.stats import t

        steps = pd.concat([frame.diff().iloc[1:].assign(dialogue=i) for i, frame in enumerate(self.values)])
        names = list(self.values[0])
        beyond = steps[names] - steps.groupby(level=0)[names].transform("mean")
        said = [set(strategies) for turns in self.strategies for strategies in turns[1:]]
        rows, counts = [], bootstrap.resample_counts(len(self.values))
        for strategy in sorted(set().union(*said)):
            after = np.array([strategy in each for each in said])
            sums = beyond[after].groupby(steps["dialogue"][after].to_numpy()).sum()
            if len(sums) < MIN_DIALOGUES:
                continue
            sums["turns"] = steps["dialogue"][after].value_counts()
            resampled = pd.DataFrame(counts[:, sums.index] @ sums, columns=sums.columns)
            for name in names:
                mean = beyond[name][after].mean()
                error = (resampled[name] / resampled["turns"]).std()  # without the resamples that lack the strategy
                margin = t.ppf(1 - bootstrap.LEVEL / 2, len(sums) - 1) * error
                p_value = 2 * t.sf(abs(mean) / max(error, bootstrap.TOLERANCE), len(sums) - 1)
                row = [strategy, after.sum(), name, steps[name][after].mean(), mean, [mean - margin, mean + margin]]
                rows.append([*row, p_value])
        return pd.DataFrame(rows, columns=STEPS)


def follow(predictor: Predictor, dialogues: pd.DataFrame) -> Followed:
    """Follow dialogues of two turns or more, with their `turns`, `strategies` and `label_name`.

    Raises UserError where there are none.
    """
    rng = np.random.default_rng(SEED)
    dialogues = dialogues[dialogues["turns"].map(len) > 1]
    if dialogues.empty:
        raise UserError("the split has no dialogue of two turns or more by the seeker: give a --dialogue")
    shuffled = [[turns[i] for i in rng.permutation(len(turns))] for turns in dialogues["turns"]]
    orders = []
    for order in (dialogues["turns"].tolist(), shuffled):
        frames = zip(after_each_turn(predictor, order), dialogues["label_name"], strict=True)
        orders.append(
            [
                frame.rename(columns={PROBABILITY + label: OF_EMOTION}).filter([OF_EMOTION, *INTENSITIES.values()])
                for frame, label in frames
            ]
        )
    return Followed(*orders, dialogues["strategies"].tolist())


def draw_mean(path: Path, followed: Followed) -> None:
    """The mean curve of each quantity with its 95 % interval, in the turns' own order and shuffled."""
    panels: dict[str, dict] = {name: {} for name in followed.values[0]}
    for order, curves in followed.curves.items():
        resampled = np.tensordot(bootstrap.resample_counts(len(curves)), curves, 1) / len(curves)
        bands = np.stack([curves.mean(axis=0), *np.percentile(resampled, bootstrap.PERCENTILES, axis=0)])
        for i, lines in enumerate(panels.values()):
            lines[order] = bands[..., i].T
    draw_curves(path, panels, "", ticks=([0, len(PLACES) - 1], ["first turn", "last turn"]))


def mean_table(followed: Followed) -> pd.DataFrame:
    """A row a quantity: its mean after the first and the last turn, how far it moves, also with shuffled turns, and the
    difference of the two, each with its interval over dialogues.
    """
    own, shuffled = (curves[:, [0, -1]] for curves in followed.curves.values())
    moves, of_shuffled = own[:, 1] - own[:, 0], shuffled[:, 1] - shuffled[:, 0]
    columns = {"first turn": own[:, 0], "last turn": own[:, 1], "moves": moves, "moves, shuffled": of_shuffled}
    counts = bootstrap.resample_counts(len(own)) / len(own)

    def cell(values: np.ndarray) -> str:
        return metric_cell(Metric(values.mean(), None, bootstrap.interval(counts @ values)))

    columns["difference"] = moves - of_shuffled
    cells = {title: list(map(cell, values.T)) for title, values in columns.items()}
    return pd.DataFrame({"quantity": list(followed.values[0]), **cells})


def step_table(followed: Followed) -> pd.DataFrame:
    """`Followed.steps` to show, with p corrected for all its rows."""
    steps = followed.steps()
    beyond = [metric_cell(Metric(row.beyond, None, row.interval), "+") for row in steps.itertuples()]
    p_values = {"p": steps["p_value"], "p (Holm)": bootstrap.holm(steps["p_value"])}
    cells = {"step": map(format_number, steps["step"]), "beyond what is usual at that turn": beyond}
    cells |= {title: map(format_p_value, values) for title, values in p_values.items()}
    return steps[["strategy", "turns", "quantity"]].assign(**{title: list(each) for title, each in cells.items()})

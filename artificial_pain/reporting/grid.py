"""The published grid of runs: encoders x corpora x balanced or not x one head or four."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from artificial_pain import encoders

PUBLISHED_ENCODERS = list(encoders.ENCODERS)[:3]
DATASETS = {"classification": ["SAD", "ESConv"], "intensity": ["ESConv"]}
BALANCES = {"unbalanced": [], "balanced": ["--balanced"]}


@dataclass(frozen=True)
class Cell:
    """A cell of the grid: one dataloader's splits, and the runs of all seeds on them."""

    task: str
    dataset_name: str
    balance: str
    model_name: str

    def __str__(self) -> str:
        return f"{self.task}, {self.dataset_name} {self.balance}, {self.model_name}"


def grid(model_names: Sequence[str]) -> list[Cell]:
    """The cells of these encoders; the intensity task has ESConv alone."""
    cells = product(DATASETS["classification"], BALANCES, model_names, DATASETS)
    return [Cell(task, *rest) for *rest, task in cells if rest[0] in DATASETS[task]]

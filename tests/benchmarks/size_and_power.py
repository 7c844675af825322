"""How often the tests and intervals of a report are wrong, and what they find, on settings whose truth is known.

PYTHONPATH=. python tests/benchmarks/size_and_power.py --simulations 1000

A setting is trained with several seeds and tested on n sentences. Whether a model predicts a sentence right follows
from how hard the sentence is for all, how hard it is for the setting, what the seed makes of it, and how good the seed
is. Two settings of the same mean have no true difference. The table, in Markdown, has a row a case. Its columns are the
shares of simulations in which each test finds a difference at the level of 0.05, and in which the 95 % intervals have
the true value.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from tqdm import tqdm

from artificial_pain.evaluation import bootstrap, classification

SAD = np.array([999, 856, 854, 804, 798, 676, 650, 624, 589]) / 6850  # shares of the labels
ESCONV = np.array([71, 67, 62, 22, 19, 9, 8]) / 258
POPULATION = 200_000  # sentences, to know the true macro-F1
PERMUTATIONS = 1000


@dataclass(frozen=True)
class Case:
    """What is simulated; spreads are of the latent skill, in which sentences have a spread of 1."""

    name: str
    shares: np.ndarray  # of the labels
    n: int
    seeds: int
    seed_spread: float  # of the seeds
    setting_spread: float = 0.0  # of what two settings make of a sentence
    noise: float = 0.45  # of what a seed makes of a sentence
    difference: float = 0.0  # of the settings' true macro-F1, about

    def draw(self, rng: np.random.Generator, n: int, of_seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """True labels (n,), and both settings' predictions (2, seeds, n). of_seeds: the seeds' skills (2, seeds, 1)."""
        labels = rng.choice(len(self.shares), n, p=self.shares)
        confused = (labels + rng.integers(1, len(self.shares), n)) % len(self.shares)
        skill = 0.45 + 1.5 * (self.shares - self.shares.mean())[labels] + rng.normal(size=n)
        skill = skill + rng.normal(0, self.setting_spread, (2, 1, n)) if self.setting_spread else skill[None, None]
        skill = skill + rng.normal(0, self.noise, (2, of_seeds.shape[1], n)) + of_seeds
        skill[0] += 3 * self.difference  # a skill of 0.03 is an F1 of about 0.01
        return labels, np.where(skill > 0, labels, confused)


CASES = [
    Case("the same setting twice", SAD, 1371, 5, 0.033),
    Case("the same setting twice, seeds of one skill", SAD, 1371, 5, 0.0),
    Case("the same setting twice", SAD, 684, 5, 0.033),
    Case("the same setting twice", ESCONV, 258, 5, 0.033),
    Case("the same setting twice", SAD, 1371, 3, 0.033),
    Case("the same setting twice", SAD, 1371, 2, 0.033),
    Case("the same setting twice", ESCONV, 258, 2, 0.033),
    Case("two settings", SAD, 1371, 5, 0.033, 0.3),
    Case("two settings", SAD, 684, 5, 0.033, 0.3),
    Case("two settings", ESCONV, 258, 5, 0.033, 0.3),
    Case("a better setting", SAD, 1371, 5, 0.033, difference=0.02),
    Case("a better setting", SAD, 684, 5, 0.033, difference=0.03),
    Case("two settings, one better", SAD, 1371, 5, 0.033, 0.3, difference=0.03),
    Case("two settings, one better", ESCONV, 258, 5, 0.033, 0.3, difference=0.06),
]


def scores_of(labels: np.ndarray, predictions: np.ndarray, classes: int) -> bootstrap.Scores:
    """The macro-F1 of a setting's seeds (seeds, n), and in the resamples."""
    resampled = [classification.resampled_scores(labels, each, classes)["macro_f1"] for each in predictions]
    sums = [classification.summands(labels, each, classes).sum(axis=0) for each in predictions]
    return bootstrap.Scores(classification.macro_f1(np.array(sums)), np.array(resampled))


def resampled_seeds(rng: np.random.Generator, ours: bootstrap.Scores, theirs: bootstrap.Scores) -> bool:
    """Whether the percentile interval of the plain bootstrap, which draws seeds as it draws examples, is without 0."""
    drawn = []
    for scores in (ours, theirs):
        seeds, resamples = scores.resampled.shape
        rows = rng.integers(seeds, size=(seeds, resamples))
        drawn.append(np.take_along_axis(scores.resampled, rows, axis=0).mean(axis=0))
    low, high = np.percentile(drawn[0] - drawn[1], bootstrap.PERCENTILES)
    return not low <= 0 <= high


def simulate(case: Case, simulations: int) -> list[str]:
    """A row of the table."""
    rng, classes = np.random.default_rng(0), len(case.shares)
    skills = case.seed_spread * norm.ppf((np.arange(40) + 0.5) / 40)[:, None]
    labels, predictions = case.draw(rng, POPULATION, np.stack([skills, skills]))
    sums = np.array([[classification.summands(labels, each, classes).sum(0) for each in both] for both in predictions])
    truth = classification.macro_f1(sums).mean(axis=1)
    found = []
    for _ in tqdm(range(simulations), case.name, leave=False, disable=None):
        labels, predictions = case.draw(rng, case.n, rng.normal(0, case.seed_spread, (2, case.seeds, 1)))
        ours, theirs = (scores_of(labels, each, classes) for each in predictions)
        tested, mean = bootstrap.compare(ours, theirs), bootstrap.compare(ours)
        summands = [np.stack([classification.summands(labels, each, classes) for each in both]) for both in predictions]
        low, high = tested["interval"]
        found.append(
            {
                "deviation": ours.values.std(ddof=1),
                "settings": tested["p_value"] < bootstrap.LEVEL,
                "models": bootstrap.permutation_test(classification.macro_f1, *summands) < bootstrap.LEVEL,
                "plain": resampled_seeds(rng, ours, theirs),
                "difference": low <= truth[0] - truth[1] <= high,
                "mean": mean["interval"][0] <= truth[0] <= mean["interval"][1],
                "detectable": tested["detectable"],
            }
        )
    share = {name: np.mean([each[name] for each in found]) for name in found[0]}
    percent = [f"{100 * share[name]:.1f} %" for name in ("settings", "plain", "models", "difference", "mean")]
    shown = [f"{truth[0] - truth[1]:+.3f}", f"{share['deviation']:.3f}", *percent]
    return [case.name, str(case.n), str(case.seeds), *shown, f"{np.median([each['detectable'] for each in found]):.3f}"]


COLUMNS = ["case", "examples", "seeds", "true difference", "standard deviation over the seeds", "test of settings"]
COLUMNS += ["seeds resampled by the plain bootstrap", "test of the trained models", "interval of the difference"]
COLUMNS += ["interval of the mean", "detectable, median"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--simulations", type=int, default=1000)
    args = parser.parse_args()
    bootstrap.PERMUTATIONS = PERMUTATIONS
    for row in (COLUMNS, ["---"] * len(COLUMNS)):
        print("|", " | ".join(row), "|")
    for case in CASES:
        print("|", " | ".join(simulate(case, args.simulations)), "|", flush=True)


if __name__ == "__main__":
    main()

"""Labels, the published split, and the balancing of its training part."""

from collections.abc import Callable
from pathlib import Path
from reprlib import repr as shown

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from artificial_pain.data.vocabulary import SPLITS
from artificial_pain.errors import UserError

MIN_EXAMPLES = 15  # published: an emotion with fewer dialogues is dropped
# Published: 30 % leave the training split, and of those 66.67 % are the test split, the rest validation.
HELD_OUT_SHARE = 0.3
TEST_SHARE = 0.6667
# From this many examples on, the stratified shares above give every split at least one: 14 -> 4 -> 1 of validation.
MIN_TO_SPLIT = 14
MAX_CROP = 0.3  # published: the share of a sentence's words that a variation may cut
MIN_WORDS = 3  # published: what a variation leaves at least
MAX_TRIES = 1000


def drop_rare(frame: pd.DataFrame, minimum: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Without the labels of fewer than `minimum` examples, and those labels with their numbers of examples."""
    counts = frame["label_name"].value_counts()
    dropped = counts[counts < minimum]
    return frame[~frame["label_name"].isin(dropped.index)], {name: int(n) for name, n in dropped.items()}


def add_labels(frame: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The frame with `label`, an index into the labels' names in alphabetical order, and those names.

    Raises UserError where there are too few labels, or examples of one, to split.
    """
    counts = frame["label_name"].value_counts()
    names = sorted(counts.index)
    if len(names) < 2:
        raise UserError(
            f"{path}: expected two labels or more with enough examples (emotions: {MIN_EXAMPLES}), found {shown(names)}"
        )
    rare = counts.index[-1]
    if counts[rare] < MIN_TO_SPLIT:
        raise UserError(
            f"{path}: label {shown(rare)} has {counts[rare]} examples: expected at least {MIN_TO_SPLIT}, "
            "so that each split gets one"
        )
    return frame.assign(label=frame["label_name"].map(names.index)), names


def split(frame: pd.DataFrame, held_out: float, test_share: float, seed: int) -> dict[str, pd.DataFrame]:
    """The published stratified split, 70/10/20."""
    train, rest = train_test_split(frame, test_size=held_out, stratify=frame["label"], random_state=seed)
    validation, test = train_test_split(rest, test_size=test_share, stratify=rest["label"], random_state=seed)
    parts = {"train": train, "validation": validation, "test": test}
    return {name: part.assign(made=False) for name, part in parts.items()}


def drop_turns(row: dict, rng: np.random.Generator) -> str:
    """The first and last seeker turn, and a random subset, of any size, of those between, in order."""
    turns = row["turns"]
    if len(turns) < 3:
        return row["text"]
    between = np.arange(1, len(turns) - 1)
    kept = np.sort(rng.choice(between, size=rng.integers(0, len(between) + 1), replace=False))
    return " ".join([turns[0], *(turns[i] for i in kept), turns[-1]])


def crop_words(row: dict, rng: np.random.Generator) -> str:
    """Up to 30 % of the words cut from the two ends, at least 3 words left; a shorter sentence as it is."""
    words = row["text"].split()
    if len(words) <= MIN_WORDS:
        return row["text"]
    most = min(int(MAX_CROP * len(words)), len(words) - MIN_WORDS)
    cut = rng.integers(0, most + 1)
    left = rng.integers(0, cut + 1)
    return " ".join(words[left : len(words) - (cut - left)])


AUGMENTATIONS: dict[str, Callable[[dict, np.random.Generator], str]] = {"ESConv": drop_turns, "SAD": crop_words}


def balance(
    splits: dict[str, pd.DataFrame], samples_per_label: int, vary: Callable, seed: int
) -> dict[str, pd.DataFrame]:
    """The splits with exactly `samples_per_label` training examples a label.

    A label with more is sampled down without replacement; one with fewer keeps all and gains made ones: variations of
    random training examples of that label, which keep the index of what they are made from and have `made` True.
    A variation that happens to be a text of validation or test is drawn again.
    """
    rng = np.random.default_rng(seed)
    held_out = set(splits["validation"]["text"]) | set(splits["test"]["text"])
    groups = []
    for _, group in splits["train"].groupby("label_name"):
        if len(group) >= samples_per_label:
            groups.append(group.iloc[np.sort(rng.choice(len(group), samples_per_label, replace=False))])
            continue
        sources, texts = _augment(group, samples_per_label - len(group), vary, rng, held_out)
        groups += [group, group.iloc[sources].assign(text=texts, made=True)]
    return {**splits, "train": pd.concat(groups)}


def _augment(
    group: pd.DataFrame, number: int, vary: Callable, rng: np.random.Generator, held_out: set[str]
) -> tuple[list[int], list[str]]:
    """`number` variations of random rows of the group, none of them in `held_out`: the rows' positions, the texts."""
    rows = group.to_dict("records")
    sources, texts = [], []
    for _ in range(MAX_TRIES * number):
        if len(texts) == number:
            return sources, texts
        source = int(rng.integers(len(rows)))
        text = vary(rows[source], rng)
        if text not in held_out:
            sources.append(source)
            texts.append(text)
    label_name = rows[0]["label_name"]
    raise UserError(
        f"label {shown(label_name)} cannot be balanced: its training texts stand in validation or test too, and so "
        "does whatever is made of them: remove repeated texts from the corpus"
    )


def label_counts(frame: pd.DataFrame) -> dict[str, int]:
    """The number of examples of each label, in alphabetical order."""
    return {name: int(n) for name, n in frame["label_name"].value_counts().sort_index().items()}


def split_overlap(splits: dict[str, pd.DataFrame]) -> dict[str, int]:
    """For each pair of splits, how many distinct texts stand in both."""
    texts = {name: set(splits[name]["text"]) for name in SPLITS}
    pairs = [("train", "validation"), ("train", "test"), ("validation", "test")]
    return {f"{one}/{other}": len(texts[one] & texts[other]) for one, other in pairs}

"""Labels, the stratified split, and the balancing of its training part."""

from collections.abc import Callable
from itertools import combinations
from reprlib import repr as short_repr

import numpy as np
import pandas as pd

from artificial_pain.data import cleaning, examples
from artificial_pain.data.vocabulary import SPLIT, SPLITS
from artificial_pain.errors import UserError, logger

# From this many examples on, the published shares (0.3 held out, 0.6667 of those for test) give every split at least
# one: 14 -> 4 -> 1 of validation.
MIN_TO_SPLIT = 14
MAX_TRIES = 1000  # for an augmented text that is not held out, on average

Frames = dict[str, pd.DataFrame]  # by the name of the split
Augment = Callable[[dict, np.random.Generator], str]  # a row of the frame to a new text


def deduplicate(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the first example of each text, in whatever case; leave out texts with labels that contradict each other.

    `frame.attrs["duplicates"]` has how many examples were left out, as `repeated` and as `contradictory`. A warning
    tells of the latter.
    """
    keys = frame["text"].map(cleaning.text_key)
    contradictory = frame.groupby(keys)["label_name"].transform("nunique") > 1
    repeated = keys.duplicated() & ~contradictory
    left_out = {"repeated": int(repeated.sum()), "contradictory": int(contradictory.sum())}
    if left_out["contradictory"]:
        texts = keys[contradictory].nunique()
        logger.warning(f"{texts} texts have several labels: their {left_out['contradictory']} examples are left out")
    kept = frame[~repeated & ~contradictory]
    kept.attrs["duplicates"] = left_out
    return kept


def drop_rare(frame: pd.DataFrame, min_examples: int) -> pd.DataFrame:
    """Drop the labels with fewer than `min_examples` examples; `frame.attrs["dropped_labels"]` has their counts."""
    counts = frame["label_name"].value_counts()
    rare = counts[counts < min_examples].to_dict()
    kept = frame[~frame["label_name"].isin(rare)]
    kept.attrs["dropped_labels"] = rare
    return kept


def add_labels(frame: pd.DataFrame, source: examples.Source, min_examples: int) -> tuple[pd.DataFrame, list[str]]:
    """Add the column `label`, an index into the label names in alphabetical order; also return those names.

    Raises UserError where there are too few labels, or too few examples of one, to split or in a given split; `source`
    and `min_examples`, which `drop_rare` has applied to emotions, are for the message.
    """
    counts = frame["label_name"].value_counts()
    names = sorted(counts.index)
    if len(names) < 2:
        enough = f"enough examples (emotions: {min_examples})"
        raise UserError(f"{source}: expected two labels or more with {enough}, found {short_repr(names)}")
    rarest = counts.index[-1]
    if SPLIT in frame:
        _require_trainable(frame, source)
    elif counts[rarest] < MIN_TO_SPLIT:
        found = f"label {short_repr(rarest)} has {counts[rarest]} examples"
        raise UserError(f"{source}: {found}: expected at least {MIN_TO_SPLIT}, so that each split gets one")
    return frame.assign(label=frame["label_name"].map({name: i for i, name in enumerate(names)})), names


def _require_trainable(frame: pd.DataFrame, source: examples.Source) -> None:
    """Raise UserError where a given split has no examples, or a label no training examples."""
    labels = {name: set(frame["label_name"][frame[SPLIT] == name]) for name in SPLITS}
    empty = [name for name, names in labels.items() if not names]
    untrained = sorted(set(frame["label_name"]) - labels["train"])
    if empty or untrained:
        lack = f"no {empty[0]} examples" if empty else f"no training example of label {short_repr(untrained[0])}"
        raise UserError(f"{source}: its column 'split' gives {lack}: mend it, or rename it for a random split")


def split(
    frame: pd.DataFrame, held_out_share: float, test_share: float, seed: int, folds: int | None, fold: int | None
) -> Frames:
    """Split into train, validation and test, stratified by `label`.

    `held_out_share` of the examples leave the training split; `test_share` of those are the test split, the rest are
    the validation split. With `folds`, the test split is one of so many equal parts, the `fold`-th from 1, and
    validation is as large as without. A corpus that has a column `split` is split by it. Adds the column `augmented`,
    False.

    Raises UserError where there are folds and a column `split`, or a label has fewer examples than there are folds.
    """
    if SPLIT in frame and folds:
        raise UserError("the corpus has a column 'split': leave out --fold and --folds, or rename the column")
    if SPLIT in frame:
        given, frame = frame[SPLIT], frame.drop(columns=SPLIT)
        parts = [frame[given == name] for name in SPLITS]
    else:
        from sklearn.model_selection import train_test_split  # here: the training reads splits, and draws none

        def draw(frame: pd.DataFrame, size: float) -> list[pd.DataFrame]:
            return train_test_split(frame, test_size=size, stratify=frame["label"], random_state=seed)

        if folds:
            others, test = _fold(frame, folds, fold, seed)
            train, validation = draw(others, round(held_out_share * (1 - test_share) * len(frame)))
        else:
            train, held_out = draw(frame, held_out_share)
            validation, test = draw(held_out, test_share)
        parts = [train, validation, test]
    return {name: part.assign(augmented=False) for name, part in zip(SPLITS, parts, strict=True)}


def _fold(frame: pd.DataFrame, folds: int, fold: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The examples that are not in the fold, and those that are."""
    from sklearn.model_selection import StratifiedKFold

    counts = frame["label_name"].value_counts()
    if counts.min() < folds:
        rarest = f"label {short_repr(counts.idxmin())} has {counts.min()} examples"
        raise UserError(f"--folds {folds}: {rarest}: each fold needs one: give fewer folds")
    rows = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(frame, frame["label"]))[fold - 1]
    return tuple(frame.iloc[some] for some in rows)


def drop_turns(row: dict, rng: np.random.Generator) -> str:
    """Keep the first and last seeker turn, and a random subset, of any size, of those between, in order."""
    turns = row["turns"]
    if len(turns) < 3:
        return row["text"]
    between = np.arange(1, len(turns) - 1)
    kept = np.sort(rng.choice(between, size=rng.integers(0, len(between) + 1), replace=False))
    return " ".join([turns[0], *(turns[i] for i in kept), turns[-1]])


def crop_words(row: dict, rng: np.random.Generator, max_crop: float, min_words: int) -> str:
    """Cut up to the share `max_crop` of the words from the two ends, but keep `min_words` words."""
    words = row["text"].split()
    if len(words) <= min_words:
        return row["text"]
    max_cut = min(int(max_crop * len(words)), len(words) - min_words)
    cut = rng.integers(0, max_cut + 1)
    left = rng.integers(0, cut + 1)
    return " ".join(words[left : len(words) - (cut - left)])


def balance(splits: Frames, samples_per_label: int, augment: Augment, seed: int) -> Frames:
    """Give each label exactly `samples_per_label` training examples; validation and test stay as they are.

    A label with more is sampled down without replacement. One with fewer keeps all and gains augmented examples: each
    has a text that `augment` makes from a random training example of that label, the index and the other columns of
    that example, and `augmented` True. A text that happens to stand in validation or test is drawn again. Raises
    UserError where too few others are found.
    """
    rng = np.random.default_rng(seed)
    held_out = set(splits["validation"]["text"]) | set(splits["test"]["text"])
    groups = []
    for _, group in splits["train"].groupby("label_name"):
        if len(group) >= samples_per_label:
            groups.append(group.iloc[np.sort(rng.choice(len(group), samples_per_label, replace=False))])
            continue
        groups += [group, _augment(group, samples_per_label - len(group), augment, rng, held_out)]
    return {**splits, "train": pd.concat(groups)}


def _augment(
    group: pd.DataFrame, number: int, augment: Augment, rng: np.random.Generator, held_out: set[str]
) -> pd.DataFrame:
    """Make `number` examples from random rows of the group, with texts that are not in `held_out`."""
    rows = group.to_dict("records")
    positions, texts = [], []
    for _ in range(MAX_TRIES * number):
        if len(texts) == number:
            return group.iloc[positions].assign(text=texts, augmented=True)
        position = int(rng.integers(len(rows)))
        text = augment(rows[position], rng)
        if text not in held_out:
            positions.append(position)
            texts.append(text)
    reason = "its training texts stand in validation or test too, and so does whatever is made of them"
    label = short_repr(rows[0]["label_name"])
    raise UserError(f"label {label} cannot be balanced: {reason}: remove repeated texts from the corpus")


def label_counts(frame: pd.DataFrame) -> dict[str, int]:
    """The number of examples of each label, in alphabetical order."""
    return frame["label_name"].value_counts().sort_index().to_dict()


def split_overlap(splits: Frames) -> dict[str, int]:
    """For each pair of splits, how many distinct texts, in whatever case, stand in both."""
    texts = {name: cleaning.text_keys(splits[name]["text"]) for name in SPLITS}
    return {f"{one}/{other}": len(texts[one] & texts[other]) for one, other in combinations(SPLITS, 2)}

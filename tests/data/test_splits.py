"""Labels, the published split and the balancing."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from artificial_pain.data import splits
from artificial_pain.data.sources import IMHI, add_imhi_split, locate, read_corpus
from artificial_pain.errors import UserError
from artificial_pain.storage import checksum

MIN_EXAMPLES = 15
AUGMENTATIONS = {"ESConv": splits.drop_turns, "SAD": partial(splits.crop_words, max_crop=0.3, min_words=3)}


def published_split(frame: pd.DataFrame, seed: int = 42) -> dict[str, pd.DataFrame]:
    return splits.split(frame, held_out_share=0.3, test_share=0.6667, seed=seed, folds=None, fold=None)


@pytest.fixture(scope="module")
def esconv() -> pd.DataFrame:
    frame, _ = splits.add_labels(read_corpus("ESConv", locate("ESConv", "sample")), "sample", MIN_EXAMPLES)
    return frame


@pytest.fixture(scope="module")
def sad() -> pd.DataFrame:
    frame = read_corpus("SAD", locate("SAD", "sample"), "original_label")
    frame, _ = splits.add_labels(frame, "sample", MIN_EXAMPLES)
    return frame


def toy(counts: dict[str, int]) -> pd.DataFrame:
    names = [name for name, n in counts.items() for _ in range(n)]
    return pd.DataFrame({"text": [f"text number {i} of it" for i in range(len(names))], "label_name": names})


def test_labels_are_indexed_in_alphabetical_order():
    frame, names = splits.add_labels(toy({"sadness": 14, "anger": 15}), "toy", MIN_EXAMPLES)
    assert names == ["anger", "sadness"]
    assert frame["label"].tolist() == [1] * 14 + [0] * 15


def test_labels_with_too_few_examples_are_dropped_and_counted():
    frame = splits.drop_rare(toy({"anger": 15, "disgust": 14, "fear": 1}), MIN_EXAMPLES)
    assert set(frame["label_name"]) == {"anger"}
    assert frame.attrs["dropped_labels"] == {"disgust": 14, "fear": 1}


@pytest.mark.parametrize(
    ("counts", "message"),
    [({"anger": 20, "fear": 13}, "'fear' has 13"), ({"anger": 20}, r"found \['anger'\]"), ({}, r"found \[\]")],
)
def test_too_few_labels_or_examples_to_split_are_refused(counts, message):
    with pytest.raises(UserError, match=message):
        splits.add_labels(toy(counts), "toy", MIN_EXAMPLES)


@pytest.mark.parametrize("seed", [0, 7, 42])
def test_a_label_of_min_to_split_examples_reaches_every_split(seed):
    frame, names = splits.add_labels(toy(dict.fromkeys("abcdefg", splits.MIN_TO_SPLIT)), "toy", MIN_EXAMPLES)
    for part in published_split(frame, seed).values():
        assert set(part["label_name"]) == set(names)


def test_the_split_is_the_published_one(sad):
    """The rows that the published two calls of train_test_split give for names or for indices alike."""
    train, rest = train_test_split(sad, test_size=0.3, stratify=sad["label_name"], random_state=42)
    validation, test = train_test_split(rest, test_size=0.6667, stratify=rest["label_name"], random_state=42)
    parts = published_split(sad)
    for name, expected in {"train": train, "validation": validation, "test": test}.items():
        assert parts[name].index.tolist() == expected.index.tolist()


def test_a_seed_repeats_a_split_and_another_gives_another(sad):
    first, again, other = (published_split(sad, seed)["test"].index.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_the_real_corpora_have_the_published_sizes(corpora):
    source = locate("SAD", str(corpora / "SAD_v1.zip"))
    sad, _ = splits.add_labels(read_corpus("SAD", source, "original_label"), source, MIN_EXAMPLES)
    assert {name: len(part) for name, part in published_split(sad).items()} == {
        "train": 4795,
        "validation": 684,
        "test": 1371,
    }
    source = locate("ESConv", str(corpora / "ESConv.json"))
    esconv = splits.drop_rare(read_corpus("ESConv", source), MIN_EXAMPLES)
    esconv, names = splits.add_labels(esconv, source, MIN_EXAMPLES)
    assert names == ["anger", "anxiety", "depression", "disgust", "fear", "sadness", "shame"]
    assert esconv.attrs["dropped_labels"] == {"nervousness": 13, "pain": 1, "jealousy": 1, "guilt": 1}
    parts = published_split(esconv)
    assert [len(part) for part in parts.values()] == [898, 128, 258]
    assert [part["final_intensity"].count() for part in parts.values()] == [793, 110, 232]


@pytest.mark.parametrize("name", ["esconv", "sad"])
def test_balancing_gives_each_label_as_many_training_examples(name, request):
    frame = request.getfixturevalue(name)
    augment = AUGMENTATIONS["ESConv" if name == "esconv" else "SAD"]
    before = published_split(frame)
    after = splits.balance(before, 30, augment, seed=42)
    train = after["train"]

    assert set(train["label_name"].value_counts()) == {30}
    assert after["validation"] is before["validation"] and after["test"] is before["test"]
    assert set(train.index) <= set(before["train"].index), "augmented from training rows alone"
    held_out = set(before["validation"]["text"]) | set(before["test"]["text"])
    assert not held_out & set(train["text"])

    kept = train[~train["augmented"]]
    assert kept.index.is_unique, "sampled down without replacement"
    pd.testing.assert_frame_equal(kept.sort_index(), before["train"].loc[kept.index].sort_index())
    counts = before["train"]["label_name"].value_counts()
    assert kept["label_name"].value_counts().to_dict() == {label: min(n, 30) for label, n in counts.items()}

    augmented = train[train["augmented"]]
    assert len(augmented) > 0
    source = before["train"].loc[augmented.index]
    columns = [column for column in augmented.columns if column not in ("text", "augmented")]
    pd.testing.assert_frame_equal(augmented[columns], source[columns])  # label and intensities are the source's
    again = splits.balance(before, 30, augment, seed=42)
    pd.testing.assert_frame_equal(train, again["train"])


@pytest.mark.parametrize("words", [1, 3, 4, 5, 10, 30])
def test_a_cropped_sentence_is_a_run_of_its_words(words):
    rng = np.random.default_rng(0)
    text = " ".join(f"w{i}" for i in range(words))
    lengths = set()
    for _ in range(500):
        cropped = splits.crop_words({"text": text}, rng, max_crop=0.3, min_words=3)
        assert f" {cropped} " in f" {text} "
        lengths.add(len(cropped.split()))
    shortest = max(min(words, 3), words - int(0.3 * words))
    assert lengths == set(range(shortest, words + 1))


def test_dropping_turns_keeps_both_ends_and_the_order():
    turns = ["one", "two", "three", "four", "five"]
    rng = np.random.default_rng(0)
    seen = {splits.drop_turns({"turns": turns, "text": " ".join(turns)}, rng) for _ in range(500)}
    middles = ["", "two", "three", "four", "two three", "two four", "three four", "two three four"]
    assert seen == {" ".join(f"one {middle} five".split()) for middle in middles}
    assert splits.drop_turns({"turns": ["a", "b"], "text": "a b"}, rng) == "a b"


def test_an_augmented_text_that_is_held_out_is_drawn_again_or_refused():
    def part(texts: list[str]) -> pd.DataFrame:
        return pd.DataFrame({"text": texts, "label_name": "a", "label": 0, "augmented": False})

    parts = {"train": part(["one two three four"]), "validation": part(["one two three"]), "test": part(["x"])}
    balanced = splits.balance(parts, 50, AUGMENTATIONS["SAD"], seed=1)["train"]["text"]
    assert set(balanced) == {"one two three four", "two three four"}
    parts["test"] = part(["two three four"])
    parts["validation"] = part(["one two three", "one two three four"])
    with pytest.raises(UserError, match="label 'a'"):
        splits.balance(parts, 50, AUGMENTATIONS["SAD"], seed=1)


def test_texts_in_two_splits_are_counted():
    """In whatever case, with whatever blanks around"""
    parts = {
        name: pd.DataFrame({"text": texts})
        for name, texts in {"train": ["a", "b", "b"], "validation": [" B", "c"], "test": ["b", "C", "d"]}.items()
    }
    assert splits.split_overlap(parts) == {"train/validation": 1, "train/test": 1, "validation/test": 2}


def test_folds_test_every_example_once(esconv):
    parts = [splits.split(esconv, 0.3, 0.6667, 42, folds=5, fold=k) for k in range(1, 6)]
    tested = pd.concat([part["test"] for part in parts])
    assert sorted(tested.index) == sorted(esconv.index)
    for part in parts:
        assert sorted(pd.concat(part.values()).index) == sorted(esconv.index), "nothing is in two splits"
        assert len(part["validation"]) == round(0.1 * len(esconv))
        counts = esconv["label_name"].value_counts()
        assert all(abs(part["test"]["label_name"].value_counts() - counts / 5) <= 1), "stratified"
        assert set(part["validation"]["label_name"]) == set(counts.index)


def test_folds_that_cannot_be_made_are_refused(esconv):
    with pytest.raises(UserError, match="--folds 15: label 'b' has 14 examples"):
        splits.split(toy({"a": 30, "b": 14}), 0.3, 0.6667, 42, folds=15, fold=1)
    with pytest.raises(UserError, match="has a column 'split'"):
        splits.split(esconv.assign(split="train"), 0.3, 0.6667, 42, folds=5, fold=1)


def test_the_split_of_imhi_has_the_published_sizes(corpora):
    source = locate("SAD", str(corpora / "SAD_v1.zip"))
    frame, names = splits.add_labels(add_imhi_split(read_corpus("SAD", source, "original_label"), source), source, 0)
    parts = published_split(frame, seed=7)
    assert {name: len(part) for name, part in parts.items()} == {"train": 5547, "validation": 616, "test": 684}
    assert len(names) == 9 and "split" not in parts["test"]
    rated_right = (parts["test"]["label_name"] == parts["test"]["top_label"]).mean()
    assert rated_right == pytest.approx(0.583, abs=5e-4)


def test_the_split_of_imhi_is_of_the_published_file_alone():
    source = locate("SAD", "sample")
    with pytest.raises(UserError, match=r"--split imhi is of SAD's published file alone, and its SHA-256 is \w{64}"):
        add_imhi_split(read_corpus("SAD", source, "original_label"), source)


def test_the_letters_of_imhi_are_those_that_were_published():
    letters = IMHI.read_text().strip()
    assert {letter: letters.count(letter) for letter in "tve-"} == {"t": 5547, "v": 616, "e": 684, "-": 3}
    assert checksum(IMHI) == "310a6f953603b79eabe6b28b00b39e0c723127132cefb468e927ccc54c6c501c"

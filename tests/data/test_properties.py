"""What holds for any corpus, text and number: 2,650 generated cases, the same in every run.

Each is either a UserError of one line, or an output that keeps what is promised of it.
"""

import csv
import io
import json
import math
import random
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache, wraps

import datasets
import numpy as np
import openpyxl
import pandas as pd
import pytest
from conftest import GATED
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from test_corpora import zipped
from test_splits import AUGMENTATIONS, MIN_EXAMPLES, published_split

from artificial_pain.data import esconv, sad, splits, text_csv, tokenization
from artificial_pain.data.tables import read_table
from artificial_pain.encoders import Encoder, load_tokenizer
from artificial_pain.errors import UserError
from artificial_pain.evaluation import classification, readings, regression

FILE = "corpus file"
ASKED, RAN = Counter(), Counter()


def cases(number: int, **strategies: st.SearchStrategy) -> Callable:
    """Run a test on so many cases; that it were no fewer is seen by the last test."""

    def decorate(test: Callable) -> Callable:
        @wraps(test)
        def counted(*args: object, **drawn: object) -> None:
            RAN[test.__name__] += 1
            test(*args, **drawn)

        ASKED[test.__name__] = number
        always_the_same = settings(max_examples=number, derandomize=True, database=None, deadline=None)
        return always_the_same(given(**strategies)(counted))

    return decorate


INPUT = pytest.mark.fault("input of any shape", "one line that names the file, or valid splits")

# Nothing to see, or not from left to right, of several code points, for a terminal, a spreadsheet, a CSV reader, a
# browser or a tokenizer to take for something else, and the long ones.
AWKWARD = ["\0", "\u200b\u200b", "\x01\x1f", " \u2003\n", "\u202egip", "e\u0301", "\u0301", "👩\u200d👩\u200d👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
AWKWARD += ["\x1b[31m", "=1+1", "-3", "'=1", "''", "NA", "nan", "1", "", 'a "b", c\r\nd\re', "__proto__", "[CLS] [PAD]"]
AWKWARD += ["\ufeff", "\ufffd", "\ud83d", "\ud83d\ude00", "ﬁ İ ß", "x" * 100_000, "a word " * 15_000]
anything = st.one_of(st.text(st.characters(), max_size=30), st.sampled_from(AWKWARD))
storable = anything.map(lambda text: re.sub("[\ud800-\udfff]", "\ufffd", text))
# JSON that Python's json.dumps would not write, or only with care.
RAW = [
    "NaN",
    "-Infinity",
    "1e999",
    "-0.0",
    "1" * 4000,
    "1" * 5000,
    '"\\ud800"',
    '"\\u0000"',
    "true",
    "3.0",
    '"3"',
    '"9"',
]
RAW += ["[" * depth + "]" * depth for depth in (5, 900, 100_000)] + ['{"a":' * 900 + "1" + "}" * 900, "", "]", "{}"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=6,
)
raw_json = values.map(json.dumps) | st.sampled_from(RAW)


def check_message(error: UserError, names: str = FILE) -> None:
    """The error is clear: one line, not a page long, that says what it is about."""
    assert names in str(error) and len(str(error).splitlines()) == 1
    assert len(str(error)) < 1000 and str(error).isprintable()


def visible(text: str) -> bool:
    return text == text.strip() != "" and not re.search("[\ud800-\udfff]", text)


def check_frame(frame: pd.DataFrame) -> None:
    assert frame.index.tolist() == list(range(len(frame))) and len(frame)
    assert frame["text"].map(visible).all() and frame["label_name"].map(visible).all()
    assert not frame["label_name"].str.contains("[\r\n]").any()
    assert frame["label_name"].str.casefold().nunique() == frame["label_name"].nunique()
    if "turns" in frame:
        assert [" ".join(turns) for turns in frame["turns"]] == frame["text"].tolist()
        assert frame["turns"].map(len).tolist() == frame["strategies"].map(len).tolist()
        for name in ("initial_intensity", "final_intensity"):
            assert set(frame[name].dropna()) <= {1, 2, 3, 4, 5}
        change = frame["final_intensity"] - frame["initial_intensity"]
        pd.testing.assert_series_equal(frame["intensity_change"], change, check_names=False)


def check_splits(frame: pd.DataFrame, names: list[str], parts: dict[str, pd.DataFrame]) -> None:
    assert names == sorted(set(frame["label_name"]))
    together = pd.concat(parts.values())
    assert sorted(together.index) == sorted(frame.index), "every example in one split"
    assert not together["augmented"].any()
    pd.testing.assert_frame_equal(together[frame.columns].loc[frame.index], frame)
    for part in parts.values():
        assert set(part["label"]) == set(range(len(names)))
        assert [names[label] for label in part["label"]] == part["label_name"].tolist()


def check_balanced(before: dict[str, pd.DataFrame], after: dict[str, pd.DataFrame], samples: int) -> None:
    assert after["validation"] is before["validation"] and after["test"] is before["test"]
    train = after["train"]
    assert set(train["label_name"].value_counts()) == {samples}
    assert train["label_name"].nunique() == before["train"]["label_name"].nunique()
    kept, augmented = train[~train["augmented"]], train[train["augmented"]]
    pd.testing.assert_frame_equal(kept, before["train"].loc[kept.index])
    assert kept.index.is_unique and set(augmented.index) <= set(kept.index)
    assert augmented["label"].tolist() == before["train"].loc[augmented.index, "label"].tolist()
    assert (augmented["text"].str.strip() != "").all()
    assert not set(augmented["text"]) & {*before["validation"]["text"], *before["test"]["text"]}


def prepare(frame: pd.DataFrame, augment: Callable, samples: int, seed: int) -> None:
    """From a corpus to balanced splits, checked at each step. Raises UserError as a dataloader would."""
    check_frame(frame)
    kept = splits.drop_rare(frame, MIN_EXAMPLES)
    dropped = kept.attrs["dropped_labels"]
    assert len(kept) + sum(dropped.values()) == len(frame) and all(0 < n < MIN_EXAMPLES for n in dropped.values())
    labelled, names = splits.add_labels(kept, FILE, MIN_EXAMPLES)
    parts = published_split(labelled, seed)
    check_splits(labelled, names, parts)
    try:
        balanced = splits.balance(parts, samples, augment, seed)
    except UserError as error:  # where augmented texts stand in validation or test
        check_message(error, "remove repeated texts from the corpus")
    else:
        check_balanced(parts, balanced, samples)


def read_in(content: bytes, read: Callable = esconv.read_esconv, *words: str) -> pd.DataFrame | None:
    """The frame, checked, or None where a UserError says what is wrong."""
    try:
        frame = read(content, FILE, *words)
    except UserError as error:
        return check_message(error)
    check_frame(frame)
    return frame


@INPUT
@cases(400, content=st.binary(max_size=200) | raw_json.map(str.encode))
def test_any_bytes_and_any_json_are_read_or_refused(content):
    """2,650 generated corpora, texts and numbers: bytes, JSON, sheets, Unicode, most of them nearly right"""
    read_in(content)
    read_in(content, sad.read_sad, "original_label")


@st.composite
def dialogues(draw: Callable) -> str:
    """JSON of the shape of ESConv: dialogues of a few labels, their turns from a few texts; one thing may be broken."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    texts = [
        *draw(st.lists(anything, min_size=1, max_size=4)),
        *(f"turn {i}, which is like any other" for i in range(draw(st.sampled_from([0, 12, 12])))),
    ]
    names = draw(st.lists(anything, max_size=1)) + draw(
        st.sampled_from([["anger", "fear"], ["fear", "Fear"], ["é", "e\u0301"], ["a\nb", "a b", "__proto__"]])
    )
    corpus = []
    for name in names:
        for _ in range(chance.choice([14, 15, 20, 30])):
            turns = [
                {"speaker": chance.choice(["seeker", "seeker", "supporter"]), "content": chance.choice(texts)}
                for _ in range(chance.randint(2, 6))
            ]
            turns.append({"speaker": "seeker", "content": "hello"})
            strengths = chance.choices([*"12345", 3.0, None, "0", 9, "2.5", True, "inf"], [9] * 5 + [1] * 7, k=2)
            score = dict(zip(["initial_emotion_intensity", "final_emotion_intensity"], strengths, strict=True))
            corpus.append(
                {"emotion_type": name, "problem_type": "job", "survey_score": {"seeker": score}, "dialog": turns}
            )
    if draw(st.booleans()):
        return json.dumps(corpus)
    holder: dict | list = chance.choice(corpus)
    while True:
        key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if not isinstance(holder[key], (dict, list)) or chance.random() < 0.3:
            break
        holder = holder[key]
    if draw(st.booleans()):
        holder[key] = "@broken@"
        return json.dumps(corpus).replace('"@broken@"', draw(raw_json))
    del holder[key]
    return json.dumps(corpus)


@INPUT
@cases(
    300,
    corpus=dialogues(),
    encoding=st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32-be", "latin-1"]),
    samples=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_dialogues_of_which_one_is_broken_are_split_or_refused(corpus, encoding, samples, seed):
    """2,650 generated corpora, texts and numbers: bytes, JSON, sheets, Unicode, most of them nearly right"""
    frame = read_in(corpus.encode(encoding))
    try:
        if frame is not None:
            prepare(frame, AUGMENTATIONS["ESConv"], samples, seed)
    except UserError as error:
        check_message(error)


def sheet(rows: list[list]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


cells = anything.map(lambda text: ILLEGAL_CHARACTERS_RE.sub("", re.sub("[\ud800-\uffff]", "", text))[:32_767])
HEADER = ["sentence", "original_label"]


@INPUT
@cases(
    250,
    texts=st.lists(cells.filter(visible), max_size=4),
    names=st.lists(cells.filter(visible), min_size=1, max_size=3),
    header=st.just(HEADER) | st.just(HEADER) | st.lists(cells | st.sampled_from(HEADER), max_size=4),
    broken=st.none() | cells | st.integers() | st.floats() | st.booleans(),
    samples=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_sentences_in_a_sheet_are_split_or_refused(texts, names, header, broken, samples, seed):
    """2,650 generated corpora, texts and numbers: bytes, JSON, sheets, Unicode, most of them nearly right"""
    chance = random.Random(seed)
    texts = [*texts, *(f"sentence {i} of those that are like any other" for i in range(12))]
    rows = [[chance.choice(texts), name] for name in ["work", *names] for _ in range(chance.choice([15, 25]))]
    if broken is not None:
        chance.choice(rows)[chance.randrange(2)] = broken
    frame = read_in(sheet([header, *rows]), sad.read_sad, "original_label")
    try:
        if frame is not None:
            prepare(frame, AUGMENTATIONS["SAD"], samples, seed)
    except UserError as error:
        check_message(error)


@cache
def parts_of_a_sheet() -> dict[str, bytes]:
    content = sheet([HEADER, *([f"sentence {i}", "ab"[i % 2]] for i in range(5))])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@INPUT
@cases(300, where=st.floats(0, 1), what=st.binary(max_size=8), over=st.integers(0, 8), inside=st.integers(-1, 20))
def test_a_sheet_of_which_some_bytes_are_changed_is_read_or_refused(where, what, over, inside):
    """2,650 generated corpora, texts and numbers: bytes, JSON, sheets, Unicode, most of them nearly right"""

    def changed(content: bytes) -> bytes:
        place = int(where * len(content))
        return content[:place] + what + content[place + over :]

    parts = parts_of_a_sheet()
    if inside < 0:
        content = changed(zipped(parts))
    else:
        name = list(parts)[inside % len(parts)]
        content = zipped(parts | {name: changed(parts[name])})
    read_in(content, sad.read_sad, "original_label")
    read_in(zipped({"SAD.xlsx": content}), sad.read_sad, "original_label")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1 a", "-1 a", "@A1", "\t=1", "\r=1", "'=1", "''-x", "=1\n=2", "'cause", " =1"]
)
def test_pandas_reads_the_text_that_was_written(text, tmp_path):
    text_csv.write(tmp_path / "split.csv", pd.DataFrame({"text": [text], text: [text]}))
    back = pd.read_csv(tmp_path / "split.csv", index_col=0)
    assert back.columns.tolist() == ["text", text] and back.loc[0].tolist() == [text] * 2


prefixed = st.builds(str.__add__, st.text("'=+-@\t\r\n a", max_size=6), storable)


@cases(300, texts=st.lists(prefixed, min_size=1, max_size=5), change=st.none() | st.integers(-4, 4))
def test_texts_come_back_from_the_csv(tmp_path_factory, texts, change):
    frame = pd.DataFrame({"text": texts, "label_name": texts, "problem_type": texts, "experience_type": texts})
    frame = frame.assign(label=range(len(texts)), intensity_change=float("nan") if change is None else float(change))
    path = tmp_path_factory.getbasetemp() / "split.csv"
    text_csv.write(path, frame)
    pd.testing.assert_frame_equal(text_csv.read_split(path), frame)
    with path.open(encoding="utf-8", newline="") as file:
        assert [row[1] for row in csv.reader(file)] == ["text", *texts]
    table = read_table(path.read_bytes(), str(path), {"--text_column": ["text"]})
    assert table.frame([table.find(["text"], "")], ["text"])["text"].tolist() == texts


@cases(
    100,
    name=st.sampled_from([*GATED, "answerdotai/ModernBERT-base"]),
    texts=st.lists(storable.filter(visible), min_size=3, max_size=6),
    names=st.lists(storable.filter(visible), min_size=2, max_size=4, unique=True),
    max_length=st.integers(3, 512),
)
def test_any_text_can_be_tokenized(tiny, name, texts, names, max_length):
    tokenizer = load_tokenizer(Encoder(name, tiny[name], "main"))
    frame = pd.DataFrame({"text": texts, "label": [i % len(names) for i in range(len(texts))]})
    frame["final_intensity"] = np.where(frame["label"] == 0, np.nan, 3.0)
    parts = {"train": frame[2:], "validation": frame[:1], "test": frame[1:2]}
    datasets.disable_progress_bars()
    tokenized, truncated = tokenization.tokenize(parts, names, tokenizer, max_length)
    for split, part in parts.items():
        dataset = tokenized[split]
        assert dataset["labels"][:] == part["label"].tolist() and dataset.features["labels"].names == names
        assert dataset["final_intensity"][:] == pytest.approx(part["final_intensity"].tolist(), nan_ok=True)
        assert tokenization.lengths(dataset).tolist() == [len(ids) for ids in dataset["input_ids"]]
        uncut_ids = [tokenizer(text)["input_ids"] for text in part["text"]]
        assert truncated[split] == np.mean([len(ids) > max_length for ids in uncut_ids])
        for ids, mask, uncut in zip(dataset["input_ids"], dataset["attention_mask"], uncut_ids, strict=True):
            assert len(ids) == len(mask) == min(len(uncut), max_length) and set(mask) == {1}
            assert min(ids) >= 0 and max(ids) < len(tokenizer)
            assert ids[:-1] == uncut[: len(ids) - 1] and ids[-1] == tokenizer.sep_token_id


@cases(
    300,
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30),
    names=st.lists(anything, min_size=5, max_size=7, unique=True),
)
def test_any_classification_has_the_metrics_of_its_counts(pairs, names):
    labels, predictions = np.array(pairs).T
    got = classification.classification(labels, predictions, names)
    assert got["n"] == len(pairs) and got["per_class"].keys() == set(names)
    found = Counter(pairs)
    assert got["confusion_matrix"] == [[found[i, j] for j in range(len(names))] for i in range(len(names))]
    f1 = []
    for i, name in enumerate(names):
        support, predicted = sum(labels == i), sum(predictions == i)
        f1.append(2 * found[i, i] / (support + predicted) if support + predicted else 0)
        one = got["per_class"][name]
        assert one["support"] == support and one["f1"] == pytest.approx(f1[-1])
        assert one["recall"] * support == pytest.approx(found[i, i])
        assert one["precision"] * predicted == pytest.approx(found[i, i])
    assert got["macro_f1"] == pytest.approx(sum(f1) / len(f1))
    assert got["accuracy"] == pytest.approx(sum(found[i, i] for i in range(5)) / len(pairs))
    assert all(0 <= value <= 1 for value in got.values() if isinstance(value, float))


def check_regression(got: dict, annotated: np.ndarray, predicted: np.ndarray) -> None:
    """Finite and within bounds or None, and the numbers that Python's exact sums give."""
    pairs = [(a, p) for a, p in zip(annotated.tolist(), predicted.tolist(), strict=True) if not math.isnan(a)]
    assert got["n"] == len(pairs)
    bounds = {"mse": (0, math.inf), "mae": (0, math.inf), "p_value": (0, 1)}
    bounds |= dict.fromkeys(("pearson", "spearman", "quadratic_weighted_kappa"), (-1, 1))
    for name, (low, high) in bounds.items():
        assert got[name] is None or (math.isfinite(got[name]) and low <= got[name] <= high)
    if pairs and all(abs(p) < 1e100 for _, p in pairs):
        assert got["mae"] == pytest.approx(math.fsum(abs(p - a) for a, p in pairs) / len(pairs))
        assert got["mse"] == pytest.approx(math.fsum((p - a) ** 2 for a, p in pairs) / len(pairs))
    assert (got["mse"] is None) >= (got["mae"] is None) and (got["pearson"] is None) == (got["p_value"] is None)
    if len({p for _, p in pairs}) < 2 or len({a for a, _ in pairs}) < 2:
        assert got["pearson"] is None


annotations = st.sampled_from([math.nan, 1.0, 2, 3, 4, 5, -3])
outputs = st.floats(-10, 10) | st.floats(width=32) | st.floats() | st.just(2.5)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@cases(500, pairs=st.lists(st.tuples(annotations, outputs), max_size=12))
def test_any_regression_has_finite_metrics_or_none(pairs):
    annotated, predicted = np.array(pairs, dtype=float).reshape(-1, 2).T
    check_regression(regression.regression(annotated, predicted), annotated, predicted)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@cases(
    200,
    rows=st.lists(
        st.tuples(
            annotations, annotations, st.integers(0, 2), st.integers(0, 2), st.lists(outputs, min_size=6, max_size=6)
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_any_intensities_have_consistent_metrics(rows):
    initial, final, labels, predictions, read = map(np.array, zip(*rows, strict=True))
    annotated, intensities, names = np.stack([initial, final], axis=1), read.reshape(-1, 2, 3), ["a", "b", "c"]
    shares = np.eye(3)[predictions] * 0.7 + 0.1
    by_reading = readings.read(intensities, labels, predictions, shares)
    references = dict.fromkeys(["initial_intensity", "final_intensity"], regression.Reference(train_mean=3.5))
    got = regression.intensity(annotated, by_reading, labels, references, names)
    outputs = {"expected": [row @ share for row, share in zip(intensities, shares, strict=True)]}
    for reading, emotions in {"true_label": labels, "predicted_label": predictions}.items():
        outputs[reading] = [row[:, at] for row, at in zip(intensities, emotions, strict=True)]
    for reading, output in outputs.items():
        for i, target in enumerate(["initial", "final"]):
            scores = got[reading][target]
            check_regression(scores["micro"], annotated[:, i], np.array(output)[:, i])
            assert scores["micro"]["n"] == sum(one["n"] for one in scores["per_emotion"].values())
            enough = [one for one in scores["per_emotion"].values() if one["n"] >= regression.MIN_PAIRS]
            assert scores["macro"]["emotions"] == len(enough)
            assert scores["macro"]["mae"] is None or math.isfinite(scores["macro"]["mae"])
            json.dumps(scores, allow_nan=False)


def test_as_many_cases_were_run_as_the_docstring_says():
    assert f"{ASKED.total():,} generated cases" in __doc__ and ASKED.total() >= 2000
    assert {name: RAN[name] for name in RAN if RAN[name] < ASKED[name]} == {}

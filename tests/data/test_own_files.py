"""The two corpora, and tables of people's own, in the forms that people have them in."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import DATALOADER, MINILM
from test_corpora import server, zipped  # noqa: F401

from artificial_pain.data import esconv, sad, splits
from artificial_pain.data.examples import Source
from artificial_pain.errors import UserError

FORMS = pytest.mark.fault(
    "a corpus in another form",
    "read where there is one sensible reading. Else one line says what was found and what helps",
)
SPELLINGS = pytest.mark.fault(
    "labels that differ only in case or blanks", "they are one label, in the most frequent spelling. A warning says so"
)
TEXTS = ["I can\u2019t sleep, again", 'She said "no"', "one\ntwo", "007"]
LABELS = ["Work", "School", "Work", "Other"]
TABLE = pd.DataFrame({"sID": range(4), "sentence": TEXTS, "original_label": LABELS})


def turns(seeker: str = "seeker", supporter: str = "supporter", key: str = "content") -> list[dict]:
    return [
        {"speaker": supporter, key: "Hi", "strategy": "Question"},
        {"speaker": seeker, key: "I cannot sleep."},
        {"speaker": supporter, key: "Why?", "strategy": "Question"},
        {"speaker": supporter, key: "I see.", "strategy": "Reflection of feelings"},
        {"speaker": seeker, key: " At all. "},
    ]


def dialogue(**changes: object) -> dict:
    score = {"seeker": {"initial_emotion_intensity": "5", "final_emotion_intensity": "2"}}
    return {"emotion_type": "anxiety", "survey_score": score, "dialog": turns("usr", "sys", "text")} | changes


def lines(items: list) -> bytes:
    return "\n".join(map(json.dumps, items)).encode()


def excel(**sheets: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    with pd.ExcelWriter(file) as writer:
        for name, frame in sheets.items():
            frame.to_excel(writer, sheet_name=name, index=False)
    return file.getvalue()


def csv(frame: pd.DataFrame = TABLE, encoding: str = "utf-8", **options: object) -> bytes:
    return frame.to_csv(index=False, **options).encode(encoding)


DIALOGUES = [dialogue(), dialogue(emotion_type="fear")]
ESCONV_FORMS = {
    "JSON lines": lines(DIALOGUES),
    "JSON lines with blank ones": b"\n" + lines(DIALOGUES).replace(b"\n", b"\r\n\r\n") + b"\n",
    "a text with an object in each line": lines([json.dumps(item) for item in DIALOGUES]),
    "a column `text` of JSON": lines([{"text": json.dumps(item)} for item in DIALOGUES]),
    "a list": json.dumps(DIALOGUES, indent=1).encode(),
    "a list of texts": json.dumps([json.dumps(item) for item in DIALOGUES]).encode(),
    "an object around the list": json.dumps({"data": DIALOGUES}).encode(),
    "with a byte order mark": b"\xef\xbb\xbf" + lines(DIALOGUES),
    "in UTF-16": lines(DIALOGUES).decode().encode("utf-16"),
    "gzip": gzip.compress(lines(DIALOGUES)),
    "zip": zipped({"esconv/train.jsonl": lines(DIALOGUES), "__MACOSX/esconv/._train.jsonl": b"\0\1"}),
    "zip with other files": zipped({"README.md": b"# ESConv", "ESConv.json": json.dumps(DIALOGUES).encode()}),
    "a line separator in a text": lines(DIALOGUES).replace(b"Hi", "H\u2028i".encode()),
    "zip with other JSON": zipped({"ESConv.json": json.dumps(DIALOGUES).encode(), "infos.json": b'{"a": [1]}'}),
    "speakers in capitals": lines([dialogue(dialog=turns("Usr ", "Sys", "text")), DIALOGUES[1]]),
    "as published": json.dumps([dialogue(dialog=turns()), DIALOGUES[1]]).encode(),
}


@FORMS
@pytest.mark.parametrize("form", ESCONV_FORMS)
def test_esconv_is_read_in_each_form(form):
    """ESConv as published and as the hub has it, in JSON, JSON lines, and packed"""
    frame = esconv.read_esconv(ESCONV_FORMS[form], "mine")
    assert frame["label_name"].tolist() == ["anxiety", "fear"]
    assert frame["turns"].tolist() == [["I cannot sleep.", "At all."]] * 2
    assert frame["strategies"].tolist() == [[["Question"], ["Question", "Reflection of feelings"]]] * 2
    assert frame["initial_intensity"].tolist() == [5, 5] and frame["intensity_change"].tolist() == [-3, -3]


def test_strategy_of_the_published_form_is_in_the_annotation():
    published = [{**turn, "annotation": {"strategy": turn.pop("strategy", None)}} for turn in turns()]
    frame = esconv.read_esconv(json.dumps([dialogue(dialog=published)]).encode(), "mine")
    assert frame.loc[0, "strategies"] == [["Question"], ["Question", "Reflection of feelings"]]


def test_real_dialogues_are_read_the_same_from_the_form_of_the_hub(corpora):
    published = json.loads((corpora / "ESConv.json").read_bytes())[:50]
    hub = []
    for item in published:
        dialog = [
            {"text": turn["content"], "speaker": {"seeker": "usr", "supporter": "sys"}[turn["speaker"]]}
            | {key: value for key, value in turn.get("annotation", {}).items() if key == "strategy"}
            for turn in item["dialog"]
        ]
        hub.append({**item, "dialog": dialog})
    one = esconv.read_esconv(json.dumps(published).encode(), "a")
    pd.testing.assert_frame_equal(one, esconv.read_esconv(lines(hub), "b"))
    assert one["strategies"].map(lambda strategies: sum(map(len, strategies))).sum() > 300


SAD_FORMS = {
    "comma": csv(),
    "semicolon": csv(sep=";"),
    "tab": csv(sep="\t"),
    "bar": csv(sep="|"),
    "Excel's separator": b"sep=;\r\n" + csv(sep=";"),
    "lines of Windows": csv(lineterminator="\r\n"),
    "byte order mark": csv(encoding="utf-8-sig"),
    "UTF-16": csv(encoding="utf-16"),
    "UTF-16 without a mark": csv(encoding="utf-16-le"),
    "Windows-1252": csv(encoding="cp1252"),
    "blank lines before": b"\n\n" + csv(),
    "header in other case and blanks": csv(TABLE.set_axis(["sID", " Sentence ", "Original Label"], axis=1)),
    "other order": csv(TABLE[["original_label", "sID", "sentence"]]),
    "text for sentence": csv(TABLE.rename(columns={"sentence": "text"})),
    "JSON lines": TABLE.to_json(orient="records", lines=True).encode(),
    "JSON list": TABLE.to_json(orient="records").encode(),
    "Excel": excel(SAD=TABLE),
    "the second sheet": excel(Notes=pd.DataFrame({"note": ["read me"]}), SAD=TABLE, Empty=pd.DataFrame()),
    "gzip": gzip.compress(csv()),
    "bzip2": bz2.compress(csv()),
    "xz": lzma.compress(csv()),
    "zip of a CSV": zipped({"SAD/sad.csv": csv(), "SAD/README.txt": b"about it", "SAD/.DS_Store": b"\0\0"}),
    "zip of an Excel file": zipped({"SAD_v1.xlsx": excel(SAD=TABLE), "Schema.txt": "Bj\xf6rn".encode("cp1252")}),
    "zip with other JSON": zipped({"sad.csv": csv(), "meta.json": b"[1, 2]", "README.md": b"[link](x)"}),
    "zip with a picture": zipped({"a.png": b"\x89PNG\r\n", "sad.tsv": csv(sep="\t")}),
}


@FORMS
@pytest.mark.parametrize("form", SAD_FORMS)
def test_sad_is_read_in_each_form(form, capsys):
    """SAD as Excel, CSV of any separator and encoding, JSON, several sheets, packed in zip, gzip, bzip2, xz"""
    frame = sad.read_sad(SAD_FORMS[form], "mine", "original_label")
    assert frame["label_name"].tolist() == LABELS and frame["text"].tolist() == TEXTS
    told = capsys.readouterr().err
    assert ("is read as Windows-1252" in told) == (form == "Windows-1252") and len(told.splitlines()) <= 1


HTML = b"\n<!-- saved -->\n<!DOCTYPE html>\n<html><body>Sign in</body></html>"
REFUSED = {
    "a page of HTML": (HTML, "is a page of HTML, not a corpus: give the file itself"),
    "a page of HTML that is packed": (gzip.compress(HTML), "is a page of HTML"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    "XML": (b"<?xml version='1.0'?><a/>", "is XML"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\0", "is neither text in UTF-8 nor an Excel file"),
    "Parquet": (b"PAR1\0\0PAR1", "save it as CSV or JSON lines"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c", "unpack it"),
    "a zip in a zip": (zipped({"a.zip": zipped({"a.csv": csv()})}), "is packed once more: unpack it first"),
    "an empty zip": (zipped({}), "has no file in it"),
    "two tables": (
        zipped({"a.csv": csv(), "b.csv": csv()}),
        "has several tables with these columns (its member 'a.csv', its member 'b.csv'): give a file with one",
    ),
    "two sheets": (excel(A=TABLE, B=TABLE), "give a file with one of them"),
    "no column of labels": (
        csv(TABLE.rename(columns={"original_label": "emotion"})),
        "has no column 'original_label' (columns in it: ['sID', 'sentence', 'emotion']): --label_column names it",
    ),
    "no column of texts": (
        csv(TABLE.rename(columns={"sentence": "body"})),
        "has no column 'sentence' or 'text' (columns in it: ['sID', 'body', 'original_label']): --text_column names it",
    ),
    "two columns of texts": (
        csv(TABLE.assign(text="a")),
        "has the columns ['sentence', 'text']: keep one, or name one",
    ),
    "a row too long": (csv() + b"5,a text, with a comma,Work\n", "line 7: has 4 fields, and the header 3"),
    "an open quote": (csv() + b'5,"a text', "is no CSV (unexpected end of data)"),
    "an empty text": (csv(TABLE.assign(sentence=["a", " ", "c", "d"])), "line 3 of the table has no text in column"),
    "dialogues": (lines(DIALOGUES), "has dialogues, and no table: --dataset_name ESConv reads them"),
    "a list of texts": (b'["a", "b"]', "expected rows as JSON objects, found 'a'"),
    "broken JSON lines": (
        TABLE.to_json(orient="records", lines=True).encode() + b'{"sentence": \n',
        "line 5: cannot be read as JSON",
    ),
    "another split": (
        csv(TABLE.assign(split="A")),
        "line 2 has 'A' in column 'split': expected train, validation, test",
    ),
    "neither text nor anything": (bytes(range(256)), "is neither text in UTF-8 nor an Excel file"),
    "no rows": (b"sentence,original_label\n", "the table has no rows"),
}


@FORMS
@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(form):
    """what is no table, or has no column of that name, or several tables"""
    content, message = REFUSED[form]
    with pytest.raises(UserError) as refused:
        sad.read_sad(content, "mine", "original_label")
    assert message in str(refused.value)
    assert str(refused.value).startswith("mine: ") and len(str(refused.value).splitlines()) == 1


@FORMS
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (csv(), "expected dialogues as JSON, found 'sID,sentence"),
        (excel(SAD=TABLE), "--dataset_name SAD reads a table"),
        (zipped({"train.json": lines(DIALOGUES), "test.json": lines(DIALOGUES)}), "found 2 such files"),
        (lines([*DIALOGUES, {"emotion_type": "fear"}]), "dialogue 2: expected a list of turns"),
        (lines(DIALOGUES) + b"\n{", "line 3: cannot be read as JSON"),
        (HTML, "is a page of HTML"),
        (b"{}", "expected a text in emotion_type"),
    ],
    ids=["table", "workbook", "two files", "no turns", "broken line", "HTML", "empty object"],
)
def test_what_is_no_dialogues_is_refused_in_one_line(content, message):
    """a table, a page of HTML or broken lines in place of dialogues"""
    with pytest.raises(UserError) as refused:
        esconv.read_esconv(content, "mine")
    assert message in str(refused.value) and len(str(refused.value).splitlines()) == 1


@FORMS
def test_a_page_in_place_of_a_download_is_told_with_its_address(server, script, tmp_path, monkeypatch):  # noqa: F811
    """a server that answers with a page of HTML"""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server.content = HTML
    words = ["--model_name", MINILM, "--dataset_name", "SAD", "--output_dir", tmp_path / "out"]
    done = script(DATALOADER, *words, "--data_source", server.url)
    assert done.code == 1 and f"{server.url}: is a page of HTML" in done.error


@FORMS
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_a_packed_bomb_is_refused(pack, monkeypatch):
    """a packed file of more than the largest size"""
    monkeypatch.setattr("artificial_pain.data.files.MAX_BYTES", 2**24)
    with pytest.raises(UserError, match=r"refused, unpacked it has 17,825,792 bytes: expected 16,777,216 at most"):
        sad.read_sad(pack(bytes(2**26)), "mine", "original_label")


def test_a_tar_is_refused():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("sad.csv"), io.BytesIO())
    with pytest.raises(UserError, match="Zstandard or tar, not a corpus: unpack it"):
        sad.read_sad(file.getvalue(), "mine", "original_label")


@SPELLINGS
@pytest.mark.parametrize(
    ("spellings", "label"),
    [
        (["anger", "Anger", "Anger"], "Anger"),
        (["anger", "Anger"], "anger"),
        (["ANGER", "anger", "Anger", "anger"], "anger"),
        (["job crisis", "Job  Crisis", "jobcrisis", "job crisis "], "job crisis"),
        (["e\u0301te\u0301", "été", "été"], "été"),
        (["anger\u200b", "anger", "anger"], "anger"),
    ],
)
def test_spellings_of_a_label_are_one(spellings, label, capsys):
    """labels in other case, with other blanks, composed otherwise; of equal frequency the first"""
    names = [*spellings, "other"]
    frame = sad.read_sad(csv(pd.DataFrame({"text": names, "original_label": names})), "mine", "original_label")
    assert frame["label_name"].tolist() == [label] * len(spellings) + ["other"]
    assert list(frame.attrs["merged_labels"]) == [label]
    assert f"are one, {label!r}: " in capsys.readouterr().err
    frame = esconv.read_esconv(lines([dialogue(emotion_type=name) for name in names]), "mine")
    assert frame["label_name"].tolist() == [label] * len(spellings) + ["other"]


@SPELLINGS
def test_published_labels_are_never_merged(corpora, capsys):
    """the real SAD and ESConv"""
    frame = sad.read_sad((corpora / "SAD_v1.zip").read_bytes(), "SAD", "original_label")
    assert frame["label_name"].nunique() == 9 and not frame.attrs["merged_labels"]
    frame = esconv.read_esconv((corpora / "ESConv.json").read_bytes(), "ESConv")
    assert frame["label_name"].nunique() == 11 and not frame.attrs["merged_labels"]
    assert capsys.readouterr().err == ""


def test_duplicates_are_left_out_and_contradictions_are_told(capsys):
    texts = ["I am sad", "i am  SAD", "I am well", "I am well", "alone"]
    frame = pd.DataFrame({"text": texts, "label_name": ["a", "a", "a", "b", "b"]})
    kept = splits.deduplicate(frame)
    assert kept.index.tolist() == [0, 4], "the first of each; of texts with two labels none"
    assert kept.attrs["duplicates"] == {"repeated": 1, "contradictory": 2}
    assert "1 texts have several labels: their 2 examples are left out" in capsys.readouterr().err


def table_with_splits(names: list[str], labels: list[str]) -> pd.DataFrame:
    texts = [f"text {i}" for i in range(len(names))]
    table = csv(pd.DataFrame({"text": texts, "label": labels, "Split": names}))
    return sad.read_sad(table, "mine", "label")


def test_given_split_is_obeyed():
    frame = table_with_splits(["train", "Training", "dev", "test", "train", " TEST "], ["a", "b", "a", "b", "b", "a"])
    frame, names = splits.add_labels(frame, Source(Path("mine"), "mine", "mine"), 15)
    parts = splits.split(frame, 0.3, 0.6667, 42, None, None)
    assert names == ["a", "b"]
    assert {name: part.index.tolist() for name, part in parts.items()} == {
        "train": [0, 1, 4],
        "validation": [2],
        "test": [3, 5],
    }
    assert list(parts["train"]) == ["text", "label_name", "label", "augmented"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train", "train", "test", "test"], "gives no validation examples"),
        (["validation", "test", "train", "train"], "gives no training example of label 'a'"),
    ],
)
def test_given_split_that_cannot_be_trained_on_is_refused(names, message):
    frame = table_with_splits(names, ["a", "a", "b", "b"])
    with pytest.raises(UserError, match=message):
        splits.add_labels(frame, "mine", 15)


def test_columns_are_read_whatever_else_is_there():
    """Two columns of the same name that are not asked for, and one without a name."""
    content = b",text,note,note,emotion\n0,hello,a,b,joy\n1,there,c,d,fear\n"
    frame = sad.read_sad(content, "mine", "emotion")
    assert frame["text"].tolist() == ["hello", "there"] and frame["label_name"].tolist() == ["joy", "fear"]
    assert np.array_equal(frame.index, [0, 1])

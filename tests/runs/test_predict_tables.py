"""Predictions that can be joined back: a row for every row of a table, with its columns."""

import json
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY

pytestmark = pytest.mark.xdist_group("study")
SCRIPT = REPOSITORY / "artificial_pain" / "predict.py"
JOINED = pytest.mark.fault(
    "predictions that are to be joined back", "a row for every row, with all columns of the user's, in order"
)
TABLE = pd.DataFrame(
    {
        "id": ["007", "1.0", "NA", "4"],
        "text": ["I cannot sleep.", " ", "two\nlines, and “more”", "I am alone."],
        "": ["a", "", "c", "d"],
        "note": ["=1+1", "x", 'a "b"', "é"],
    }
)


@pytest.fixture(scope="module")
def run_folder(studied) -> Path:
    """A run of one head."""
    return next(studied.root.glob("*/*/loss-classification"))


def predict(script, run_folder: Path, path: Path, *words: object) -> pd.DataFrame:
    done = script(SCRIPT, run_folder, "--file", path, "--format", "csv", *words)
    assert done.code == 0, done.err
    return pd.read_csv(StringIO(done.out), dtype=str, keep_default_na=False)


@JOINED
@pytest.mark.parametrize("form", [".csv", ".tsv", ".jsonl", ".json", ".xlsx", ".csv.gz"])
def test_table_keeps_its_columns_and_rows(form, run_folder, script, tmp_path):
    """CSV, TSV, JSON lines, JSON and Excel with other columns, an empty text, quotes and line breaks"""
    path = tmp_path / f"table{form}"
    table = TABLE.rename(columns={"": "Unnamed: 2"})
    if form == ".xlsx":
        # A cell with =1+1 would be a formula, and one with blanks alone is read as empty.
        table = table.assign(note="x", text=table["text"].str.strip())
        table.to_excel(path, index=False)
    elif "json" in form:
        table.to_json(path, orient="records", lines=form == ".jsonl")
    else:
        table.to_csv(path, index=False, sep="\t" if form == ".tsv" else ",")
    rows = predict(script, run_folder, path)
    pd.testing.assert_frame_equal(rows[list(table)], table)
    assert list(rows)[: len(list(table)) + 1] == [*table, "emotion"]
    assert rows.loc[1, "emotion":].tolist() == [""] * (len(list(rows)) - 4), "an empty text has empty predictions"
    assert (rows.loc[[0, 2, 3], "emotion":] != "").all(axis=None)
    (tmp_path / "alone.txt").write_text("I am alone.\n")
    alone = predict(script, run_folder, tmp_path / "alone.txt")
    columns = [name for name in rows if name.startswith("probability_")]
    assert rows.loc[3, columns].astype(float).to_numpy() == pytest.approx(
        alone.loc[0, columns].astype(float).to_numpy(), abs=1e-5
    )


@JOINED
def test_columns_of_our_names_are_kept(run_folder, script, tmp_path):
    """a table that has the columns `emotion` and `predicted_emotion` already, in CSV and JSON lines"""
    table = pd.DataFrame({"emotion": ["joy"], "Text": ["I am alone."], "predicted_emotion": ["mine"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    done = script(SCRIPT, run_folder, "--file", tmp_path / "t.csv", "--format", "csv")
    rows = pd.read_csv(StringIO(done.out))
    assert list(rows)[:4] == ["emotion", "Text", "predicted_emotion", "predicted_predicted_emotion"]
    assert rows.loc[0, ["emotion", "predicted_emotion"]].tolist() == ["joy", "mine"]
    assert "keeps them: emotion is predicted_predicted_emotion here" in done.err
    done = script(SCRIPT, run_folder, "--file", tmp_path / "t.csv", "--format", "jsonl")
    row = json.loads(done.out)
    assert row["emotion"] == "joy" and row["predicted_predicted_emotion"] == rows.iloc[0, 3]
    assert isinstance(row["probabilities"], dict)


@JOINED
def test_values_of_json_stay_what_they_are(run_folder, script, tmp_path):
    """JSON lines with numbers, lists and missing keys, of which one has no text"""
    items = [{"id": 7, "text": "I am alone.", "tags": ["a"]}, {"id": 8.5, "text": None}, {"id": True, "text": ""}]
    items += [{"id": "\ud83d", "text": "half \ud83d of it", "\ud83d": 1}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, items)))
    done = script(SCRIPT, run_folder, "--file", tmp_path / "t.jsonl", "--format", "jsonl")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["id"] for row in rows] == [7, 8.5, True, "\ud83d"] and rows[0]["tags"] == ["a"]
    assert [row["emotion"] is None for row in rows] == [False, True, True, False]
    assert rows[3]["text"] == "half \ufffd of it", "a lone surrogate, which no file can have"
    assert script(SCRIPT, run_folder, "--file", tmp_path / "t.jsonl", "--format", "csv").code == 0
    assert "2 empty texts have no prediction" in done.err


def test_column_of_texts_can_be_named(run_folder, script, tmp_path):
    (tmp_path / "t.csv").write_text("text;body\n;I am alone.\n")
    rows = predict(script, run_folder, tmp_path / "t.csv", "--text_column", "body")
    assert rows.loc[0, "emotion"]
    (tmp_path / "t.csv").write_text("note;body\n;I am alone.\n")
    done = script(SCRIPT, run_folder, "--file", tmp_path / "t.csv")
    assert done.code == 1 and "no column 'sentence' or 'text' (columns in it: ['note', 'body'])" in done.error


def test_lines_of_a_text_file_have_a_row_each(run_folder, script, tmp_path):
    (tmp_path / "t.txt").write_text("I am alone.\n\n  id,text \n")
    rows = predict(script, run_folder, tmp_path / "t.txt")
    assert rows["text"].tolist() == ["I am alone.", "", "id,text"]
    done = script(SCRIPT, run_folder, "--file", tmp_path / "t.txt")
    assert done.out.splitlines()[2:4] == ["", "  no prediction: the text is empty"]

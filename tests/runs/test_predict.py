"""A trained model to use: its predictions are those of the run's own files, in each format and batch size."""

import inspect
import json
import os
import re
import shutil
import subprocess
from io import BytesIO, StringIO, TextIOWrapper

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ESCONV_FOLDER, PREDICT, REPOSITORY, folder_of

from artificial_pain import predict, storage
from artificial_pain.data import text_csv
from artificial_pain.errors import UserError
from artificial_pain.runs.predictor import Predictor

pytestmark = pytest.mark.xdist_group("study")
SCRIPT = REPOSITORY / "artificial_pain" / "predict.py"
TARGETS = {"initial": "initial_intensity", "final": "final_intensity", "change": "intensity_change"}
INTENSITIES = [*TARGETS, *(f"{name}_expected" for name in TARGETS)]


@pytest.fixture(scope="module")
def run_folder(studied, encoder):
    """A run of four heads."""
    return studied.root / ESCONV_FOLDER / folder_of(encoder) / "accuracy-4-heads-intensity-change"


@pytest.fixture(scope="module")
def predictor(run_folder):
    return Predictor(run_folder)


def assert_equals_test_predictions(predictions: pd.DataFrame, run_folder, prefix: str = "") -> None:
    """Compare with predictions_test.csv, which was predicted in other batches; prefix: of its intensities' columns."""
    tested = text_csv.read_split(run_folder / "predictions_test.csv")
    assert predictions["emotion"].tolist() == tested["predicted"].tolist()
    for column in predictions.filter(regex="^probability_"):
        assert predictions[column].to_numpy() == pytest.approx(tested[f"calibrated_{column}"].to_numpy(), abs=1e-4)
    for name, target in TARGETS.items():
        for ours, theirs in ((name, f"{target}_at_predicted"), (f"{name}_expected", f"{target}_expected")):
            assert predictions[ours].to_numpy() == pytest.approx(tested[prefix + theirs].to_numpy(), abs=1e-3)


def test_command_and_predictor_have_the_same_default_batch_size():
    assert inspect.signature(Predictor.__call__).parameters["batch_size"].default == predict.BATCH_SIZE


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_predictions_equal_those_of_the_run(batch_size, predictor, run_folder):
    texts = text_csv.read_split(run_folder / "predictions_test.csv")["text"].tolist()
    predictions = predictor(texts, batch_size)
    assert predictions["text"].tolist() == texts
    assert_equals_test_predictions(predictions, run_folder)


def test_intensities_are_calibrated_where_asked_for(run_folder, predictor, script, tmp_path):
    """By the slopes and intercepts in the configuration, with the command too; the probabilities are the same"""
    texts = text_csv.read_split(run_folder / "predictions_test.csv")["text"].tolist()
    calibrated = Predictor(run_folder, calibrated_intensities=True)(texts)
    assert_equals_test_predictions(calibrated, run_folder, "calibrated_")
    calibration = json.loads((run_folder / "config.json").read_text())["calibration"]
    assert calibration["temperature"] != 1
    raw = predictor(texts)
    for i, name in enumerate(TARGETS):
        expected = raw[name] * calibration["slopes"][i] + calibration["intercepts"][i]
        assert calibrated[name].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-4)
    done = script(SCRIPT, run_folder, "--calibrated_intensities", "--format", "jsonl", texts[0])
    assert json.loads(done.out)["intensities"] == pytest.approx(dict(calibrated.loc[0, INTENSITIES]), abs=1e-4)


def test_a_run_of_before_is_not_calibrated(run_folder, tmp_path):
    """Its configuration has no calibration: the temperature is 1"""
    folder = shutil.copytree(run_folder, tmp_path / "before")
    config = json.loads((folder / "config.json").read_text())
    del config["calibration"]
    (folder / "config.json").write_text(json.dumps(config))
    record = json.loads((folder / "run.json").read_text())
    record["sha256"]["config.json"] = storage.checksum(folder / "config.json")
    (folder / "run.json").write_text(json.dumps(record))
    tested = text_csv.read_split(folder / "predictions_test.csv")
    predictions = Predictor(folder, calibrated_intensities=True)(tested["text"].tolist())
    for column in predictions.filter(regex="^probability_"):
        assert predictions[column].to_numpy() == pytest.approx(tested[column].to_numpy(), abs=1e-4)
    assert predictions["final"].to_numpy() == pytest.approx(tested["final_intensity_at_predicted"].to_numpy(), abs=1e-3)


def test_csv_file_to_csv(run_folder, script):
    """The column `text` of the dataloader's own file, whose columns are kept, and ours beside them."""
    path = run_folder.parents[1] / "dataset_splits" / "test_split.csv"
    done = script(SCRIPT, run_folder, "--file", path, "--format", "csv")
    assert done.code == 0, done.err
    predictions = pd.read_csv(StringIO(done.out))
    given = pd.read_csv(path)
    names = [name.replace("Unnamed: 0", "") for name in given]
    assert list(predictions)[: len(names)] == names
    pd.testing.assert_frame_equal(predictions[names], given.set_axis(names, axis=1), check_dtype=False)
    assert list(predictions)[len(names)] == "emotion" and list(predictions)[-6:] == INTENSITIES
    assert_equals_test_predictions(predictions, run_folder)


def test_standard_input_to_json_lines(run_folder, predictor, script, monkeypatch):
    given = "\ufeffI cannot sleep.\r\n\n  They left “me” alone.  \n".encode()
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(given)))
    done = script(SCRIPT, run_folder, "--format", "jsonl")
    assert done.code == 0 and "standard input: 1 empty texts have no prediction" in done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["text"] for row in rows] == ["I cannot sleep.", "", "They left “me” alone."]
    assert rows.pop(1) == {"text": "", "emotion": None, "probabilities": None, "intensities": None}
    for row, (_, expected) in zip(rows, predictor([row["text"] for row in rows]).iterrows(), strict=True):
        assert row.keys() == {"text", "emotion", "probabilities", "intensities"}
        assert row["emotion"] == max(row["probabilities"], key=row["probabilities"].get) == expected["emotion"]
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["intensities"] == pytest.approx({name: expected[name] for name in INTENSITIES}, abs=1e-4)


def test_columns_of_the_users_table_are_kept_and_ours_have_a_prefix_where_the_name_is_taken(
    run_folder, predictor, script, tmp_path
):
    """A row for each of its rows, as it is; an empty text has no prediction"""
    table = pd.DataFrame({"id": ["007", "NA", "3"], "Text": ["I cannot sleep.", " ", "1"], "emotion": ["x", "y", ""]})
    table.to_csv(tmp_path / "table.tsv", sep="\t", index=False)
    words = [run_folder, "--file", tmp_path / "table.tsv"]
    done = script(SCRIPT, *words, "--format", "csv")
    assert done.code == 0 and "emotion is predicted_emotion here" in done.err, done.err
    rows = pd.read_csv(StringIO(done.out), dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(rows[list(table)], table, check_dtype=False)
    expected = predictor(["I cannot sleep.", "1"])
    assert rows["predicted_emotion"].tolist() == [expected["emotion"][0], "", expected["emotion"][1]]
    assert rows.loc[1, [*TARGETS]].tolist() == [""] * 3
    lines = [json.loads(line) for line in script(SCRIPT, *words, "--format", "jsonl").out.splitlines()]
    assert [{name: line[name] for name in table} for line in lines] == table.to_dict("records")
    assert [line["predicted_emotion"] for line in lines] == [expected["emotion"][0], None, expected["emotion"][1]]
    assert "no prediction: the text is empty" in script(SCRIPT, *words).out


def test_argument_to_text(run_folder, predictor, script):
    """Probabilities in descending order; intensities only of a model with four heads."""
    done = script(SCRIPT, run_folder, "I cannot sleep.", "I am alone.")
    lines, row = done.out.splitlines(), predictor(["I cannot sleep."]).iloc[0]
    assert done.code == 0 and len(lines) == 6 and lines[0] == "I cannot sleep." and lines[3] == "I am alone."
    values = [float(value) for value in re.findall(r"\d\.\d\d", lines[1])]
    assert lines[1].startswith(f"  {row['emotion']} {values[0]:.2f}, ") and values == sorted(values, reverse=True)
    assert len(values) == len(predictor.label_names)
    told = [f"{name} {row[name]:.1f}" for name in TARGETS]
    told += [f"{name} expected {row[f'{name}_expected']:.1f}" for name in TARGETS]
    assert lines[2] == "  intensity: " + ", ".join(told)
    done = script(SCRIPT, run_folder.with_name("loss-classification"), "I cannot sleep.")
    assert done.code == 0 and len(done.out.splitlines()) == 2


def test_long_text_is_truncated_with_a_warning(predictor, capsys):
    most = predictor.tokenizer.model_max_length
    long = "sleep " * (most + 100)
    both = predictor([long, long + "alone"])
    assert f"2 of 2 texts are longer than {most} tokens" in capsys.readouterr().err
    assert np.ptp(both.filter(like="probability_").to_numpy(), axis=0).max() < 1e-6


def test_closed_pipe_ends_without_a_traceback(run_folder, clean_environment):
    words = [os.environ["WARM_PYTHON"], "-m", PREDICT, str(run_folder), "--format", "jsonl"]
    environment = {**clean_environment, "PYTHONPATH": str(REPOSITORY)}
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, env=environment, **pipe) as process:
        process.stdout.close()
        process.stdin.write(b"I cannot sleep.\n" * 500)
        process.stdin.close()
        assert process.stderr.read() == b"" and process.wait(60) == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 1, "standard input: has no text"),
        (["--file", "latin-1.txt"], 1, "latin-1.txt: is not UTF-8"),
        (["--file", "other.csv"], 1, "other.csv: has no column 'sentence' or 'text' (columns in it: ['words'])"),
        (["--file", "other.csv", "--text_column", "none"], 1, "other.csv: has no column 'none'"),
        (["--file", "bytes.csv"], 1, "bytes.csv: is neither text in UTF-8 nor an Excel file"),
        (["--file", "commas.csv"], 1, "commas.csv: line 3: has 3 fields, and the header 2"),
        (["--file", "twice.csv"], 1, "has the columns ['text', 'text']: keep one"),
        (["--file", "open.csv"], 1, "open.csv: line 2: is no CSV"),
        (["--file", "nothing.txt"], 1, "nothing.txt: cannot be read"),
        (["--file", "latin-1.txt", "I am here"], 2, "not both"),
        (["--batch_size", "0", "I am here"], 2, "--batch_size"),
        (["caf\udce9"], 1, "the command line: is not UTF-8"),
    ],
)
def test_unreadable_texts_end_in_one_line(words, code, message, run_folder, script, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO()))
    (tmp_path / "latin-1.txt").write_bytes("Ça va\n".encode("latin-1"))
    (tmp_path / "other.csv").write_text("words\nI am here\n")
    (tmp_path / "bytes.csv").write_bytes(b"text\n\x81\x00 va\n")
    (tmp_path / "commas.csv").write_text("id,text\n1,hello\n2,I am sad, and lonely\n")
    (tmp_path / "twice.csv").write_text("text,text\nhello,there\n")
    (tmp_path / "open.csv").write_text('text\n"hello\n')
    done = script(SCRIPT, run_folder, *words)
    assert (done.code, done.out) == (code, "") and message in done.error


def test_table_in_windows_1252_is_read_with_a_warning(run_folder, script, tmp_path):
    (tmp_path / "latin-1.csv").write_bytes("text\nÇa va\n".encode("latin-1"))
    done = script(SCRIPT, run_folder, "--file", tmp_path / "latin-1.csv", "--format", "jsonl")
    assert done.code == 0 and "latin-1.csv: is not UTF-8" in done.err and "is read as Windows-1252" in done.err
    assert json.loads(done.out)["text"] == "Ça va"


def test_missing_or_damaged_run_is_an_error(run_folder, tmp_path):
    with pytest.raises(UserError, match="has no finished run"):
        Predictor(tmp_path)
    folder = shutil.copytree(run_folder, tmp_path / "damaged")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(UserError, match=r"damaged \(.*model.safetensors"):
        Predictor(folder)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"damaged \(.*tokenizer.json"):
        Predictor(folder)


def test_cuda_build_without_a_driver_predicts_on_the_cpu(run_folder, predictor, cuda_build_without_driver):
    on_cpu = Predictor(run_folder)
    assert on_cpu.device == torch.device("cpu")
    assert on_cpu("I cannot sleep.").drop(columns=["text", "emotion"]).to_numpy() == pytest.approx(
        predictor("I cannot sleep.").drop(columns=["text", "emotion"]).to_numpy(), abs=1e-4
    )


def test_single_text_is_one_row_and_a_column_of_a_table_is_texts(predictor):
    assert predictor("I cannot sleep.").equals(predictor(["I cannot sleep."]))
    column = pd.Series(["I cannot sleep.", "I am alone."], index=[7, 3])
    assert predictor(column).equals(predictor(column.tolist())) and len(predictor([])) == 0


def test_closed_standard_input_has_no_text(run_folder, script, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert "standard input: has no text" in script(SCRIPT, run_folder).error

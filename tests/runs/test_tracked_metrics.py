"""What a run looks like in W&B, read back from its .wandb file."""

import json
from pathlib import Path

import pytest
import wandb_file
from conftest import ESCONV_FOLDER

from artificial_pain.runs.tracking import init_arguments

pytestmark = pytest.mark.xdist_group("intensity_scripts")  # one worker makes its splits
MAX_SCALARS = 40
TARGETS = ["initial", "final", "change"]


@pytest.fixture(scope="module")
def run(tracked) -> tuple[wandb_file.WandbFile, Path, Path]:
    """The content of the file, W&B's folder of the run, and the run's folder."""
    run_folder, _ = tracked
    (folder,) = json.loads((run_folder / "run.json").read_text())["wandb"]["folders"]
    (path,) = Path(folder).glob("run-*.wandb")
    return wandb_file.read(path), Path(folder), run_folder


def scalars(summary: dict) -> dict:
    """The numbers of a summary, without those that describe a table or an image."""
    media = {name.removesuffix("/_type") for name in summary if name.endswith("/_type")}
    return {name: value for name, value in summary.items() if name.rpartition("/")[0] not in media}


def test_summary_has_the_main_numbers_alone(run):
    content, _, run_folder = run
    results = json.loads((run_folder / "evaluation_results.json").read_text())
    numbers = scalars(content.summary)
    assert len(numbers) <= MAX_SCALARS
    own = {name for name in numbers if name.startswith("_")}
    test = results["test"]
    expected = {f"test/{name}": test[name] for name in ("macro_f1", "accuracy", "weighted_f1")}
    expected["test/expected_calibration_error"] = test["expected_calibration_error"]
    for name in ("macro_f1", "accuracy"):
        expected |= dict(zip((f"test/{name}_low", f"test/{name}_high"), test["intervals"][name], strict=True))
    for target in TARGETS:
        scores = test["intensity"]["predicted_label"][target]["micro"]
        for name in ("mae", "pearson"):
            ends = (f"test/{name}_{target}_low", f"test/{name}_{target}_high")
            expected |= {f"test/{name}_{target}": scores[name]}
            expected |= dict(zip(ends, scores["intervals"][name], strict=True))
    assert {name: value for name, value in numbers.items() if name.startswith("test/")} == pytest.approx(expected)
    of_validation = {"loss", "accuracy", "macro_f1", "mae", *(f"mae_{target}" for target in TARGETS)}
    others = {f"validation/{name}" for name in of_validation} | {"train/loss", "epochs", "train_seconds"}
    assert numbers.keys() - own - expected.keys() == others


def test_summary_has_the_kept_epoch_and_the_best_of_the_training_loss(run):
    content, _, run_folder = run
    record = json.loads((run_folder / "run.json").read_text())
    (kept,) = [row for row in content.history if row["_step"] == record["best_step"] and "validation/loss" in row]
    scores = [row["validation/accuracy"] for row in content.history if "validation/loss" in row]
    assert kept["validation/accuracy"] == max(scores), "what --model_metric of the task asks for"
    numbers = {name: value for name, value in content.summary.items() if name.startswith("validation/")}
    assert numbers == {name: kept[name] for name in numbers}
    losses = [row["train/loss"] for row in content.history if "train/loss" in row]
    assert content.summary["train/loss"] == {"min": min(losses)}
    assert content.summary["epochs"] == record["epochs_trained"] == 3


def test_curves_are_drawn_over_the_epoch(run):
    content, _, _ = run
    assert {metric.step_metric for name, metric in content.metrics.items() if name != "epoch"} == {"epoch"}
    assert {"train/*", "validation/*", "validation/macro_f1"} <= content.metrics.keys()
    assert content.metrics["validation/macro_f1"].summary.max and content.metrics["validation/loss"].summary.min
    assert content.metrics["train/*"].summary.none
    training = {name for row in content.history for name in row if name.startswith("train/")}
    heads = ["emotion", *TARGETS]
    assert training == {"train/loss", "train/grad_norm", "train/learning_rate", *(f"train/loss_{n}" for n in heads)}
    evaluations = [row for row in content.history if "validation/loss" in row]
    assert [row["epoch"] for row in evaluations] == [1, 2, 3]
    expected = {"validation/loss", "validation/accuracy", "validation/macro_f1"}
    expected |= {f"validation/loss_{name}" for name in heads}
    expected |= {f"validation/{metric}_{target}" for metric in ("mae", "pearson") for target in TARGETS}
    expected.add("validation/mae")
    assert all({name for name in row if name.startswith("validation/")} == expected for row in evaluations)


def test_figures_are_images(run):
    _, folder, _ = run
    pictures = {path.name.rsplit("_", 2)[0] for path in folder.rglob("*.png")}
    kinds = ("confusion_matrix", "intensities", "reliability")
    assert pictures == {f"{kind}_{split}" for kind in kinds for split in ("validation", "test")} | {"learning_curves"}


def test_all_other_metrics_stand_in_tables(run):
    content, folder, run_folder = run
    results = json.loads((run_folder / "evaluation_results.json").read_text())
    tables = {}
    for name in ("test/metrics", "test/per_class", "baselines"):
        table = json.loads((folder / "files" / content.summary[f"{name}/path"]).read_text())
        rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
        assert content.summary[f"{name}/nrows"] == len(rows)
        tables[name] = {tuple(row[key] for key in ("label", "baseline", "metric") if key in row): row for row in rows}
        assert len(tables[name]) == len(rows)
    test, baselines = results["test"], results["baselines"]
    mse = test["intensity"]["true_label"]["final"]["macro"]
    row = tables["test/metrics"]["intensity/true_label/final/macro/mse",]
    assert [row["value"], row["low"], row["high"]] == pytest.approx([mse["mse"], *mse["intervals"]["mse"]])
    assert tables["test/per_class"]["anger", "f1"]["value"] == pytest.approx(test["per_class"]["anger"]["f1"])
    for part, reading in (("intensity", "predicted_label"), ("calibrated_intensity", "expected")):
        anger = test[part][reading]["change"]["per_emotion"]["anger"]
        row = tables["test/per_class"]["anger", f"{part}/{reading}/change/mae"]
        assert row["value"] == pytest.approx(anger["mae"])
    row = tables["test/metrics"]["inconsistency/expected",]
    assert [row["low"], row["high"]] == pytest.approx(test["inconsistency"]["intervals"]["expected"])
    assert tables["baselines"]["majority", "macro_f1"]["value"] == pytest.approx(baselines["majority"]["macro_f1"])
    assert {name for name, _ in tables["baselines"]} == baselines.keys()
    assert content.summary["test/predictions/nrows"] == 56 and "test/confusion_matrix_table/nrows" in content.summary


def test_config_tells_runs_apart(run):
    content, _, run_folder = run
    record = json.loads((run_folder / "run.json").read_text())
    config = content.config
    assert config.items() >= {**record["arguments"], "precision": "fp32"}.items()
    assert config["encoder"] == record["encoder"] and config["device"] == record["device"]
    assert config["data"]["fingerprint"] == record["data"]["fingerprint"]
    assert config["data"]["examples"] == {"train": 191, "validation": 27, "test": 56}
    assert config["data"]["labels"][0] == "anger" and config["parameters"] > 10_000


def test_group_and_tags_of_the_environment_are_obeyed(run):
    content, _, _ = run
    assert content.run.display_name == f"accuracy_mental-bert-base-uncased_{ESCONV_FOLDER}_4-heads-intensity-change"
    assert content.run.run_group == "mine" and content.run.job_type == "train"
    expected = {
        "the synthetic sample of ESConv",
        "mental-bert-base-uncased",
        "unbalanced",
        "heads: 4",
        "a tag",
        "another",
    }
    assert set(content.run.tags) == expected


def test_a_group_is_the_seeds_of_one_setting(run, splits):
    _, _, run_folder = run
    record = json.loads((run_folder / "run.json").read_text())

    def group(**arguments: object) -> str:
        return init_arguments("name", record | {"arguments": record["arguments"] | arguments}, splits)["group"]

    assert group() == group(seed=7) == group(restart=True, no_log_predictions=True, output_dir="elsewhere")
    others = [init_arguments("name", record | {"precision": "bf16"}, splits)["group"]]
    for data in ({"fingerprint": "other"}, {"max_length": 128}):
        others.append(init_arguments("name", record | {"data": record["data"] | data}, splits)["group"])
    others += [group(), group(learning_rate=1.0), group(head_num=2), group(label_smoothing=0.1)]
    assert len(set(others)) == len(others)
    debug = record | {"arguments": record["arguments"] | {"debug": True}}
    assert init_arguments("name", debug, splits)["job_type"] == "debug"


def test_run_without_a_key_is_offline_and_tells_how_to_upload_it(run, tracked):
    _, folder, run_folder = run
    described = json.loads((run_folder / "run.json").read_text())["wandb"]
    assert described["mode"] == "offline" and described["project"] == "mine" and described["url"] is None
    _, done = tracked
    assert f"wandb sync --include-online {folder}" in done.out and "W&B failed" not in done.err


def test_log_file_has_a_line_an_epoch_and_no_bar(tracked):
    _, done = tracked
    lines = [line for line in done.err.splitlines() if line.startswith("epoch ")]
    assert [line.split()[:4] for line in lines] == [["epoch", str(epoch), "train", "loss"] for epoch in (1, 2, 3)]
    assert "\r" not in done.err

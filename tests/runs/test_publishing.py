"""Uploads of runs to a hub on loopback; without the flag nothing is uploaded."""

import json
import shlex
import shutil

import pytest
from conftest import ESCONV_FOLDER, GOOD_TOKEN, MODEL, SAD_FOLDER, SAD_SAMPLE, folder_of
from huggingface_hub import ModelCard
from writable_hub import WritableHub

from artificial_pain.runs.predictor import Predictor

pytestmark = pytest.mark.xdist_group("study")
NAME = "me/emotions"
OLDER_PROTOCOL = {"HF_HUB_DISABLE_XET": "1"}


def test_run_is_uploaded_only_with_the_flag(studied, encoder, command, tmp_path):
    """A finished run's command asks the hub nothing without the flag, and uploads the folder with it."""
    root = shutil.copytree(studied.root, tmp_path / "root", ignore=shutil.ignore_patterns(".*.lock"))
    folder = root / ESCONV_FOLDER / folder_of(encoder) / "loss-classification"
    words = shlex.split(json.loads((folder / "run.json").read_text())["command"])[1:]
    words[words.index("--output_dir") + 1] = root
    weights = (folder / "model.safetensors").read_bytes()
    with WritableHub({}, tokens={GOOD_TOKEN: []}) as hub:
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": GOOD_TOKEN, **OLDER_PROTOCOL}
        assert command(words[0], *words[1:], **environment).code == 0 and not hub.requests
        hub.misbehave("403", path="/commit/", times=1)
        done = command(words[0], *words[1:], "--push_to_hub", NAME, **environment)
        assert done.code == 1 and "--push_to_hub me/emotions" in done.error and "the same command" in done.error
        done = command(words[0], *words[1:], "--push_to_hub", NAME, **environment)
        assert done.code == 0 and f"Hub: {hub.endpoint}/{NAME}/commit/" in done.out and "is finished" in done.err
        uploaded = hub.uploaded[NAME]
    files = {path.name for path in folder.iterdir()}
    assert uploaded.keys() == files - {"predictions_test.csv", "predictions_validation.csv"}
    assert uploaded["model.safetensors"] == weights and hub.private[NAME]

    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    for name, content in uploaded.items():
        (downloaded / name).write_bytes(content)
    card, record = ModelCard.load(downloaded / "README.md"), json.loads(uploaded["run.json"])
    scores = json.loads(uploaded["evaluation_results.json"])["test"]
    by_metric = {result.metric_type: result for result in card.data.eval_results}
    for kind, name in {"f1": "macro_f1", "accuracy": "accuracy"}.items():
        assert by_metric[kind].metric_value == pytest.approx(scores[name], abs=1e-6) and by_metric[
            kind
        ].dataset_args == {"examples": scores["n"]}
        assert by_metric[kind].metric_args["interval_95"] == scores["intervals"][name]
        assert by_metric[kind].dataset_name == "the synthetic sample of ESConv"
    assert record["arguments"]["push_to_hub"] is None
    assert Predictor(downloaded)(["I cannot sleep."])["emotion"][0] in card.text


@pytest.mark.parametrize(("token", "message"), [("", "needs a token"), ("hf_unknown", "401")])
def test_missing_permission_ends_the_run_before_training(token, message, encoder, sample_splits, command):
    words = [MODEL, "--model_name", encoder, *SAD_SAMPLE, "--output_dir", sample_splits, "--seed", "78"]
    with WritableHub({}, tokens={GOOD_TOKEN: []}) as hub:
        done = command(*words, "--push_to_hub", NAME, HF_ENDPOINT=hub.endpoint, HF_TOKEN=token)
    assert done.code == 1 and message in done.error
    assert not (sample_splits / SAD_FOLDER / folder_of(encoder) / "loss-classification-seed78").exists()

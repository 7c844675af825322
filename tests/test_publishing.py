"""Uploads of runs to a hub on loopback, and that nothing is uploaded that was not asked for."""

import json

import pytest
from conftest import GOOD_TOKEN, MODEL
from huggingface_hub import ModelCard
from test_model_script import FAST
from writable_hub import WritableHub

from artificial_pain.inference import Predictor

NAME = "me/emotions"
OLDER_PROTOCOL = {"HF_HUB_DISABLE_XET": "1"}


def test_a_run_is_uploaded_where_it_is_asked_for(encoder, sample_splits, command, tmp_path):
    """Trained without the flag, nothing is asked of the hub; the same command with it uploads what is there"""
    words = [MODEL, "--model_name", encoder, "--dataset_name", "SAD", "--output_dir", sample_splits, *FAST]
    words += ["--seed", "77"]
    with WritableHub({}, tokens={GOOD_TOKEN: []}) as hub:
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": GOOD_TOKEN, **OLDER_PROTOCOL}
        done = command(*words, **environment)
        assert done.code == 0 and not hub.requests
        folder = sample_splits / "SAD" / encoder.name / "loss-classification-seed77"
        weights = (folder / "model.safetensors").read_bytes()

        hub.misbehave("403", path="/commit/", times=1)
        done = command(*words, "--push_to_hub", NAME, **environment)
        assert done.code == 1 and "--push_to_hub me/emotions" in done.error and "the same command" in done.error
        done = command(*words, "--push_to_hub", NAME, **environment)
        assert done.code == 0 and f"Hub: {hub.endpoint}/{NAME}/commit/" in done.out and "is finished" in done.err
        uploaded = hub.uploaded[NAME]
    here = {path.name for path in folder.iterdir()}
    assert uploaded.keys() == here - {"predictions_test.csv", "predictions_validation.csv"}
    assert uploaded["model.safetensors"] == weights and hub.private[NAME]

    for name, content in uploaded.items():
        (tmp_path / name).write_bytes(content)
    card, record = ModelCard.load(tmp_path / "README.md"), json.loads(uploaded["run.json"])
    scores = json.loads(uploaded["evaluation_results.json"])["test"]
    of_hub = {result.metric_type: result for result in card.data.eval_results}
    for kind, name in {"f1": "macro_f1", "accuracy": "accuracy"}.items():
        assert of_hub[kind].metric_value == scores[name] and of_hub[kind].dataset_args == {"examples": scores["n"]}
        assert of_hub[kind].metric_args["interval_95"] == scores["intervals"][name]
        assert of_hub[kind].dataset_name == "a synthetic sample in the schema of SAD"
    assert record["arguments"]["push_to_hub"] is None
    assert Predictor(tmp_path)(["I cannot sleep."])["emotion"][0] in card.text


@pytest.mark.parametrize(("token", "told"), [("", "needs a token"), ("hf_unknown", "401")])
def test_who_may_not_upload_is_told_before_the_training(token, told, encoder, sample_splits, command):
    words = [MODEL, "--model_name", encoder, "--dataset_name", "SAD", "--output_dir", sample_splits, "--seed", "78"]
    with WritableHub({}, tokens={GOOD_TOKEN: []}) as hub:
        done = command(*words, "--push_to_hub", NAME, HF_ENDPOINT=hub.endpoint, HF_TOKEN=token)
    assert done.code == 1 and told in done.error
    assert not (sample_splits / "SAD" / encoder.name / "loss-classification-seed78").exists()

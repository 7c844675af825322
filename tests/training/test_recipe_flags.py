"""What the published recipe does not have: pooling, schedules, layer decay, label smoothing and class weights."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MODEL, SAD_FOLDER, SAD_SAMPLE, folder_of
from datasets import DatasetDict
from models import LABELS, MISSING, NAMES, TARGETS, annotated, batch, make, make_trainer
from transformers import AutoModel

from artificial_pain import storage
from artificial_pain.data.tokenization import Splits
from artificial_pain.encoders import Encoder
from artificial_pain.modeling.losses import IGNORE_INDEX, Loss
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training import label_statistics, recipe

FAST = ["--epochs", "2", "--batch_size", "16", "--learning_rate", "1e-3", "--head_learning_rate", "1e-3"]
FAST += ["--precision", "fp32"]  # whatever the machine has


@pytest.mark.parametrize("name", NAMES)
def test_mean_pooling_is_the_mean_of_the_tokens_without_the_padding(name, tiny, tmp_path):
    encoder = Encoder("tiny", tiny[name], None)
    model = EmotionModel.from_encoder(encoder, LABELS, 256, TARGETS, regressor_size=128, pooling="mean").eval()
    hidden = AutoModel.from_pretrained(tiny[name], dtype=torch.float32).eval()(**batch()).last_hidden_state
    means = torch.stack([hidden[0].mean(dim=0), hidden[1, :5].mean(dim=0)])
    output = model(**batch())
    assert torch.allclose(output.logits, model.emotion_head(means), atol=1e-6)
    assert torch.allclose(output.intensities[:, 2], model.regressors["intensity_change"](means), atol=1e-6)
    model.save_pretrained(tmp_path)
    assert torch.equal(EmotionModel.from_pretrained(tmp_path)(**batch()).logits, output.logits)


@pytest.mark.parametrize("name", NAMES)
def test_each_layer_learns_at_a_share_of_the_rate_above_it(name, tiny):
    """Half the rate for each layer further down, the embeddings below all; norms beside the layers at the top's"""
    model = make(tiny[name], TARGETS)
    layers = model.config.encoder.num_hidden_layers
    adam = recipe.adam(model, learning_rate=0.8, head_learning_rate=0.3, layer_decay=0.5)
    rates = {parameter: group["lr"] for group in adam.param_groups for parameter in group["params"]}
    names = dict(model.named_parameters())
    assert len(rates) == len(names)
    for parameter_name, parameter in names.items():
        expected = 0.8
        if not parameter_name.startswith("encoder."):
            expected = 0.3
        elif "embeddings" in parameter_name:
            expected = 0.8 * 0.5**layers
        for layer in range(layers):
            if f"layer.{layer}." in parameter_name or f"layers.{layer}." in parameter_name:
                expected = 0.8 * 0.5 ** (layers - 1 - layer)
        assert rates[parameter] == pytest.approx(expected), parameter_name
    assert len(recipe.adam(model, 0.8, 0.3).param_groups) == 2, "without it, encoder and heads"


def test_label_smoothing_and_class_weights_by_hand():
    """Shares 1/2, 1/4, 1/4 of three labels, of which the first is true, and the second of another example

    Smoothed by 0.3, the targets are 0.8, 0.1, 0.1. Weights 1 and 3: (1 · log 2 + 3 · log 4) / 2.
    """
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log().repeat(2, 1)
    nothing = torch.zeros(2, 0, 3), torch.tensor([0, 1]), torch.zeros(2, 0)
    smoothed = Loss(1.0, label_smoothing=0.3).per_head(logits[:1], *(part[:1] for part in nothing), training=True)
    assert smoothed.item() == pytest.approx(0.8 * np.log(2) + 0.2 * np.log(4))
    loss = Loss(1.0, class_weights=torch.tensor([1.0, 3, 9]))
    weighed = loss.per_head(logits, *nothing, training=True)
    assert weighed.item() == pytest.approx((np.log(2) + 3 * np.log(4)) / 2)
    assert loss.per_head(logits, *nothing).item() == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_weights_and_smoothing_together_weigh_the_smoothed_loss_of_each_example():
    """By its own label, in a loop; an example of padding counts for nothing"""
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(7, 3, generator=generator), torch.tensor([0, 1, 2, 1, 0, IGNORE_INDEX, 2])
    weights, smoothing = [0.5, 2.0, 4.0], 0.3
    total = 0.0
    for row, label in zip(logits.log_softmax(dim=1).tolist(), labels.tolist(), strict=True):
        if label != IGNORE_INDEX:
            smoothed = [smoothing / 3 + (1 - smoothing) * (i == label) for i in range(3)]
            total -= weights[label] * sum(share * value for share, value in zip(smoothed, row, strict=True))
    loss = Loss(1.0, class_weights=torch.tensor(weights), label_smoothing=smoothing)
    nothing = torch.zeros(7, 0, 3), labels, torch.zeros(7, 0)
    assert loss.per_head(logits, *nothing, training=True).item() == pytest.approx(total / 6)


def test_they_are_of_the_training_alone(tiny, splits):
    """Class weights n / (labels · n of the label); a validation loss is the plain cross-entropy"""
    weights = label_statistics.balanced_class_weights(splits)
    counts = np.bincount(splits.tokenized["train"]["labels"][:])
    assert weights.tolist() == pytest.approx((50 / 3 / counts).tolist())
    examples = {**batch(), "labels": torch.tensor([2, 0]), **annotated((5, MISSING, 1), (2, 1, -1))}
    plain, model = make(tiny[NAMES[1]], TARGETS).eval(), make(tiny[NAMES[1]], TARGETS)
    model.loss = Loss(0.5, class_weights=weights, label_smoothing=0.2)
    assert model.eval()(**examples).loss.item() == pytest.approx(plain(**examples).loss.item())
    assert model.train()(**examples).loss.item() != pytest.approx(plain(**examples).loss.item(), rel=1e-3)


def test_regressors_start_at_the_training_means_of_each_emotion():
    """Shrunk as by 10 values: of anger (1 + 3 + 10 · 8/3) / 12; fear has the mean of all, of which none is known"""
    train = pd.DataFrame({"label": [0, 0, 2, 1], "initial": [1.0, 3, 4, MISSING], "final": [MISSING, 2, 2, 2]})
    splits = Splits(DatasetDict(), {"train": train}, LABELS, "", {}, None)
    means = label_statistics.mean_intensities(splits, ["initial", "final"], shrinkage=10)
    assert means.numpy() == pytest.approx(np.array([[(4 + 80 / 3) / 12, 8 / 3, (4 + 80 / 3) / 11], [2, 2, 2]]))


@pytest.mark.parametrize("outputs", ["per_emotion", "shared"])
def test_model_predicts_the_means_it_starts_at_and_learns_from_there(outputs, tiny, tmp_path):
    """A shared regressor has one output's weights, and loads again as it was saved"""
    heads = {"regressor_size": 128, "regressor_outputs": outputs}
    model = EmotionModel.from_encoder(Encoder("tiny", tiny[NAMES[1]], None), LABELS, 256, TARGETS, **heads).eval()
    model.loss = Loss(0.5)
    one, other = model(**batch()).intensities
    assert not torch.allclose(one, other, atol=1e-4)
    same_for_each_emotion = torch.allclose((one - other).std(dim=1), torch.zeros(3), atol=1e-6)
    assert same_for_each_emotion == (outputs == "shared")
    means = torch.tensor([[4.0, 3, 5], [2, 3, 1], [-2, 0, -4]])
    model.start_regressors_at(means)
    assert torch.equal(model(**batch()).intensities, means.expand(2, 3, 3))
    adam = recipe.adam(model, 1e-3, 1e-3)
    for _ in range(2):  # the layer below learns once the last one's weights are not 0
        model(**batch(), labels=torch.tensor([2, 0]), **annotated((3, 3, 0), (2, 1, -1))).loss.backward()
        adam.step()
    assert all(weight.grad.abs().sum() > 0 for weight in model.regressors.parameters())
    assert model.regressors["final_intensity"][-1].weight.shape == (1 if outputs == "shared" else 3, 128)
    model.save_pretrained(tmp_path)
    again = EmotionModel.from_pretrained(tmp_path)(**batch()).intensities
    assert torch.allclose(again, model(**batch()).intensities, rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("linear", 1e-3 * 18 / 36), ("cosine", 1e-3 * (1 + np.cos(np.pi * 18 / 36)) / 2), ("constant", 1e-3)],
)
def test_the_learning_rate_falls_as_asked(schedule, expected, tiny, splits, tmp_path):
    """4 epochs of 9 steps, half of them taken"""
    trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path, epochs=4, schedule=schedule)
    trainer.create_optimizer_and_scheduler(36)
    for _ in range(18):
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    assert trainer.lr_scheduler.get_last_lr()[0] == pytest.approx(expected)


def test_a_run_with_all_of_them_is_evaluated_as_it_was_trained(encoder, sample_splits, script, monkeypatch):
    """The folder says which metric kept it; the same command finds it finished, and its model pools as it did"""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    words = [MODEL, "--model_name", encoder, *SAD_SAMPLE, "--output_dir", sample_splits, *FAST]
    words += ["--seed", "5", "--pooling", "mean", "--schedule", "cosine", "--layer_decay", "0.5", "--class_weights"]
    words += ["--label_smoothing", "0.1", "--model_metric", "macro_f1"]
    assert script(*words).code == 0
    folder = sample_splits / SAD_FOLDER / folder_of(encoder) / "macro_f1-classification-seed5"
    first = (folder / "evaluation_results.json").read_bytes()
    assert json.loads((folder / "config.json").read_text())["pooling"] == "mean"
    done = script(*words)
    assert "is finished, and is evaluated" in done.err
    assert (folder / "evaluation_results.json").read_bytes() == first
    config, record = (json.loads((folder / name).read_text()) for name in ("config.json", "run.json"))
    assert config.pop("calibration")["temperature"] != 1
    (folder / "config.json").write_text(json.dumps(config))
    record["sha256"]["config.json"] = storage.checksum(folder / "config.json")
    (folder / "run.json").write_text(json.dumps(record))
    assert script(*words).code == 0
    again = json.loads((folder / "evaluation_results.json").read_text())
    assert again["calibration"]["temperature"] == 1, "a run of before stays as it is"
    assert again["test"]["expected_calibration_error"] == again["test"]["calibrated_expected_calibration_error"]
    words[words.index("mean")] = "cls"
    assert "--pooling mean, not cls" in script(*words).error


@pytest.mark.parametrize(
    "words",
    [["--layer_decay", "0"], ["--layer_decay", "1.1"], ["--label_smoothing", "1"], ["--pooling", "max"]],
)
def test_what_they_cannot_be_is_a_wrong_flag(words, script):
    done = script(MODEL, *words)
    assert done.code == 2 and words[0] in done.error

"""The Trainer: the order of its predictions, the kept model, what it reports and logs, the learning rates."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from models import LABELS, MISSING, NAMES, TARGETS, make_trainer
from safetensors.torch import load_file
from transformers import EvalPrediction

from artificial_pain.encoders import Encoder
from artificial_pain.errors import UserError
from artificial_pain.modeling import cpu
from artificial_pain.modeling.losses import Loss
from artificial_pain.training import callbacks, checkpoints, evaluate, recipe
from artificial_pain.training.history import best_evaluation, learning_curves


def test_predictions_come_in_the_order_of_the_dataset(tiny, splits, tmp_path):
    trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path)
    trainer.train()
    logits, intensities = evaluate.predict(trainer, splits.tokenized["test"])
    model = trainer.model.eval()
    for i, example in enumerate(splits.tokenized["test"]):
        one = {name: torch.tensor([example[name]]).long() for name in ("input_ids", "attention_mask")}
        assert model(**one).logits[0].tolist() == pytest.approx(logits[i].tolist(), abs=1e-5)
        assert model(**one).intensities[0].numpy(force=True) == pytest.approx(intensities[i], abs=1e-5)


def test_the_kept_model_is_the_best_on_validation(tiny, splits, tmp_path):
    """With a learning rate that overfits within a few epochs, the last model is not the kept one."""
    rates = {"learning_rate": 3e-3, "head_learning_rate": 3e-3}
    trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path, epochs=50, patience=3, **rates)
    recipe.train(trainer)
    losses = [log["eval_loss"] for log in trainer.state.log_history if "eval_loss" in log]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3, "stopped 3 epochs after the best"
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[best], rel=1e-5)
    # What was predicted in that epoch's evaluation is what the kept model predicts.
    validation = splits.tokenized["validation"]
    assert trainer.best_outputs is not None
    found = evaluate.predict(trainer, validation, trainer.best_outputs)
    for once, again in zip(found, evaluate.predict(trainer, validation), strict=True):
        assert np.array_equal(once, again)


@pytest.mark.parametrize("resumed", [False, True])
def test_the_kept_weights_are_evaluated_once_on_validation(resumed, tiny, splits, tmp_path, monkeypatch):
    """After the training the test split alone is predicted; of a training that had ended before, both are"""
    trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path)
    recipe.train(trainer)
    if resumed:
        trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path, patience=0)
        recipe.train(trainer)
    predicted, predict = [], trainer.predict
    monkeypatch.setattr(trainer, "predict", lambda dataset: predicted.append(len(dataset)) or predict(dataset))
    frames = {name: texts(part) for name, part in splits.tokenized.items()}
    settings = {"label_counts": dict.fromkeys(LABELS, 1), "label_column": None}  # for the baselines
    splits = replace(splits, texts=frames, settings=settings, tokenizer=trainer.processing_class)
    evaluate.evaluate(trainer, splits, Encoder("tiny", tiny[NAMES[1]], None))
    assert predicted == ([100, 150] if resumed else [150])


def texts(part: Dataset) -> pd.DataFrame:
    """What the baselines read of a split."""
    frame = part.select_columns(["labels", *TARGETS]).to_pandas().rename(columns={"labels": "label"})
    words = [" ".join(f"word{i}" for i in ids) for ids in part["input_ids"]]
    return frame.assign(text=words, label_name=[LABELS[label] for label in frame["label"]])


def test_the_disk_is_to_hold_the_checkpoints_and_the_whole_model(tiny, splits, tmp_path, monkeypatch):
    """A checkpoint has fewer word embeddings than the model that is saved in the end."""
    asked = []
    monkeypatch.setattr(checkpoints, "require_space", lambda folder, weights, saved: asked.append((weights, saved)))
    trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path)
    recipe.train(trainer)
    (file,) = tmp_path.glob("checkpoint-*/model.safetensors")
    sizes = [sum(weight.nbytes for weight in some.values()) for some in (load_file(file), trainer.model.state_dict())]
    assert asked == [tuple(sizes)] and sizes[0] < sizes[1]


def test_free_memory_is_given_back_while_it_trains_and_before_each_evaluation(tiny, splits, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_TRIMS", 0)
    monkeypatch.setattr(cpu, "return_free_memory", lambda: calls.append("given back"))
    trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path, batch_size=25)
    evaluation_loop = trainer.evaluation_loop
    monkeypatch.setattr(
        trainer,
        "evaluation_loop",
        lambda *args, **kwargs: calls.append("evaluation") or evaluation_loop(*args, **kwargs),
    )
    recipe.train(trainer)
    assert calls == ["given back"] * 3 + ["evaluation", "given back"]  # two steps, the epoch, the end


@pytest.mark.parametrize(("lengths", "size"), [([4] * 9, 64), ([512] * 9, 8), ([10, 90], 40)])
def test_evaluation_batches_have_about_as_many_tokens_on_a_cpu(lengths, size):
    validation = Dataset.from_dict({"input_ids": [[5] * length for length in lengths]})
    assert recipe.evaluation_batch_size(validation) == size


def test_validation_reports_losses_and_metrics_over_the_whole_split(tiny, splits, tmp_path):
    """Of 100 examples in two batches, whose numbers of known intensities differ: no mean over batches."""
    trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path)
    got = trainer.evaluate()
    validation = splits.tokenized["validation"]
    logits, intensities = evaluate.predict(trainer, validation)
    labels = np.array(validation["labels"][:])
    losses = {}
    for i, (name, target) in enumerate(zip(["initial", "final", "change"], TARGETS, strict=True)):
        true = np.array(validation[target][:])
        known = ~np.isnan(true)
        errors = intensities[np.arange(100), i, labels][known] - true[known]
        losses[name] = np.mean(errors**2)
        assert got[f"eval_loss_{name}"] == pytest.approx(losses[name], rel=1e-5)
        assert got[f"eval_mae_{name}"] == pytest.approx(np.mean(np.abs(errors)), rel=1e-5)
        r = np.corrcoef(intensities[np.arange(100), i, labels][known], true[known])[0, 1]
        assert got[f"eval_pearson_{name}"] == pytest.approx(r, rel=1e-5)
    shares = torch.tensor(logits).log_softmax(dim=1).numpy()
    cross_entropy = -shares[np.arange(100), labels].mean()
    assert got["eval_loss_emotion"] == pytest.approx(cross_entropy, rel=1e-5)
    assert got["eval_loss"] == pytest.approx(0.5 * cross_entropy + 0.5 * np.mean(list(losses.values())), rel=1e-5)
    maes = [got[f"eval_mae_{name}"] for name in losses]
    assert got["eval_mae"] == pytest.approx(np.mean(maes))


def test_error_that_is_not_a_number_is_reported_and_worse_than_any():
    """And one of which nothing is annotated is left out"""
    logits, outputs, loss = np.zeros((2, 3), np.float32), np.ones((2, 2, 3), np.float32), Loss(0.5)
    columns = np.array([[0.0, 1], [2, 4], [MISSING, MISSING]], np.float32)
    metrics = evaluate.validation_metrics(EvalPrediction((logits, outputs), columns), loss, TARGETS[:2])
    assert metrics["mae"] == metrics["mae_initial"] == 2 and "mae_final" not in metrics
    diverged = evaluate.validation_metrics(EvalPrediction((logits, outputs * MISSING), columns), loss, TARGETS[:2])
    assert np.isnan(diverged["mae"])
    logs = [{"step": 1, "eval_loss": 1.0, "eval_mae": 2.0}, {"step": 2, "eval_loss": 0.5, "eval_mae": diverged["mae"]}]
    assert best_evaluation(logs, "mae").step == 1


def test_error_of_intensities_that_nobody_knows_cannot_choose_the_checkpoint(tiny, splits, tmp_path):
    frame = pd.DataFrame(dict.fromkeys(TARGETS, [MISSING] * 3))
    with pytest.raises(UserError, match="mae: no validation example has a known intensity"):
        make_trainer(tiny[NAMES[1]], replace(splits, texts={"validation": frame}), tmp_path, model_metric="mae")
    frame.loc[1, TARGETS[1]] = 2
    make_trainer(tiny[NAMES[1]], replace(splits, texts={"validation": frame}), tmp_path, model_metric="mae")


def test_every_loss_is_logged_while_training(tiny, splits, tmp_path):
    """With batches of one example, so that a step often has no known target."""
    trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path, batch_size=1)
    trainer.train()
    logs = [log for log in trainer.state.log_history if "loss" in log]
    assert len(logs) == 5, "each the mean of 10 steps"
    for log in logs:
        heads = {name for name in log if name.startswith("loss_")}
        assert heads == {"loss_emotion", "loss_initial", "loss_final", "loss_change"}
        assert all(np.isfinite(log[name]) for name in heads)


def test_the_learning_rate_warms_up(tiny, splits, tmp_path, capsys):
    """5 epochs of 9 steps, 20 of them to warm up: at step 10 half of the rate, at step 25 four fifths of it."""
    trainer = make_trainer(tiny[NAMES[1]], splits, tmp_path, epochs=5, warmup_steps=20)
    trainer.train()
    rates = {log["step"]: log["learning_rate"] for log in trainer.state.log_history if "learning_rate" in log}
    # Logged is the rate of the step just taken, the first of them 0.
    assert rates[9] == pytest.approx(1e-3 * 8 / 20) and rates[27] == pytest.approx(1e-3 * (45 - 26) / 25)
    assert "--warmup_steps" not in capsys.readouterr().err
    make_trainer(tiny[NAMES[1]], splits, tmp_path, epochs=1, warmup_steps=500)
    assert "--warmup_steps 500, but the training has 9 steps" in capsys.readouterr().err


def test_a_learning_curve_is_the_mean_over_the_steps_of_its_epoch():
    """Epochs of 14 steps, a log after every 10th step and at the end of the epoch; final is not always known."""
    logs = [
        (10, 1.0, {}),
        (14, 8.0, {"loss_final": 2.0}),
        (20, 4.0, {"loss_final": 1.0}),
        (28, 4.0, {"loss_final": 3.0}),
    ]
    history = [{"step": n, "epoch": n / 14, "loss": loss, **final} for n, loss, final in logs]
    history += [{"step": n, "epoch": n / 14, "eval_loss": n / 7} for n in (14, 28)]
    curves = learning_curves(history)
    assert curves["loss"].tolist() == pytest.approx([(10 * 1 + 4 * 8) / 14, 4])
    assert curves["loss_final"].tolist() == pytest.approx([2, (6 * 1 + 8 * 3) / 14])
    assert curves["eval_loss"].tolist() == [2, 4] and list(curves.index) == [1, 2]


def test_a_learning_curve_does_not_hide_a_loss_that_is_not_a_number():
    history = [{"step": 5, "epoch": 0.5, "loss": 1.0}, {"step": 10, "epoch": 1.0, "loss": MISSING}]
    curves = learning_curves([*history, {"step": 10, "epoch": 1.0, "eval_loss": MISSING}])
    assert len(curves) == 1 and curves["loss"].isna().all() and curves["eval_loss"].isna().all()

"""The model: its architecture, its loss, its optimizer, and that it loads again as it was saved."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import trainers
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer

from artificial_pain.data.tokenization import Splits
from artificial_pain.encoders import Encoder
from artificial_pain.errors import UserError
from artificial_pain.modeling.losses import Loss, head_losses
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training import evaluate, recipe
from artificial_pain.training.history import learning_curves
from artificial_pain.training.trainer import EmotionTrainer

NAMES = ["mental/mental-roberta-base", "mental/mental-bert-base-uncased", "answerdotai/ModernBERT-base"]
LABELS = ["anger", "fear", "shame"]


TARGETS = ["initial_intensity", "final_intensity", "intensity_change"]
MISSING = float("nan")


def make(folder: Path, targets: Sequence[str] = ()) -> EmotionModel:
    torch.manual_seed(0)
    return trainers.make_model(Encoder("tiny", folder, None), LABELS, targets)


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    return {"input_ids": torch.randint(10, 400, (2, 9), generator=generator), "attention_mask": mask}


@pytest.mark.parametrize("name", NAMES)
def test_the_architecture_is_the_published_one(name, tiny):
    model = make(tiny[name]).eval()
    head = model.emotion_head
    assert [type(layer) for layer in head] == [nn.Linear, nn.Tanh, nn.Linear]
    assert (head[0].in_features, head[0].out_features, head[2].out_features) == (32, 256, 3)
    assert head[0].weight.abs().max() <= 32**-0.5, "torch's own initialisation"
    assert head[0].weight.std().item() == pytest.approx((1 / 32 / 3) ** 0.5, rel=0.05)
    pretrained = AutoModel.from_pretrained(tiny[name], dtype=torch.float32).eval()
    hidden = pretrained(**batch()).last_hidden_state[:, 0]
    assert torch.allclose(model(**batch()).logits, head(hidden), atol=1e-6), "the first token of the pretrained encoder"


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_again_with_the_same_outputs(name, tiny, tmp_path):
    model = make(tiny[name], TARGETS[:2]).eval()
    model.save_pretrained(tmp_path)
    again = EmotionModel.from_pretrained(tmp_path)
    assert torch.equal(again(**batch()).logits, model(**batch()).logits)
    assert torch.equal(again(**batch()).intensities, model(**batch()).intensities)
    assert again.config.id2label == dict(enumerate(LABELS))
    assert again.config.intensity_targets == TARGETS[:2]


def test_padding_changes_nothing(tiny):
    model = make(tiny[NAMES[0]]).eval()
    alone = {name: value[1:, :5] for name, value in batch().items()}
    assert torch.allclose(model(**batch()).logits[1], model(**alone).logits[0], atol=1e-6)


def test_the_loss_is_the_cross_entropy(tiny):
    model = make(tiny[NAMES[1]]).eval()
    output = model(**batch(), labels=torch.tensor([2, 0]))
    shares = output.logits.softmax(dim=1)
    assert output.loss.item() == pytest.approx(-(shares[0, 2].log() + shares[1, 0].log()).item() / 2, abs=1e-6)


def test_the_regressors_are_the_published_ones(tiny):
    model = make(tiny[NAMES[0]], TARGETS)
    assert list(model.regressors) == TARGETS
    for regressor in model.regressors.values():
        assert [type(layer) for layer in regressor] == [nn.Linear, nn.Tanh, nn.Linear]
        assert (regressor[0].in_features, regressor[0].out_features, regressor[2].out_features) == (32, 128, 3)
    model.eval()
    output = model(**batch())
    hidden = model.encoder(**batch()).last_hidden_state[:, 0]
    assert output.intensities.shape == (2, 3, 3) and output.loss is None
    assert torch.allclose(output.intensities[:, 1], model.regressors["final_intensity"](hidden), atol=1e-6)


def test_the_emotion_head_begins_the_same_whatever_other_heads_there_are(tiny):
    alone = make(tiny[NAMES[0]]).emotion_head.state_dict()
    for number in (1, 2, 3):
        beside = make(tiny[NAMES[0]], TARGETS[:number]).emotion_head.state_dict()
        assert all(torch.equal(alone[name], beside[name]) for name in alone)


def test_the_loss_of_a_batch_with_missing_targets_by_hand():
    """Three examples of the labels 0, 1, 0, every emotion as likely: the cross-entropy is log 2.

    initial: known for the first and the last, 3 - 1 = 2 and 1 - 2 = -1 off, so (4 + 1) / 2. final: known for the
    second, 5 - 2 = 3 off. change: for none, so the mean is over two losses: 0.5 log 2 + 0.5 (2.5 + 9) / 2.
    """
    at_true = [[3.0, 7, 7], [7, 5, 7], [1, 7, 7]]
    elsewhere = 100.0
    outputs = [
        [[a, elsewhere] if label == 0 else [elsewhere, a] for a in row]
        for row, label in zip(at_true, [0, 1, 0], strict=True)
    ]
    annotated = torch.tensor([[1, MISSING, MISSING], [MISSING, 2, MISSING], [2, MISSING, MISSING]])
    losses = head_losses(torch.zeros(3, 2), torch.tensor(outputs), torch.tensor([0, 1, 0]), annotated)
    assert losses[:3].tolist() == pytest.approx([np.log(2), 2.5, 9]) and losses[3].isnan()
    loss = Loss(emotion_weight=0.5)
    assert loss.total(losses).item() == pytest.approx(0.5 * np.log(2) + 0.5 * (2.5 + 9) / 2)
    assert loss.total(losses[:1]).item() == pytest.approx(np.log(2)), "without regressors nothing is to be weighed"


def annotated(*rows: tuple[float, float, float]) -> dict[str, torch.Tensor]:
    """The intensities of a batch, an example a row, as the model takes them."""
    return dict(zip(TARGETS, torch.tensor(rows).T, strict=True))


def test_the_model_learns_from_the_same_loss(tiny):
    model = make(tiny[NAMES[1]], TARGETS).eval()
    labels = torch.tensor([2, 0])
    output = model(**batch(), labels=labels, **annotated((5, MISSING, MISSING), (2, 1, -1)))
    initial, final, change = (output.intensities[:, i, :] for i in range(3))
    errors = [
        ((initial[0, 2] - 5) ** 2 + (initial[1, 0] - 2) ** 2) / 2,
        (final[1, 0] - 1) ** 2,
        (change[1, 0] + 1) ** 2,
    ]
    shares = output.logits.softmax(dim=1)
    cross_entropy = -(shares[0, 2].log() + shares[1, 0].log()) / 2
    assert output.head_losses.tolist() == pytest.approx([cross_entropy.item(), *(one.item() for one in errors)])
    assert output.loss.item() == pytest.approx((0.5 * cross_entropy + 0.5 * sum(errors) / 3).item())


def test_a_batch_without_any_known_intensity_still_trains_the_emotion_head(tiny):
    model = make(tiny[NAMES[1]], TARGETS).eval()
    nothing = annotated((MISSING,) * 3, (MISSING,) * 3)
    output = model(**batch(), labels=torch.tensor([2, 0]), **nothing)
    assert output.loss.item() == pytest.approx(0.5 * output.head_losses[0].item())
    output.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all(gradients[f"emotion_head.{i}.weight"].abs().sum() > 0 for i in (0, 2))
    assert all(gradients[name].abs().sum() == 0 for name in gradients if name.startswith("regressors."))


def test_a_gradient_reaches_a_regressor_only_through_the_true_emotions_output(tiny):
    """Of three emotions 0 and 2 are true, but the final intensity of the example of emotion 2 is missing."""
    model = make(tiny[NAMES[1]], TARGETS).eval()
    model(**batch(), labels=torch.tensor([2, 0]), **annotated((5, MISSING, 1), (2, 3, 1))).loss.backward()
    reached = {
        target: [bool(row.abs().sum() > 0) for row in model.regressors[target][2].weight.grad] for target in TARGETS
    }
    both, first = [True, False, True], [True, False, False]
    assert reached == {"initial_intensity": both, "final_intensity": first, "intensity_change": both}


@pytest.mark.parametrize("targets", [[], TARGETS])
def test_every_parameter_learns_and_each_group_at_its_rate(targets, tiny):
    model = make(tiny[NAMES[1]], targets)
    model(**batch(), labels=torch.tensor([2, 0]), **annotated((5, 2, -3), (4, 2, -2))).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    adam = recipe.adam(model, 1e-5, 3e-5)
    encoder, heads = adam.param_groups
    assert type(adam) is torch.optim.Adam and encoder["weight_decay"] == heads["weight_decay"] == 0
    assert (encoder["lr"], heads["lr"]) == (1e-5, 3e-5)
    regressor = 32 * 128 + 128 + 128 * 3 + 3
    assert sum(p.numel() for p in heads["params"]) == 32 * 256 + 256 + 256 * 3 + 3 + len(targets) * regressor
    assert sum(len(group["params"]) for group in adam.param_groups) == len(list(model.parameters()))


def test_weights_that_do_not_fit_are_refused(tiny, tmp_path):
    make(tiny[NAMES[1]]).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((tiny[NAMES[1]] / "config.json").read_text())
    weights = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1." not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="of the encoder's weights are missing"):
        make(tmp_path)


@pytest.fixture
def splits() -> Splits:
    """Texts of many lengths, in no order, with intensities of which every third is missing."""
    rng = np.random.default_rng(0)
    features = Features(
        {
            "labels": ClassLabel(names=LABELS),
            "input_ids": List(Value("int32")),
            "attention_mask": List(Value("int8")),
            **{target: Value("float32") for target in TARGETS},
        }
    )

    def part(n: int) -> Dataset:
        ids = [[2, *rng.integers(10, 400, rng.integers(1, 60)), 3] for _ in range(n)]
        columns = {"labels": rng.integers(0, 3, n), "input_ids": ids, "attention_mask": [[1] * len(one) for one in ids]}
        for target in TARGETS:
            columns[target] = np.where(rng.integers(0, 3, n) == 0, MISSING, rng.integers(1, 6, n))
        return Dataset.from_dict(columns, features=features)

    tokenized = DatasetDict({"train": part(50), "validation": part(100), "test": part(150)})
    return Splits(tokenized, {}, LABELS, "", {})


def make_trainer(folder: Path, splits: Splits, checkpoints: Path, **settings: object) -> EmotionTrainer:
    """A Trainer of a tiny model with four heads; one epoch, unless the settings say something else."""
    settings = {"epochs": 1, "patience": 5, "learning_rate": 1e-3, "head_learning_rate": 1e-3, **settings}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return trainers.make_trainer(Encoder("tiny", folder, None), tokenizer, splits, checkpoints, TARGETS, **settings)


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

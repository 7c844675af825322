"""The model: its architecture, its loss, its optimizer, and that it loads again as it was saved."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer

from artificial_pain import training
from artificial_pain.encoders import Encoder
from artificial_pain.errors import UserError
from artificial_pain.models import EmotionModel
from artificial_pain.tokens import Splits

NAMES = ["mental/mental-roberta-base", "mental/mental-bert-base-uncased", "answerdotai/ModernBERT-base"]
LABELS = ["anger", "fear", "shame"]


def make(folder: Path, seed: int = 0) -> EmotionModel:
    torch.manual_seed(seed)
    return EmotionModel.from_encoder(Encoder("tiny", folder, None), LABELS)


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
def test_it_loads_again_with_the_same_logits(name, tiny, tmp_path):
    model = make(tiny[name]).eval()
    model.save_pretrained(tmp_path)
    again = EmotionModel.from_pretrained(tmp_path)
    assert torch.equal(again(**batch()).logits, model(**batch()).logits)
    assert again.config.id2label == dict(enumerate(LABELS))


def test_padding_changes_nothing(tiny):
    model = make(tiny[NAMES[0]]).eval()
    alone = {name: value[1:, :5] for name, value in batch().items()}
    assert torch.allclose(model(**batch()).logits[1], model(**alone).logits[0], atol=1e-6)


def test_the_loss_is_the_cross_entropy(tiny):
    model = make(tiny[NAMES[1]]).eval()
    output = model(**batch(), labels=torch.tensor([2, 0]))
    shares = output.logits.softmax(dim=1)
    assert output.loss.item() == pytest.approx(-(shares[0, 2].log() + shares[1, 0].log()).item() / 2, abs=1e-6)


def test_every_parameter_learns_and_each_group_at_its_rate(tiny):
    model = make(tiny[NAMES[1]])
    model(**batch(), labels=torch.tensor([2, 0])).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    adam = training.optimizer(model, 1e-5, 3e-5)
    encoder, heads = adam.param_groups
    assert type(adam) is torch.optim.Adam and encoder["weight_decay"] == heads["weight_decay"] == 0
    assert (encoder["lr"], heads["lr"]) == (1e-5, 3e-5)
    assert sum(p.numel() for p in heads["params"]) == 32 * 256 + 256 + 256 * 3 + 3
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
    """Texts of many lengths, in no order."""
    rng = np.random.default_rng(0)
    features = Features(
        {
            "labels": ClassLabel(names=LABELS),
            "input_ids": Sequence(Value("int32")),
            "attention_mask": Sequence(Value("int8")),
        }
    )

    def part(n: int) -> Dataset:
        ids = [[2, *rng.integers(10, 400, rng.integers(1, 60)), 3] for _ in range(n)]
        mask = [[1] * len(one) for one in ids]
        return Dataset.from_dict(
            {"labels": rng.integers(0, 3, n), "input_ids": ids, "attention_mask": mask}, features=features
        )

    tokenized = DatasetDict({"train": part(50), "validation": part(20), "test": part(150)})
    return Splits(tokenized, {}, LABELS, "", {})


def test_predictions_come_in_the_order_of_the_dataset(tiny, splits, tmp_path):
    folder = tiny[NAMES[1]]
    args = argparse.Namespace(
        debug=False, epochs=1, batch_size=6, learning_rate=1e-3, head_learning_rate=1e-3, patience=5, seed=42
    )
    precision = training.mixed_precision("fp32")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = make(folder)
    arguments = training.training_arguments(args, precision, tmp_path, "loss", 50)
    trainer = training.make_trainer(model, tokenizer, splits, arguments, args, [])
    trainer.train()
    logits = training.predict(trainer, splits.tokenized["test"])
    model.eval()
    for i, example in enumerate(splits.tokenized["test"]):
        one = {name: torch.tensor([example[name]]).long() for name in ("input_ids", "attention_mask")}
        assert model(**one).logits[0].tolist() == pytest.approx(logits[i].tolist(), abs=1e-5)


def test_the_kept_model_is_the_best_on_validation(tiny, splits, tmp_path):
    """With a learning rate that overfits within a few epochs, the last model is not the kept one."""
    args = argparse.Namespace(
        debug=False, epochs=50, batch_size=6, learning_rate=3e-3, head_learning_rate=3e-3, patience=3, seed=42
    )
    model = make(tiny[NAMES[1]])
    precision = training.mixed_precision("fp32")
    tokenizer = AutoTokenizer.from_pretrained(tiny[NAMES[1]])
    arguments = training.training_arguments(args, precision, tmp_path, "loss", 50)
    trainer = training.make_trainer(model, tokenizer, splits, arguments, args, [])
    trainer.train()
    losses = [log["eval_loss"] for log in trainer.state.log_history if "eval_loss" in log]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3, "stopped 3 epochs after the best"
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[best], rel=1e-5)

"""The model: its architecture, its loss, its optimizer, and that it loads again as it was saved."""

import numpy as np
import pytest
import torch
from models import LABELS, MISSING, NAMES, TARGETS, annotated, batch, make
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from artificial_pain.errors import UserError
from artificial_pain.modeling.losses import Loss
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training import recipe


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
    loss = Loss(emotion_weight=0.5)
    losses = loss.per_head(torch.zeros(3, 2), torch.tensor(outputs), torch.tensor([0, 1, 0]), annotated)
    assert losses[:3].tolist() == pytest.approx([np.log(2), 2.5, 9]) and losses[3].isnan()
    assert loss.total(losses).item() == pytest.approx(0.5 * np.log(2) + 0.5 * (2.5 + 9) / 2)
    assert loss.total(losses[:1]).item() == pytest.approx(np.log(2)), "without regressors nothing is to be weighed"


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

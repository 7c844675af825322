"""Encoders of every family: tokenizer, length, kernels, learning rates, weights, and what is saved and loaded again.

They are tiny, with random weights, and have the files of a real repository each.
"""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from models import LABELS, TARGETS, annotated, make
from safetensors.torch import load_file, save_file
from tiny_encoders import MAKERS, OTHERS, PICKLED, SENTENCES
from torch import nn
from transformers import AutoTokenizer

from artificial_pain import convert, encoders
from artificial_pain.data import tokenization
from artificial_pain.encoders import Encoder
from artificial_pain.errors import UsageError, UserError
from artificial_pain.modeling import cpu
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.runs import status
from artificial_pain.runs.predictor import Predictor
from artificial_pain.training import recipe

pytestmark = pytest.mark.xdist_group("families")  # one worker makes the encoders
# Their attention has a term for relative positions, which the kernels of the package do not know.
LIBRARY_KERNELS = {"microsoft/deberta-v3-base", "microsoft/mpnet-base"}
# Their last layer computes the first token alone after its attention.
FIRST_TOKEN_ALONE = {"mental/mental-roberta-base", "mental/mental-bert-base-uncased", "FacebookAI/roberta-base"}
FIRST_TOKEN_ALONE |= {"google/electra-base-discriminator", "microsoft/deberta-v3-base", "FacebookAI/xlm-roberta-base"}
FIRST_TOKEN_ALONE |= {"almanach/camembert-base"}
UNBOUNDED = {"microsoft/deberta-v3-base", "answerdotai/ModernBERT-base"}  # no table of absolute positions
TEXTS = [SENTENCES[0], "Hi!", f"{SENTENCES[1]} {SENTENCES[2]}"]


OWN = pytest.mark.fault(
    "an encoder of the user's own",
    "nine families work, with the numbers of the library. Any other encoder is refused in one line",
)


@pytest.fixture(scope="module")
def folders(tiny, families, tmp_path_factory) -> dict[str, Path]:
    """All tiny encoders with safetensors: those whose repository has none, as `convert` makes them of it."""
    new = tmp_path_factory.mktemp("converted")
    for name in PICKLED:
        convert.main(Namespace(name=str(families[name]), folder=new / Path(name).name, revision="main"))
    return tiny | families | {name: new / Path(name).name for name in PICKLED}


def source(folder: Path) -> Encoder:
    return Encoder("tiny", folder, None)


def encode(folder: Path, texts: list[str]) -> dict[str, torch.Tensor]:
    tokenizer = encoders.load_tokenizer(source(folder))
    return dict(tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False))


def set_dropout(model: EmotionModel, p: float) -> EmotionModel:
    """In training mode, with this dropout in each layer's attention and everywhere else."""
    for module in model.train().modules():
        if isinstance(module, nn.Dropout):
            module.p = p
        if hasattr(module, "attention_dropout"):  # of ModernBERT: a number, not a module
            module.attention_dropout = p
    return model


def gradients(model: EmotionModel, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    labels, targets = torch.tensor([0, 1, 2]), annotated((5, 2, -3), (4, 2, -2), (1, 1, 0))
    model(**batch, labels=labels, **targets).loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("name", OTHERS)
def test_tokenizer_is_the_one_of_autotokenizer_and_stays_it(name, families, tmp_path):
    """Of the repository's own files, and saved with a run"""
    ours, theirs = encoders.load_tokenizer(source(families[name])), AutoTokenizer.from_pretrained(families[name])
    ids = ours(list(SENTENCES))["input_ids"]
    assert ids == theirs(list(SENTENCES))["input_ids"]
    assert all(ours.unk_token_id not in ids for ids in ids)
    ours.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((families[name] / "config.json").read_bytes())
    again = encoders.load_tokenizer(source(tmp_path))
    assert again(list(SENTENCES))["input_ids"] == ids
    assert len({tokenization.tokenizer_digest(one) for one in (ours, theirs, again)}) == 1


@pytest.mark.parametrize("name", MAKERS)
def test_texts_are_cut_at_the_encoders_own_length(name, folders):
    encoder = source(folders[name])
    tokenizer, most = encoders.load_tokenizer(encoder), encoders.max_tokens(encoder)
    assert most == (8192 if "ModernBERT" in name else 512)
    assert tokenization.resolve_length(encoder, tokenizer, None, 512) == 512
    assert tokenization.resolve_length(encoder, tokenizer, most, 512) == most
    with pytest.raises(UsageError, match=f"takes 3 to {most} tokens"):
        tokenization.resolve_length(encoder, tokenizer, most + 1, 512)
    model, long = make(encoder.folder).eval(), " ".join(SENTENCES * 3)
    for length in (512, 513):
        batch = tokenizer(long, truncation=True, max_length=length, return_tensors="pt", return_token_type_ids=False)
        assert batch["input_ids"].shape == (1, length)
        if length == 512 or name in UNBOUNDED:
            assert model(**batch).logits.isfinite().all()
        else:
            with pytest.raises((RuntimeError, IndexError)):
                model(**batch)


def test_encoder_with_fewer_positions_cuts_texts_there(families, tmp_path):
    """As BERTweet has them: 130 positions are 128 tokens"""
    folder = families["FacebookAI/roberta-base"]
    config = (
        (folder / "config.json").read_text().replace('"max_position_embeddings": 514', '"max_position_embeddings": 130')
    )
    (tmp_path / "config.json").write_text(config)
    tokenizer = encoders.load_tokenizer(source(folder))
    assert tokenization.resolve_length(source(tmp_path), tokenizer, None, 512) == 128
    with pytest.raises(UsageError, match="--max_length 512: tiny takes 3 to 128 tokens"):
        tokenization.resolve_length(source(tmp_path), tokenizer, 512, 512)


@OWN
@pytest.mark.parametrize("name", MAKERS)
def test_kernels_give_the_numbers_of_the_library(name, folders, monkeypatch):
    """In evaluation, where padding changes nothing; and in training, where nothing is dropped"""
    fast, batch = make(folders[name], TARGETS), encode(folders[name], TEXTS)
    library = make(folders[name], TARGETS, pooling="mean")  # so that its last layer computes all tokens
    library.load_state_dict(fast.state_dict())
    library.config.pooling = "cls"
    cpu.use_fast_dropout(fast)
    tokens = batch["input_ids"].shape[1]
    assert library.encoder(**batch).last_hidden_state.shape[1] == tokens
    assert fast.encoder(**batch).last_hidden_state.shape[1] == (1 if name in FIRST_TOKEN_ALONE else tokens)
    attention = fast.encoder.config._attn_implementation
    assert attention == ("eager" if name in LIBRARY_KERNELS else cpu.ATTENTION)
    assert not any(type(module) is nn.Dropout for module in fast.modules())
    with torch.inference_mode():
        logits = library.eval()(**batch).logits
        assert torch.allclose(fast.eval()(**batch).logits, logits, atol=1e-6)
        short = {column: value[1:2, : batch["attention_mask"][1].sum()] for column, value in batch.items()}
        assert short["input_ids"].shape[1] < batch["input_ids"].shape[1] / 2
        assert torch.allclose(fast(**short).logits[0], logits[1], atol=1e-6)
    monkeypatch.setattr(cpu, "drop", lambda values, p: values)
    monkeypatch.setattr(cpu, "_random_bits", lambda shape: torch.full(shape, 2**15 - 1, dtype=torch.int16))
    expected, found = gradients(set_dropout(library, 0.0), batch), gradients(set_dropout(fast, 1e-9), batch)
    for parameter, gradient in found.items():
        assert torch.allclose(gradient, expected[parameter], rtol=1e-4, atol=1e-5), parameter


@pytest.mark.parametrize("name", MAKERS)
def test_every_parameter_learns_in_mixed_precision(name, folders):
    """With dropout and its kernels, as on a CPU that has bf16; no other result than in fp32, to 8 bits"""
    model, batch = make(folders[name], TARGETS), encode(folders[name], TEXTS)
    cpu.use_fast_dropout(model)
    with torch.inference_mode():
        logits = model.eval()(**batch).logits
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(model(**batch).logits, logits, atol=0.02)
        found = gradients(model.train(), batch)
    assert [parameter for parameter, gradient in found.items() if gradient is None] == []
    assert all(gradient.isfinite().all() and gradient.any() for gradient in found.values())


@pytest.mark.parametrize("name", MAKERS)
def test_layer_decay_follows_the_way_of_a_text(name, folders):
    """A parameter that a layer's output depends on has that layer's rate or a lower one; the embeddings the lowest"""
    model, batch = make(folders[name]), encode(folders[name], TEXTS)
    groups = recipe.adam(model, learning_rate=1.0, head_learning_rate=1.0, layer_decay=0.5).param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    named = {f"encoder.{key}": parameter for key, parameter in model.encoder.named_parameters()}
    states = model.encoder(**batch, output_hidden_states=True).hidden_states
    first = dict.fromkeys(named, len(states) - 1)
    for height in reversed(range(len(states))):
        found = torch.autograd.grad(states[height].sum(), named.values(), retain_graph=True, allow_unused=True)
        first |= {key: height for key, gradient in zip(named, found, strict=True) if gradient is not None}
    assert all(rates[id(named[key])] <= 0.5 ** (2 - height) for key, height in first.items())
    lower = {key for key, height in first.items() if rates[id(named[key])] < 0.5 ** (2 - height)}
    relative = {"relative_attention_bias.weight", "rel_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias"}
    assert lower <= {f"encoder.encoder.{key}" for key in relative}, "positions that all layers read"


@pytest.mark.parametrize("name", MAKERS)
def test_weights_are_those_of_the_checkpoint(name, folders, families, tmp_path):
    """Saved with the head of its pretraining, or as a bare encoder; with a layer missing, it is refused"""
    saved = load_file(folders[name] / encoders.WEIGHTS)
    if name in PICKLED:
        saved = torch.load(families[name] / encoders.PICKLED, weights_only=True)
        saved = {key: value.float() for key, value in saved.items()}
    for key, value in make(folders[name]).encoder.state_dict().items():
        (weight,) = [saved[one] for one in saved if one == key or one.split(".", 1)[1] == key]
        assert torch.equal(value, weight)
    (tmp_path / "config.json").write_bytes((folders[name] / "config.json").read_bytes())
    fewer = load_file(folders[name] / encoders.WEIGHTS)
    fewer = {key: value for key, value in fewer.items() if not any(part in key for part in ("layer.1.", "layers.1."))}
    save_file(fewer, tmp_path / encoders.WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(UserError, match="of the encoder's weights are missing"):
        make(tmp_path)


@OWN
@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("name", MAKERS)
def test_saved_model_predicts_the_same(name, pooling, folders, monkeypatch, tmp_path):
    """A model of each family, saved, loaded, and used by `predict`, against the model itself"""
    encoder = source(folders[name])
    heads = {"regressor_size": 8, "pooling": pooling}
    model = EmotionModel.from_encoder(encoder, LABELS, 8, TARGETS[:1], **heads).eval()
    tokenizer = encoders.load_tokenizer(encoder)
    model.save_pretrained(tmp_path)
    tokenizer.model_max_length = 12
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr(status, "finished_record", lambda folder: {})
    monkeypatch.setattr(status, "require_valid", lambda folder, record: None)
    predicted = Predictor(tmp_path)(TEXTS)
    for text, row in zip(TEXTS, predicted.itertuples(), strict=True):
        ids = tokenizer([text], truncation=True, return_tensors="pt", return_token_type_ids=False)
        with torch.inference_mode():
            output = model(**ids)
        shares = output.logits.softmax(dim=1)[0].numpy()
        assert np.allclose([getattr(row, f"probability_{label}") for label in LABELS], shares, atol=1e-6)
        assert row.initial == pytest.approx(output.intensities[0, 0, shares.argmax()].item(), abs=1e-6)

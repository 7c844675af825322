"""Encoders from the hub over HTTP, a folder or the installed package; and the errors where they cannot be had."""

import argparse
import json
import shutil
from pathlib import Path

import pytest
from conftest import (
    DATALOADER,
    GATED,
    GOOD_TOKEN,
    MINILM,
    MODEL,
    POOR_TOKEN,
    PREDICT,
    REPOSITORY,
    SAD_FOLDER,
    SAD_SAMPLE,
    module,
)
from hub import Hub
from huggingface_hub import metadata_load
from transformers import AutoTokenizer

from artificial_pain import encoders
from artificial_pain.data import tokenization
from artificial_pain.runs import model_card

UNREACHABLE = "http://127.0.0.1:9"  # loopback's discard port: refused at once


OWN = pytest.mark.fault(
    "an encoder of the user's own",
    "nine families work, with the numbers of the library. Any other encoder is refused in one line",
)


@pytest.mark.parametrize("name", [*GATED, "answerdotai/ModernBERT-base"])
def test_published_encoders_come_from_the_hub_then_its_cache(name, hub, command, tmp_path):
    """The dataloader, gated and not, as against the real hub; of one the model script; then from the cache alone.

    Of the others the model script is run by the README's commands (`test_docs`).
    """
    home = str(tmp_path / "hub")
    root = ["--model_name", name, *SAD_SAMPLE, "--output_dir", tmp_path]
    online = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": home, **({"HF_TOKEN": GOOD_TOKEN} if name in GATED else {})}
    longer = ["--max_length", "600"] if "ModernBERT" in name else []
    done = command(DATALOADER, *root, *longer, **online)
    assert done.code == 0, done.err
    folder = f"{SAD_FOLDER}-max_length600" if longer else SAD_FOLDER
    metadata = tmp_path / folder / name.split("/")[1] / "tokenized_splits" / "tokenization.json"
    assert f'"revision": "{hub.commit(name)}"' in metadata.read_text()
    if name == GATED[1]:
        done = command(MODEL, *root, "--epochs", "1", "--batch_size", "32", WANDB_MODE="disabled", **online)
        assert done.code == 0, done.err
    offline = {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    cached = command(DATALOADER, *root, *longer, **offline)
    assert cached.code == 0, cached.err


def test_cache_without_weights_is_an_error_without_network(hub, command, tmp_path):
    """The dataloader ran with a network, the model runs without one."""
    home = {"HF_HOME": str(tmp_path / "hub")}
    words = ["--model_name", "answerdotai/ModernBERT-base", *SAD_SAMPLE, "--output_dir", tmp_path]
    assert command(DATALOADER, *words, HF_ENDPOINT=hub.endpoint, **home).code == 0
    for setting in ({"HF_ENDPOINT": UNREACHABLE}, {"HF_HUB_OFFLINE": "1"}):
        done = command(MODEL, *words, **setting, **home)
        assert done.code == 1 and "not in the cache" in done.error


FAULTS = {
    "gated, no token": (
        {},
        GATED[0],
        ["is gated", f"{GATED[0]}, sign in and press", "hf auth login", "HF_TOKEN", MINILM],
    ),
    "gated, no access": ({"HF_TOKEN": POOR_TOKEN}, GATED[0], ["is gated", "sign in and press", MINILM]),
    "wrong token": ({"HF_TOKEN": "hf_wrong"}, GATED[0], ["refused the token (HTTP 401)", "check HF_TOKEN"]),
    "wrong token for an open one": ({"HF_TOKEN": "hf_wrong"}, "answerdotai/ModernBERT-base", ["refused the token"]),
    "not on this hub": ({}, "AIMH/mental-roberta-large", ["was not found", "hf auth login"]),
    "no network": ({"HF_ENDPOINT": UNREACHABLE}, GATED[0], ["cannot be reached", "not in the cache"]),
    "offline": ({"HF_HUB_OFFLINE": "1"}, GATED[0], ["HF_HUB_OFFLINE is set"]),
}


@pytest.mark.parametrize("script_path", [DATALOADER, MODEL], ids=["dataloader", "model"])
@pytest.mark.parametrize("fault", FAULTS)
def test_unavailable_encoder_ends_in_one_line(fault, script_path, hub, command, tmp_path):
    environment, name, parts = FAULTS[fault]
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hub"), **environment}
    done = command(script_path, "--model_name", name, *SAD_SAMPLE, "--output_dir", tmp_path / "out", **environment)
    assert done.code == 1
    for part in parts:
        assert part in done.error
    assert "hf_" not in done.out + done.err.replace("hf_transfer", ""), "tokens are never printed"
    assert list((tmp_path / "out").iterdir()) == [], "before any other work is done"


@pytest.mark.parametrize(
    "setting",
    [
        {"HF_TOKEN": "hf_\u2026"},
        {"HF_ENDPOINT": "hub.example"},
        {"HF_HOME": "/proc/none"},
        {"HTTPS_PROXY": "bad://proxy"},
    ],
    ids=str,
)
def test_invalid_hub_setting_ends_in_one_line(setting, hub, command, tmp_path):
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hub"), **setting}
    words = ["--model_name", "answerdotai/ModernBERT-base", "--output_dir", tmp_path]
    done = command(DATALOADER, *SAD_SAMPLE, *words, **environment)
    told = (
        "check the network and HTTPS_PROXY" if "HTTPS_PROXY" in setting else "check HF_ENDPOINT, HF_HOME and HF_TOKEN"
    )
    assert done.code == 1 and told in done.error


FETCH = """
import sys
sys.path.insert(0, sys.argv[1])
from artificial_pain import encoders
from artificial_pain.errors import UserError
for name in sys.argv[2:]:
    try:
        print(name, encoders.fetch(name, "main", encoders.WEIGHTS).folder)
    except UserError as error:
        print(name, "error:", error)
"""


@OWN
@pytest.mark.xdist_group("families")
def test_any_encoder_of_the_hub_is_fetched_and_nothing_else(families, command, tmp_path):
    """Each family by name; a bare name; of something else the configuration, but not the weights"""
    from tiny_encoders import LICENCES, PICKLED

    refused = {
        "google-t5/t5-small": ({"config.json": '{"model_type": "t5"}'}, "its model_type is 't5': expected an encoder"),
        "openai-community/gpt2": (
            {"config.json": '{"model_type": "gpt2"}'},
            "one of bert, roberta, modernbert, distilbert, electra, ",
        ),
        "me/list": ({"config.json": "[]"}, "cannot be read as an encoder's configuration"),
        "me/adapter": ({"adapter_config.json": "{}", "README.md": "---\nlicense: mit\n---\n"}, "has no config.json"),
        "me/data": ({"data.csv": "text"}, "has no config.json"),
    }
    repositories = dict(families)
    for name, (files, _) in refused.items():
        folder = repositories[name] = tmp_path / "others" / name
        folder.mkdir(parents=True)
        for path, content in (files | {"model.safetensors": "large"}).items():
            (folder / path).write_text(content)
    program = tmp_path / "fetch.py"
    program.write_text(FETCH)
    with Hub(repositories) as hub:
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
        names = [*repositories, "roberta-base", "gpt2", "roberta-bsae", "me/roberta-bsae"]
        done = command(program, REPOSITORY, *names, **environment)
    assert done.code == 0, done.err
    found = dict(line.split(" ", 1) for line in done.out.splitlines())
    for name in ("roberta-bsae", "me/roberta-bsae"):
        assert f"{name} was not found: check the name" in found.pop(name)
    assert "its model_type is 'gpt2'" in found.pop("gpt2")
    assert Path(found.pop("roberta-base")).name == hub.commit("FacebookAI/roberta-base")
    for name, (_, message) in refused.items():
        assert message in found.pop(name)
    for name in PICKLED:
        assert "has no model.safetensors at revision 'main'" in (message := found.pop(name))
        assert f"`python -m artificial_pain.convert {name} NEW_FOLDER`" in message
    assert found.keys() == repositories.keys() - refused.keys() - PICKLED
    for name, folder in found.items():
        source, folder = repositories[name], Path(folder)
        assert {path.name for path in folder.iterdir()} == {path.name for path in source.iterdir()} - {".gitattributes"}
        encoder = encoders.Encoder(name, folder, folder.name)
        assert model_card.encoder_licence(encoder) == LICENCES[name]
    weights = [path for _, path in hub.requests if path.endswith(".safetensors")]
    assert {path.split("/resolve/")[0][1:] for path in weights} == found.keys() | PICKLED | {"roberta-base"}


@pytest.mark.parametrize("card", ["", "---\nlicense: [mit, apache-2.0]\n---\n", "---\na: [\n---\n", "---\n7\n---\n"])
def test_licence_that_is_not_declared_is_other(card, tmp_path):
    (tmp_path / "README.md").write_text(card)
    assert model_card.encoder_licence(encoders.Encoder("me/encoder", tmp_path, "main")) == "other"


@OWN
@pytest.mark.xdist_group("families")
def test_another_encoder_of_the_hub_from_splits_to_predictions(families, command, tmp_path):
    """roberta-base from a hub, through dataloader, model script and predict"""
    name = "FacebookAI/roberta-base"
    words = ["--model_name", name, *SAD_SAMPLE, "--output_dir", tmp_path]
    with Hub({name: families[name]}) as hub:
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hub"), "WANDB_MODE": "disabled"}
        done = command(DATALOADER, *words, **environment)
        assert done.code == 0, done.err
        training = ["--epochs", "1", "--batch_size", "32", "--pooling", "mean", "--layer_decay", "0.9"]
        done = command(MODEL, *words, *training, **environment)
        assert done.code == 0, done.err
    (run,) = (path.parent for path in tmp_path.rglob("run.json"))
    record, card = json.loads((run / "run.json").read_text()), metadata_load(run / "README.md")
    assert record["encoder"] == {"name": name, "revision": hub.commit(name)} and record["data"]["max_length"] == 512
    assert card["base_model"] == name and card["license"] == "mit"
    done = module(command, PREDICT, run, "I feel lost", "It was a good day!", "--format", "jsonl")
    assert done.code == 0, done.err
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == ["I feel lost", "It was a good day!"]


NO_NAMES = [
    "",
    ".",
    "..",
    "./bert",
    "../bert",
    "/bert",
    "~/bert",
    "a/b/c",
    "a b",
    "a..b",
    "a--b",
    "-a",
    "a.git",
    "\u00e9",
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_of_the_hub_is_taken_for_a_folder(name):
    with pytest.raises(argparse.ArgumentTypeError, match="neither a folder with"):
        encoders.checked_name(name)


def test_folder_comes_before_the_hub(encoder, tmp_path, monkeypatch):
    """Also one that could be a name on the hub; a folder without an encoder is no name"""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(encoder, "me/bert")
    assert encoders.fetch(encoders.checked_name("me/bert"), "main", encoders.WEIGHTS).folder == Path("me/bert")
    Path("me/bert/config.json").unlink()
    with pytest.raises(argparse.ArgumentTypeError, match="'me/bert' is neither a folder with"):
        encoders.checked_name("me/bert")
    assert encoders.checked_name("me/bert-2") == "me/bert-2"


@pytest.mark.parametrize("content", ['{"model_type": "t5"}', '{"model_type": []}', "{}", "[]", "not JSON"])
def test_folder_of_something_else_ends_in_one_line(content, script, tmp_path):
    (tmp_path / "config.json").write_text(content)
    done = script(DATALOADER, *SAD_SAMPLE, "--model_name", tmp_path, "--output_dir", tmp_path / "out")
    assert done.code == 1 and str(tmp_path) in done.error
    done = script(
        DATALOADER, *SAD_SAMPLE, "--model_name", tmp_path, "--revision", "v1", "--output_dir", tmp_path / "out"
    )
    assert done.code == 2 and "which has no revisions" in done.error


@pytest.mark.parametrize(
    ("revision", "message"),
    [("v9", "has no revision 'v9'"), ("0" * 40, "has no revision"), ("a..b", "has no revision")],
)
def test_unknown_revision_ends_in_one_line(revision, message, hub, command, tmp_path):
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hub")}
    words = ["--model_name", "answerdotai/ModernBERT-base", "--revision", revision, "--output_dir", tmp_path]
    done = command(DATALOADER, *SAD_SAMPLE, *words, **environment)
    assert done.code == 1 and message in done.error


def test_offline_encoder_comes_from_the_package_without_a_hub(command, tmp_path):
    environment = {"HF_ENDPOINT": UNREACHABLE, "HF_HOME": str(tmp_path / "hub")}
    done = command(DATALOADER, *SAD_SAMPLE, "--model_name", MINILM, "--output_dir", tmp_path, **environment)
    assert done.code == 0, done.err
    metadata = tmp_path / SAD_FOLDER / "all-MiniLM-L6-v2/tokenized_splits/tokenization.json"
    assert encoders.OFFLINE_REVISION in metadata.read_text()


def test_offline_encoder_comes_from_the_hub_if_reachable(tiny, command, tmp_path):
    with Hub({MINILM: tiny["mental/mental-bert-base-uncased"]}) as hub:
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hub")}
        done = command(DATALOADER, *SAD_SAMPLE, "--model_name", MINILM, "--output_dir", tmp_path, **environment)
        assert done.code == 0, done.err
        metadata = tmp_path / SAD_FOLDER / "all-MiniLM-L6-v2/tokenized_splits/tokenization.json"
        assert hub.commit(MINILM) in metadata.read_text()


def test_package_with_other_weights_is_refused(monkeypatch, tmp_path):
    shutil.copytree(encoders.package_folder(), tmp_path / "package" / "model")
    with open(tmp_path / "package/model" / encoders.WEIGHTS, "r+b") as file:
        file.seek(1_000_000)
        file.write(b"\1")
    monkeypatch.setattr(encoders, "package_folder", lambda: tmp_path / "package" / "model")
    with pytest.raises(encoders.UserError, match="its SHA-256 is"):
        encoders._from_package(encoders.WEIGHTS)


def test_folder_without_a_tokenizer_is_an_error(tiny, script, tmp_path):
    for name in ("config.json", encoders.WEIGHTS):
        shutil.copy(tiny["mental/mental-bert-base-uncased"] / name, tmp_path)
    done = script(DATALOADER, *SAD_SAMPLE, "--model_name", tmp_path, "--output_dir", tmp_path / "out")
    assert done.code == 1 and "has no tokenizer" in done.error


def test_folder_without_weights_is_an_error(tiny, script, tmp_path):
    folder = tmp_path / "mental-bert-base-uncased"
    shutil.copytree(tiny["mental/mental-bert-base-uncased"], folder)
    (folder / encoders.WEIGHTS).unlink()
    words = ["--model_name", folder, *SAD_SAMPLE, "--output_dir", tmp_path / "root"]
    assert script(DATALOADER, *words).code == 0
    done = script(MODEL, *words)
    assert done.code == 1 and "has no model.safetensors" in done.error


@pytest.mark.parametrize("change", [None, "no configuration", "a class that is gone"])
@pytest.mark.parametrize("name", [*GATED, "answerdotai/ModernBERT-base"])
def test_tokenizer_is_the_one_of_autotokenizer(name, change, tiny, tmp_path):
    folder = shutil.copytree(tiny[name], tmp_path / "encoder")
    path = folder / "tokenizer_config.json"
    if change == "no configuration":
        path.unlink()
    elif change:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "GoneTokenizerFast"}))
    if change and not (folder / "tokenizer.json").exists() and path.exists():
        with pytest.raises(encoders.UserError, match="has no tokenizer, neither "):
            encoders.load_tokenizer(encoders.Encoder(str(folder), folder, None))
        return  # and AutoTokenizer raises ValueError
    ours = encoders.load_tokenizer(encoders.Encoder(str(folder), folder, None))
    theirs = AutoTokenizer.from_pretrained(folder)
    assert tokenization.tokenizer_digest(ours) == tokenization.tokenizer_digest(theirs)
    assert ours("a b c")["input_ids"] == theirs("a b c")["input_ids"]


@pytest.mark.parametrize("content", ["[]", '{"tokenizer_class": 7}', "{"])
def test_damaged_tokenizer_config_ends_in_one_line(content, tiny, script, tmp_path):
    folder = shutil.copytree(tiny[GATED[1]], tmp_path / "encoder")
    (folder / "tokenizer_config.json").write_text(content)
    done = script(DATALOADER, *SAD_SAMPLE, "--model_name", folder, "--output_dir", tmp_path / "out")
    assert done.code == 1 and "no tokenizer can be loaded" in done.error


def test_config_without_a_length_ends_in_one_line(tiny, script, tmp_path):
    folder = shutil.copytree(tiny[GATED[1]], tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    del config["max_position_embeddings"]
    (folder / "config.json").write_text(json.dumps(config))
    done = script(DATALOADER, *SAD_SAMPLE, "--model_name", folder, "--output_dir", tmp_path / "out")
    assert done.code == 1 and "does not say how long an input may be" in done.error


def test_max_tokens_follows_from_the_position_embeddings(tiny):
    most = {name: encoders.max_tokens(encoders.Encoder(name, Path(folder), None)) for name, folder in tiny.items()}
    assert most == {
        "mental/mental-roberta-base": 512,
        "mental/mental-bert-base-uncased": 512,
        "answerdotai/ModernBERT-base": 8192,
    }

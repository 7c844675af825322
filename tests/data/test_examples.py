"""Which examples: the name of their folder, and the flags that give them again."""

import argparse
import shlex
from pathlib import Path

import pytest
from conftest import DATALOADER, INTENSITY_DATALOADER

from artificial_pain import flags
from artificial_pain.data import examples
from artificial_pain.encoders import Encoder

FOLDERS = pytest.mark.fault(
    "several sets of examples in one folder", "each has a folder of its own, which the same flags find"
)
PUBLISHED = {"label_column": "original_label", "text_column": None, "deduplicate": False, "seed": 42}
PUBLISHED |= {
    "split": "random",
    "folds": None,
    "fold": None,
    "data_source": None,
    "max_length": 512,
    "samples_per_label": None,
}
NAMES = {
    "SAD": {},
    "SAD-sample": {"data_source": "sample"},
    "SAD-top_label": {"label_column": "top_label"},
    "SAD-imhi": {"split": "imhi"},
    "SAD-top_label-folds5-fold2": {"label_column": "top_label", "folds": 5, "fold": 2},
    "SAD-deduplicated-seed7": {"seed": 7, "deduplicate": True},
    "SAD-max_length64-samples_per_label20": {"max_length": 64, "samples_per_label": 20},
    "mine": {"data_source": "/home/me/mine.csv"},
    "mine.v2": {"data_source": "/home/me/mine.v2.CSV.gz"},
    "mine-my_label": {"data_source": "https://host/a/mine.csv?token=x", "label_column": "my label"},
    "mine-text_body": {"data_source": "mine.tsv", "text_column": "body"},
    "my_texts_1_": {"data_source": "/my texts (1).xlsx"},
    "my-texts": {"data_source": "/home/me/my-texts.jsonl"},
    "corpus": {"data_source": "https://host"},
}


@FOLDERS
@pytest.mark.parametrize("name", NAMES)
def test_name_of_the_folder_says_which_examples(name):
    """each setting that chooses the examples, alone and together"""
    assert examples.corpus_name("SAD", PUBLISHED | NAMES[name]) == name


@pytest.mark.parametrize(
    ("dataset_name", "source", "name"),
    [
        ("SAD", "/a/SAD_v1.zip", "SAD"),
        ("ESConv", "ESConv.json", "ESConv"),
        ("ESConv", "SAD_v1.json", "SAD_v1"),
        ("SAD", "SAD.csv", "SAD_file"),  # which is not the published one
        ("SAD", "http://[bad/x.csv", "x"),
    ],
)
def test_a_copy_of_the_published_file_has_the_published_folder(dataset_name, source, name):
    assert examples.corpus_name(dataset_name, PUBLISHED | {"data_source": source}) == name


@FOLDERS
@pytest.mark.parametrize("name", NAMES)
def test_flags_of_the_settings_give_them_again(name, monkeypatch):
    """a model script and a dataloader that are given the flags of each set of examples"""
    settings = PUBLISHED | NAMES[name]
    balanced = ["--balanced"] if settings["samples_per_label"] else []
    folders = []
    for seed, parse in (("seed", parse_dataloader), (examples.SEED, parse_model)):
        words = examples.flags(settings, seed)
        monkeypatch.setattr("sys.argv", ["script", "--dataset_name", "SAD", *balanced, *words])
        args = parse()
        folders.append(examples.layout(args, Encoder("mental/mental-roberta-base", Path(), "0" * 40)).corpus.name)
    assert folders == [name, name]


def parse_dataloader() -> argparse.Namespace:
    return flags.parse_dataloader_args("A dataloader.", "classification", ["ESConv", "SAD"], 1500, 512, 42)


def parse_model() -> argparse.Namespace:
    names = ["epochs", "debug_epochs", "patience", "batch_size", "warmup_steps"]
    defaults = dict.fromkeys(names, 1) | {"learning_rate": 1.0, "head_learning_rate": 1.0, "seed": 42}
    return flags.parse_model_args("A model.", "classification", ["ESConv", "SAD"], defaults | {"model_metric": "loss"})


def test_published_settings_are_those_of_the_dataloaders(script):
    """The values that a folder's name leaves out are the scripts' constants"""
    for path in (DATALOADER, INTENSITY_DATALOADER):
        text = path.read_text()
        for name in ("samples_per_label", "max_length", "seed"):
            assert f"\n{name.upper()} = {examples.PUBLISHED[name]}  #" in text


@FOLDERS
def test_encoders_of_the_same_last_name_have_folders_of_their_own(tmp_path, monkeypatch):
    """folders, names of the hub, and a published name that are called alike"""
    monkeypatch.chdir(tmp_path)
    folders = [Encoder(str(path), path, None).folder_name for path in (tmp_path / "a/bert", tmp_path / "b/bert")]
    hub = [Encoder(name, Path(), "0" * 40).folder_name for name in ("a/bert", "b/bert", "bert")]
    assert hub == ["a--bert", "b--bert", "bert"] and len({*folders, *hub}) == 5
    assert all(name.startswith("bert-") for name in folders)
    relative = Encoder("a/bert", Path("a/bert"), None)
    assert relative.folder_name == folders[0] and relative.short_name == "bert"
    assert Encoder("mental/mental-roberta-base", Path(), "0" * 40).folder_name == "mental-roberta-base"


def test_command_of_the_dataloader_has_the_flags_of_the_model_script(monkeypatch):
    monkeypatch.setattr("sys.argv", ["m.py", *shlex.split("--dataset_name SAD --data_source mine.csv --data_seed 7")])
    command = shlex.split(examples.dataloader_command("classification", parse_model())({}))
    assert command[-4:] == ["--data_source", str(Path("mine.csv").absolute()), "--seed", "7"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--folds 5", "--fold K --folds N: give both"),
        ("--fold 2", "--fold K --folds N: give both"),
        ("--folds 5 --fold 6", "N from 2 and K from 1 to N"),
        ("--folds 1 --fold 1", "N from 2 and K from 1 to N"),
        ("--dataset_name SAD --split imhi --label_column top_label", "leave out --label_column"),
        ("--dataset_name SAD --split imhi --folds 5 --fold 1", "leave out --folds"),
        ("--dataset_name SAD --split imhi --data_source sample", "not of the sample"),
        ("--split imhi", "--split is for --dataset_name SAD alone"),
    ],
)
def test_splits_that_do_not_exist_are_refused(words, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["script", *words.split()])
    with pytest.raises(SystemExit) as end:
        parse_dataloader()
    assert end.value.code == 2 and message in capsys.readouterr().err

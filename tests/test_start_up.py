"""What a script imports before its work begins. How long that takes is measured by `make bench`."""

import pytest
from around import start_up
from conftest import DATALOADER, MODEL, SAD_SAMPLE, copy_splits

LATE = {"sklearn", "wandb", "matplotlib"}  # scipy is imported by transformers


def test_model_script_imports_nothing_for_after_its_first_step(encoder, sample_splits, tmp_path):
    """Nor does it import what only --class_weights, the evaluation, W&B or a figure needs"""
    root = copy_splits(sample_splits, tmp_path / "root")
    words = ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", root]
    assert not LATE & set(start_up(MODEL, *words)["modules"])


def test_dataloader_does_not_import_torch(encoder, tmp_path):
    words = ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", tmp_path]
    assert "torch" not in start_up(DATALOADER, *words)["modules"]


@pytest.mark.xdist_group("families")
def test_no_familys_tokenizer_imports_torch(families):
    """Each from the files of its repository; DeBERTa's is made of a SentencePiece model"""
    program = "from pathlib import Path; from artificial_pain.encoders import Encoder, load_tokenizer; "
    program += (
        f"[load_tokenizer(Encoder(folder, Path(folder), None)) for folder in {list(map(str, families.values()))}]"
    )
    assert "torch" not in start_up(program)["modules"]

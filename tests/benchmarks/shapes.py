"""Encoders of the published sizes with random weights, for what a GPU is measured on."""

from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer, ModernBertConfig, RobertaConfig

from artificial_pain import encoders

# Their configurations' defaults are the base sizes; the tokenizer that is at hand pads with 0.
SHAPES = {
    "RoBERTa-base": RobertaConfig(pad_token_id=0, bos_token_id=101, eos_token_id=102, max_position_embeddings=514),
    "ModernBERT-base": ModernBertConfig(pad_token_id=0, cls_token_id=101, sep_token_id=102),
}


def make(name: str, root: Path, tokenizer_of: str) -> Path:
    """A folder with an encoder of that size, and the tokenizer of another encoder."""
    folder = root / name
    if not folder.exists():
        torch.manual_seed(0)
        AutoModel.from_config(SHAPES[name]).save_pretrained(folder)
        encoder = encoders.fetch(tokenizer_of, encoders.DEFAULT_REVISION, weights=None)
        AutoTokenizer.from_pretrained(encoder.folder).save_pretrained(folder)
    return folder

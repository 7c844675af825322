"""The hidden states of the encoder before fine-tuning."""

import numpy as np
import pytest
import torch
from models import NAMES
from transformers import AutoModel, AutoTokenizer

from artificial_pain.encoders import Encoder
from artificial_pain.modeling.features import mean_hidden_states


@pytest.mark.parametrize("name", NAMES)
def test_hidden_states_are_those_of_each_text_alone(name, tiny, splits):
    """In the order of the examples, as the mean of the tokens without padding"""
    tokenized = {split: splits.tokenized[split].select(range(13)) for split in ("train", "test")}
    tokenizer = AutoTokenizer.from_pretrained(tiny[name])
    states = mean_hidden_states(Encoder("tiny", tiny[name], None), tokenized, tokenizer, batch_size=5, bf16=False)
    encoder = AutoModel.from_pretrained(tiny[name], dtype=torch.float32).eval()
    for split, dataset in tokenized.items():
        lengths = [len(ids) for ids in dataset["input_ids"]]
        assert lengths != sorted(lengths, reverse=True)
        for row, ids in enumerate(dataset["input_ids"]):
            with torch.no_grad():
                alone = encoder(torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
            assert states[split][row] == pytest.approx(alone.double().numpy(), abs=1e-5)
        assert np.ptp(states[split], axis=0).min() > 0

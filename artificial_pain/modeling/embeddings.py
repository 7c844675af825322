"""The table of word embeddings, cut to the rows that a training reads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel


@contextmanager
def only_rows(encoder: PreTrainedModel, token_ids: torch.Tensor) -> Iterator[None]:
    """Within the block, the table of word embeddings has only the rows of `token_ids`. After it, it has all rows again.

    token_ids: those of all texts that are read in the block, and of their padding, in any order and shape.

    The row of a token that no training text has gets no gradient, and Adam without weight decay leaves it as it is, to
    the last bit. SAD's training and validation texts need 4,820 of BERT's 30,522 rows. Without the others, gradients,
    clipping, Adam's moments and checkpoints are smaller.
    """
    embedding = encoder.get_input_embeddings()
    table, padding = embedding.weight.data, embedding.padding_idx
    rows = torch.unique(token_ids if padding is None else torch.cat([token_ids.flatten(), torch.tensor([padding])]))
    rows = rows.to(table.device)
    position = torch.full((len(table),), -1, device=table.device)
    position[rows] = torch.arange(len(rows), device=table.device)
    # The Parameter itself stays, for the optimizer has it.
    embedding.weight.data = table[rows]
    embedding.padding_idx = None if padding is None else int(position[padding])
    hook = embedding.register_forward_pre_hook(lambda module, inputs: (position[inputs[0]], *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()
        table[rows] = embedding.weight.data
        embedding.weight.data, embedding.padding_idx = table, padding

"""Texts in padded batches, for a model that only reads them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from tqdm import tqdm
from transformers import BatchEncoding, PreTrainedTokenizerFast

BAR_DELAY = 2  # seconds before the progress bar is shown


def longest_first(
    texts: Mapping[str, Sequence], tokenizer: PreTrainedTokenizerFast, batch_size: int, device: torch.device, title: str
) -> Iterator[tuple[np.ndarray, BatchEncoding]]:
    """The rows of each batch, and the batch on the device, from the longest texts to the shortest: little padding.

    texts: has "input_ids" and "attention_mask", unpadded. title: of the progress bar.
    """
    columns = {name: texts[name] for name in ("input_ids", "attention_mask")}
    order = np.argsort([-len(ids) for ids in columns["input_ids"]], kind="stable")
    with tqdm(total=len(order), desc=title, unit=" texts", delay=BAR_DELAY, disable=None) as bar:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            unpadded = {name: [values[row] for row in rows] for name, values in columns.items()}
            yield rows, tokenizer.pad(unpadded, return_tensors="pt").to(device)
            bar.update(len(rows))

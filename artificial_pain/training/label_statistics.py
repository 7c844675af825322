"""Statistics of the training labels: class weights, and mean intensities."""

from collections.abc import Sequence

import numpy as np
import torch

from artificial_pain.data.tokenization import Splits


def balanced_class_weights(splits: Splits) -> torch.Tensor:
    """A weight for each label, (labels,). Rare labels have larger weights: scikit-learn's "balanced"."""
    from sklearn.utils.class_weight import compute_class_weight  # here: without --class_weights nobody waits for it

    classes = np.arange(len(splits.label_names))
    weights = compute_class_weight("balanced", classes=classes, y=splits.tokenized["train"]["labels"][:])
    return torch.tensor(weights, dtype=torch.float32)


def mean_intensities(splits: Splits, targets: Sequence[str], shrinkage: float) -> torch.Tensor:
    """The training mean of each intensity for each emotion, (intensities, labels), shrunk towards the overall mean.

    It is shrunk as if `shrinkage` more examples of the emotion had the overall mean (the m-estimate of Cestnik, ECAI
    1990). So an emotion without a known value has the overall mean.
    """
    train = splits.texts["train"]
    known = train.groupby("label")[targets]
    sums, counts = (part.reindex(range(len(splits.label_names)), fill_value=0) for part in (known.sum(), known.count()))
    means = (sums + shrinkage * train[targets].mean()) / (counts + shrinkage)
    return torch.tensor(means.to_numpy().T, dtype=torch.float32)

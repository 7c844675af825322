"""The loss of each head, and of all."""

from collections.abc import Sequence

import torch
from torch import nn

from artificial_pain.data.vocabulary import INTENSITIES

IGNORE_INDEX = -1  # in place of the label of an example that fills a batch, and is not to be learned from
EMOTION_WEIGHT = 0.5  # published: the cross-entropy's share of the loss; the intensities have the rest


def num_valid(labels: torch.Tensor, annotated: torch.Tensor) -> torch.Tensor:
    """How many examples each of the `head_losses` is of: (1 + targets,)."""
    return torch.cat([(labels != IGNORE_INDEX).sum()[None], (~annotated.isnan()).sum(dim=0)])


def head_losses(
    logits: torch.Tensor,
    intensities: torch.Tensor,
    labels: torch.Tensor,
    annotated: torch.Tensor,
    counts: torch.Tensor | None = None,
    class_weights: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """The cross-entropy of the emotion, then the mean squared error of each target: (1 + targets,).

    logits: (examples, labels); intensities: (examples, targets, labels); labels: (examples,); annotated:
    (examples, targets), NaN where missing. The error is that of the true emotion's output, its mean over the examples
    whose target is known, NaN where none is.

    counts: what the sums over the examples are divided by, in place of their own `known_counts`.
    class_weights: (labels,), of each example's cross-entropy, by its label; label_smoothing: the share of a label that
    is spread evenly over all (Szegedy et al., CVPR 2016).
    """
    counts = num_valid(labels, annotated) if counts is None else counts
    at_true = intensities[torch.arange(len(labels), device=labels.device), :, labels]
    known = ~annotated.isnan()
    # NaNs are replaced before the subtraction, and counts of 0 before the division: masking the result alone would
    # leave NaN in the gradient.
    squared_errors = (at_true - annotated.nan_to_num()).square() * known
    cross_entropy = nn.functional.cross_entropy(
        logits, labels, class_weights, ignore_index=IGNORE_INDEX, reduction="sum", label_smoothing=label_smoothing
    )
    means = torch.cat([cross_entropy[None], squared_errors.sum(dim=0)]) / counts.where(counts > 0, 1)
    return means.where(counts > 0, torch.nan)


def total_loss(losses: torch.Tensor) -> torch.Tensor:
    """The loss to learn from, of the `head_losses`: a scalar.

    Published: 0.5 of the cross-entropy and 0.5 of the mean of the regression losses that there are (0 if none is).
    Without regressors it is the cross-entropy itself.
    """
    emotion, regression = losses[0], losses[1:]
    if len(regression) == 0:
        return emotion
    known = ~regression.isnan()
    mean = regression.where(known, 0).sum() / known.sum().clamp(min=1)
    return EMOTION_WEIGHT * emotion + (1 - EMOTION_WEIGHT) * mean


def named_losses(losses: torch.Tensor, targets: Sequence[str]) -> dict[str, float]:
    """The losses (1 + targets,) of the heads by name, those that there are; none where the emotion has the only one."""
    if not targets:
        return {}
    names = ["emotion", *(INTENSITIES[target] for target in targets)]
    return {f"loss_{name}": loss.item() for name, loss in zip(names, losses, strict=True) if not loss.isnan()}

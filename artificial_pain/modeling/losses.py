"""The loss of each head, and of all."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from artificial_pain.data.vocabulary import INTENSITIES

IGNORE_INDEX = -100  # torch's label of an example that only fills a batch: nothing is learned from it


@dataclass(frozen=True)
class Loss:
    """The loss that a model learns from.

    emotion_weight: the share of the cross-entropy; the regressors have the rest. Without regressors the loss is the
    cross-entropy itself. class_weights: (labels,), the weight of an example's cross-entropy by its own label.
    label_smoothing: the share of a label that is spread evenly over all (Szegedy et al., CVPR 2016). In an evaluation
    the cross-entropy is without the last two.
    """

    emotion_weight: float
    class_weights: torch.Tensor | None = None
    label_smoothing: float = 0.0

    def per_head(
        self,
        logits: torch.Tensor,
        intensities: torch.Tensor,
        labels: torch.Tensor,
        targets: torch.Tensor,
        denominators: torch.Tensor | None = None,
        training: bool = False,
    ) -> torch.Tensor:
        """The cross-entropy of the emotion, then the mean squared error of each intensity: (1 + intensities,).

        logits: (examples, labels); intensities: (examples, intensities, labels), one output for each emotion; labels:
        (examples,); targets: (examples, intensities), the annotation, NaN where missing. The error is that of the true
        emotion's output. Its mean is over the examples whose target is known, and NaN where none is.

        denominators: what the sums over the examples are divided by, instead of their own `num_valid`.
        """
        denominators = num_valid(labels, targets) if denominators is None else denominators
        # The padding's IGNORE_INDEX is no index: its output is read somewhere, and counts for nothing.
        at_true = intensities[torch.arange(len(labels), device=labels.device), :, labels.clamp(min=0)]
        # NaNs are replaced before the subtraction, and counts of 0 before the division: masking the result alone would
        # leave NaN in the gradient.
        squared_errors = (at_true - targets.nan_to_num()).square() * ~targets.isnan()
        smoothing = self.label_smoothing if training else 0.0
        cross_entropies = nn.functional.cross_entropy(
            logits, labels, ignore_index=IGNORE_INDEX, reduction="none", label_smoothing=smoothing
        )
        if training and self.class_weights is not None:
            # Not torch's `weight`: it multiplies the smoothed share of each other label by that label's weight.
            cross_entropies = cross_entropies * self.class_weights.to(labels.device)[labels.clamp(min=0)]
        sums = torch.cat([cross_entropies.sum()[None], squared_errors.sum(dim=0)])
        return (sums / denominators.where(denominators > 0, 1)).where(denominators > 0, torch.nan)

    def total(self, losses: torch.Tensor) -> torch.Tensor:
        """The loss of all heads, a scalar, from the loss of each.

        The regressors' part is the mean of the losses that are known, 0 if none is.
        """
        emotion, regression = losses[0], losses[1:]
        if len(regression) == 0:
            return emotion
        known = ~regression.isnan()
        mean = regression.where(known, 0).sum() / known.sum().clamp(min=1)
        return self.emotion_weight * emotion + (1 - self.emotion_weight) * mean


def num_valid(labels: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """How many examples each head can learn from: (1 + intensities,)."""
    return torch.cat([(labels != IGNORE_INDEX).sum()[None], (~targets.isnan()).sum(dim=0)])


def named_losses(losses: torch.Tensor, intensities: Sequence[str]) -> dict[str, float]:
    """The known losses (1 + intensities,) of the heads by name; none for a model of the emotion alone."""
    if not intensities:
        return {}
    names = ["emotion", *(INTENSITIES[name] for name in intensities)]
    return {f"loss_{name}": loss.item() for name, loss in zip(names, losses, strict=True) if not loss.isnan()}

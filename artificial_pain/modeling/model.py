"""The encoder with its heads."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel, logging
from transformers.utils import ModelOutput

from artificial_pain.encoders import Encoder
from artificial_pain.errors import UserError, first_line
from artificial_pain.modeling.losses import head_losses, total_loss

EMOTION_HEAD_SIZE = 256  # published: hidden units of the classification head
REGRESSOR_SIZE = 128  # published: hidden units of an intensity's regressor

# Our own messages say what a user can act on.
logging.set_verbosity_error()
logging.disable_progress_bar()


class EmotionConfig(PreTrainedConfig):
    """The encoder's configuration, the labels' names in `id2label`, the columns of intensities to predict, and what the
    heads read of the encoder: "cls", the first token's last hidden state, or "mean", that of all tokens.
    """

    model_type = "artificial-pain"
    sub_configs: ClassVar[dict] = {"encoder": AutoConfig}
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["head_losses"]

    def __init__(
        self,
        encoder: dict | PreTrainedConfig | None = None,
        intensity_targets: Sequence[str] = (),
        pooling: str = "cls",
        **kwargs,
    ):
        self.encoder = AutoConfig.for_model(**encoder) if isinstance(encoder, dict) else encoder
        self.intensity_targets = list(intensity_targets)
        self.pooling = pooling
        super().__init__(**kwargs)


# So that AutoTokenizer.from_pretrained(run_folder), which reads the configuration, knows the type.
AutoConfig.register(EmotionConfig.model_type, EmotionConfig)


class Head(nn.Sequential):
    """Linear, Tanh, Linear: from a text's pooled hidden state (batch, hidden) to (batch, outputs)."""

    def __init__(self, hidden_size: int, units: int, outputs: int):
        super().__init__(nn.Linear(hidden_size, units), nn.Tanh(), nn.Linear(units, outputs))


@dataclass
class EmotionOutput(ModelOutput):
    """What the model says of a batch; the losses are there if labels were given.

    loss: a scalar. logits: (batch, labels). intensities: (batch, targets, labels), what each target would be if the
    emotion were that label; 0 targets without regressors. head_losses: (1 + targets,), see `head_losses`.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    intensities: torch.Tensor | None = None
    head_losses: torch.Tensor | None = None


class EmotionModel(PreTrainedModel):
    """An encoder whose first token's last hidden state ("CLS"; or the mean of all tokens', by `config.pooling`) goes to
    a classification head, and to a regressor for each intensity in `config.intensity_targets`.

    `EmotionModel.from_pretrained(run_folder)` loads a trained one, with nothing else needed. `class_weights` and
    `label_smoothing` of `head_losses` are those of the training; in evaluation the loss is without them.
    """

    config_class = EmotionConfig
    base_model_prefix = "encoder"
    accepts_loss_kwargs = False  # else the Trainer scales the loss by the accumulation steps
    _supports_sdpa = True

    def __init__(self, config: EmotionConfig, encoder: PreTrainedModel | None = None):
        super().__init__(config)
        self.class_weights: torch.Tensor | None = None
        self.label_smoothing = 0.0
        self.encoder = AutoModel.from_config(config.encoder) if encoder is None else encoder
        if getattr(self.encoder, "pooler", None) is not None:
            # BERT's and RoBERTa's own: the heads do not read it, so it could not learn.
            self.encoder.pooler = None
        hidden_size, outputs = config.encoder.hidden_size, config.num_labels
        # Made first: the same seed gives it the same first weights, whatever other heads there are.
        self.emotion_head = Head(hidden_size, EMOTION_HEAD_SIZE, outputs)
        self.regressors = nn.ModuleDict(
            {target: Head(hidden_size, REGRESSOR_SIZE, outputs) for target in config.intensity_targets}
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave the heads at torch's own initialisation, as published; the encoder has its own _init_weights."""

    @classmethod
    def from_encoder(
        cls, source: Encoder, label_names: list[str], intensity_targets: Sequence[str] = (), pooling: str = "cls"
    ) -> "EmotionModel":
        """A pretrained encoder with new heads, in fp32. Raises UserError where the folder's weights do not fit."""
        folder = source.folder
        try:
            encoder, info = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"{folder}: the encoder cannot be loaded ({first_line(error)})") from error
        missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
        if missing:
            raise UserError(f"{folder}: {len(missing)} of the encoder's weights are missing, {missing[0]} among them")
        # A copy: PreTrainedModel.__init__ would reset the attention kernel in the configuration that the encoder uses.
        names = dict(enumerate(label_names))
        config = EmotionConfig(copy.deepcopy(encoder.config), intensity_targets, pooling, id2label=names)
        config.encoder.name_or_path = source.name  # where it was on this machine helps nobody else
        config.label2id = {name: i for i, name in enumerate(label_names)}
        return cls(config, encoder)

    def annotations(self, labels: torch.Tensor, annotated: dict[str, torch.Tensor]) -> torch.Tensor:
        """The annotation of every target, (batch, targets), of a batch of labels and the other columns of it."""
        return _stacked([annotated[target] for target in self.regressors], labels)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None,
        counts: torch.Tensor | None = None,
        **annotated: torch.Tensor,
    ) -> EmotionOutput:
        """input_ids, attention_mask: (batch, tokens); labels: (batch,); annotated: by target, (batch,), NaN if missing.

        The loss needs the labels and the annotation of every target; counts as of `head_losses`.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        # The heads are fp32 in mixed precision too: an intensity of 3 would have steps of 1/64 in bf16.
        with torch.autocast(hidden.device.type, enabled=False):
            hidden = pooled(hidden.float(), attention_mask, self.config.pooling)
            logits = self.emotion_head(hidden)
            intensities = _stacked([regressor(hidden) for regressor in self.regressors.values()], logits)
        loss = losses = None
        if labels is not None:
            annotations = self.annotations(labels, annotated)
            losses = head_losses(logits, intensities, labels, annotations, counts, **self._of_training(logits.device))
            loss = total_loss(losses)
        return EmotionOutput(loss=loss, logits=logits, intensities=intensities, head_losses=losses)

    def _of_training(self, device: torch.device) -> dict:
        """The parameters of `head_losses` that are for the training alone."""
        if not self.training:
            return {}
        weights = None if self.class_weights is None else self.class_weights.to(device)
        return {"class_weights": weights, "label_smoothing": self.label_smoothing}


def pooled(hidden: torch.Tensor, attention_mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """What the heads read, (batch, hidden), of the last hidden states (batch, tokens, hidden); without the padding."""
    if pooling == "cls":
        return hidden[:, 0]
    mask = attention_mask[:, :, None].to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def _stacked(targets: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Tensors of one shape (batch, …) as one of (batch, targets, …), for 0 targets too: then of the shape of `like`."""
    return torch.stack(targets, dim=1) if targets else like[:, None][:, :0].float()

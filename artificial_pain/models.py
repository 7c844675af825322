"""The encoder with its heads, and the loss."""

import copy
from typing import ClassVar

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from artificial_pain.encoders import Encoder
from artificial_pain.errors import UserError

EMOTION_HEAD_SIZE = 256  # published: hidden units of the classification head


class EmotionConfig(PreTrainedConfig):
    """The encoder's configuration, and the labels' names in `id2label`."""

    model_type = "artificial-pain"
    sub_configs: ClassVar[dict] = {"encoder": AutoConfig}

    def __init__(self, encoder: dict | PreTrainedConfig | None = None, **kwargs):
        self.encoder = AutoConfig.for_model(**encoder) if isinstance(encoder, dict) else encoder
        super().__init__(**kwargs)


# So that AutoTokenizer.from_pretrained(run_folder), which reads the configuration, knows the type.
AutoConfig.register(EmotionConfig.model_type, EmotionConfig)


class Head(nn.Sequential):
    """Linear, Tanh, Linear: from the first token's hidden state (batch, hidden) to (batch, outputs)."""

    def __init__(self, hidden_size: int, units: int, outputs: int):
        super().__init__(nn.Linear(hidden_size, units), nn.Tanh(), nn.Linear(units, outputs))


class EmotionModel(PreTrainedModel):
    """An encoder whose first token's last hidden state ("CLS") goes to a classification head.

    `EmotionModel.from_pretrained(run_folder)` loads a trained one, with nothing else needed.
    """

    config_class = EmotionConfig
    base_model_prefix = "encoder"
    accepts_loss_kwargs = False  # else the Trainer scales the loss by the accumulation steps
    _supports_sdpa = True

    def __init__(self, config: EmotionConfig, encoder: PreTrainedModel | None = None):
        super().__init__(config)
        self.encoder = AutoModel.from_config(config.encoder) if encoder is None else encoder
        if getattr(self.encoder, "pooler", None) is not None:
            # BERT's and RoBERTa's own: the heads do not read it, so it could not learn.
            self.encoder.pooler = None
        self.emotion_head = Head(config.encoder.hidden_size, EMOTION_HEAD_SIZE, config.num_labels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave the heads at torch's own initialisation, as published; the encoder has its own _init_weights."""

    @classmethod
    def from_encoder(cls, source: Encoder, label_names: list[str]) -> "EmotionModel":
        """A pretrained encoder with new heads, in fp32. Raises UserError where the folder's weights do not fit."""
        folder = source.folder
        try:
            encoder, info = AutoModel.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"{folder}: the encoder cannot be loaded ({str(error).splitlines()[0]})") from error
        missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
        if missing:
            raise UserError(f"{folder}: {len(missing)} of the encoder's weights are missing, {missing[0]} among them")
        # A copy: PreTrainedModel.__init__ would reset the attention kernel in the configuration that the encoder uses.
        config = EmotionConfig(copy.deepcopy(encoder.config), id2label=dict(enumerate(label_names)))
        config.encoder.name_or_path = source.name  # where it was on this machine helps nobody else
        config.label2id = {name: i for i, name in enumerate(label_names)}
        return cls(config, encoder)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None
    ) -> SequenceClassifierOutput:
        """input_ids, attention_mask: (batch, tokens); labels: (batch,). logits: (batch, labels); loss: a scalar."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]
        logits = self.emotion_head(hidden)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

"""The encoder with its heads."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel, logging
from transformers.utils import ModelOutput

from artificial_pain.encoders import Encoder
from artificial_pain.errors import UserError, as_user_error
from artificial_pain.modeling.losses import Loss

# The scripts' own messages say what a user can act on.
logging.set_verbosity_error()
logging.disable_progress_bar()


class EmotionConfig(PreTrainedConfig):
    """The configuration of an `EmotionModel`, as in its config.json. `id2label` has the labels' names.

    encoder: the encoder's configuration. intensity_targets: the columns of the intensities to predict.
    emotion_head_size, regressor_size: hidden units of the heads. regressor_outputs: one of OUTPUTS. pooling: the
    encoder's output that the heads receive, "cls" (the first token's last hidden state) or "mean" (of all tokens).
    calibration: what `evaluation.calibration.Calibration` says, as a dictionary; None if the model is not calibrated.
    """

    model_type = "artificial-pain"
    sub_configs: ClassVar[dict] = {"encoder": AutoConfig}
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["head_losses"]

    encoder: dict | PreTrainedConfig | None = None
    intensity_targets: Sequence[str] = ()
    emotion_head_size: int | None = None
    regressor_size: int | None = None
    regressor_outputs: str = "per_emotion"
    pooling: str = "cls"
    calibration: dict | None = None

    def __post_init__(self, **kwargs):
        if isinstance(self.encoder, dict):
            self.encoder = AutoConfig.for_model(**self.encoder)
        super().__post_init__(**kwargs)


# So that AutoTokenizer.from_pretrained(run_folder), which reads the configuration, knows the type.
AutoConfig.register(EmotionConfig.model_type, EmotionConfig)


class SharedLinear(nn.Linear):
    """One set of weights for all emotions, and a bias for each: (batch, units) to (batch, outputs)."""

    def __init__(self, units: int, outputs: int):
        super().__init__(units, 1)
        self.bias = nn.Parameter(self.bias.detach().repeat(outputs))

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(units, self.weight) + self.bias


OUTPUTS = {"per_emotion": nn.Linear, "shared": SharedLinear}  # the last layer of a regressor, by `regressor_outputs`


def make_head(hidden_size: int, units: int, outputs: int, last: type[nn.Linear] = nn.Linear) -> nn.Sequential:
    """Linear, Tanh, Linear: from a text's pooled hidden state (batch, hidden) to (batch, outputs)."""
    return nn.Sequential(nn.Linear(hidden_size, units), nn.Tanh(), last(units, outputs))


@dataclass
class EmotionOutput(ModelOutput):
    """What the model predicts of a batch, and its losses if labels were given.

    loss: a scalar. logits: (batch, labels). intensities: (batch, intensities, labels), what each would be if the
    emotion were that label; that axis is empty without regressors. head_losses: (1 + intensities,), see
    `Loss.per_head`.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    intensities: torch.Tensor | None = None
    head_losses: torch.Tensor | None = None


class EmotionModel(PreTrainedModel):
    """An encoder, a classification head for the emotion, and a regressor for each intensity.

    The heads read the first token's last hidden state ("CLS"), or the mean of all tokens', by `config.pooling`.
    `EmotionModel.from_pretrained(run_folder)` loads a trained model, with nothing else needed. `loss` is what it learns
    from; a model that only predicts needs none.
    """

    config_class = EmotionConfig
    base_model_prefix = "encoder"
    accepts_loss_kwargs = False  # otherwise the Trainer scales the loss by the accumulation steps
    _supports_sdpa = True

    def __init__(self, config: EmotionConfig, encoder: PreTrainedModel | None = None):
        super().__init__(config)
        self.loss: Loss | None = None
        self.encoder = AutoModel.from_config(config.encoder) if encoder is None else encoder
        if getattr(self.encoder, "pooler", None) is not None:
            # BERT's and RoBERTa's own: the heads do not read it, so it could not learn.
            self.encoder.pooler = None
        hidden_size, outputs = config.encoder.hidden_size, config.num_labels
        # The emotion's head comes first: a seed gives it the same initial weights, whatever other heads there are.
        self.emotion_head = make_head(hidden_size, config.emotion_head_size, outputs)
        sizes, last = (hidden_size, config.regressor_size, outputs), OUTPUTS[config.regressor_outputs]
        self.regressors = nn.ModuleDict({name: make_head(*sizes, last) for name in config.intensity_targets})
        if config.pooling == "cls":
            _keep_first_token(self.encoder)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave the heads at torch's own initialisation, as published; the encoder has its own _init_weights."""

    @classmethod
    def from_encoder(
        cls, source: Encoder, label_names: list[str], head_size: int, targets: Sequence[str] = (), **options
    ) -> "EmotionModel":
        """A pretrained encoder with new heads, in fp32.

        head_size: hidden units of the emotion's head. targets: the intensities' columns. options: of `EmotionConfig`.

        Raises UserError where the folder's weights do not fit.
        """
        encoder = load_encoder(source)
        options |= {"emotion_head_size": head_size, "intensity_targets": targets}
        labels = {"id2label": dict(enumerate(label_names)), "label2id": {name: i for i, name in enumerate(label_names)}}
        # A copy: PreTrainedModel.__init__ would reset the attention kernel in the configuration that the encoder uses.
        config = EmotionConfig(encoder=copy.deepcopy(encoder.config), **labels, **options)
        config.encoder.name_or_path = source.name  # where it was on this machine helps nobody else
        return cls(config, encoder)

    @torch.no_grad()
    def start_regressors_at(self, means: torch.Tensor) -> None:
        """Set the last layers so that the regressors predict these means, (intensities, labels), for every text."""
        for regressor, mean in zip(self.regressors.values(), means, strict=True):
            regressor[-1].weight.zero_()
            regressor[-1].bias.copy_(mean)

    def stack_targets(self, labels: torch.Tensor, columns: dict[str, torch.Tensor]) -> torch.Tensor:
        """The annotated intensities of a batch, (batch, intensities), from its columns by name."""
        return _stack([columns[name] for name in self.regressors], labels)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None,
        denominators: torch.Tensor | None = None,
        **targets: torch.Tensor,
    ) -> EmotionOutput:
        """input_ids, attention_mask: (batch, tokens); labels: (batch,); targets: (batch,) each, NaN where missing.

        With labels, the targets of all intensities are needed too, by name. denominators: as of `Loss.per_head`.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        # The heads are fp32 in mixed precision too: an intensity of 3 would have steps of 1/64 in bf16.
        with torch.autocast(hidden.device.type, enabled=False):
            pooled = pool(hidden.float(), attention_mask, self.config.pooling)
            logits = self.emotion_head(pooled)
            intensities = _stack([regressor(pooled) for regressor in self.regressors.values()], logits)
        if labels is None:
            return EmotionOutput(logits=logits, intensities=intensities)
        annotated = self.stack_targets(labels, targets)
        losses = self.loss.per_head(logits, intensities, labels, annotated, denominators, training=self.training)
        return EmotionOutput(self.loss.total(losses), logits, intensities, losses)


def load_encoder(source: Encoder) -> PreTrainedModel:
    """The pretrained encoder, in fp32, from safetensors alone. Raises UserError where its weights do not fit."""
    kinds = OSError, ValueError, RuntimeError, SafetensorError  # the last of a file that is none, or was cut
    with as_user_error(f"{source.folder}: the encoder cannot be loaded", *kinds):
        encoder, info = AutoModel.from_pretrained(
            source.folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        lost = f"{len(missing)} of the encoder's weights are missing, {missing[0]} among them"
        raise UserError(f"{source.folder}: {lost}")
    return encoder


def _keep_first_token(encoder: PreTrainedModel) -> None:
    """Let the last layer compute only the first token of each text after its attention: the heads read no other.

    9/12 of a layer's weights (the output projection and the feed-forward network) are used after its attention. This is
    done to encoders whose layers have a module `attention.output`: BERT, RoBERTa, ELECTRA, DeBERTa, XLM-RoBERTa and
    CamemBERT. Others are left as they are.
    """
    attentions = [module for name, module in encoder.named_modules() if name.endswith(".attention")]
    if attentions and hasattr(attentions[-1], "output"):
        attentions[-1].self.first_token_alone = True  # for `cpu.attention`
        attentions[-1].output.register_forward_pre_hook(_first_token)


def _first_token(module: nn.Module, states: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """states: the attention's output and the layer's input, (batch, tokens, hidden) each."""
    return tuple(state[:, :1] for state in states)


def pool(hidden: torch.Tensor, attention_mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """What the heads read, (batch, hidden), of the last hidden states (batch, tokens, hidden), without padding.

    Raises ValueError where the mean is asked for, and the encoder computes the first token alone.
    """
    if pooling == "cls":
        return hidden[:, 0]
    if hidden.shape[1] != attention_mask.shape[1]:
        raise ValueError('make the model with pooling="mean": with "cls" its last layer has the first token alone')
    mask = attention_mask[:, :, None].to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def _stack(tensors: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Stack tensors of one shape (batch, …) to (batch, n, …). With none, the shape is that of `like`, with n = 0."""
    return torch.stack(tensors, dim=1) if tensors else like[:, None][:, :0].float()

"""A Trainer as the model scripts make it, with the published recipe where nothing else is said."""

import runpy
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from conftest import INTENSITY_MODEL
from transformers import PreTrainedTokenizerFast, set_seed

from artificial_pain.data.tokenization import Splits
from artificial_pain.encoders import Encoder
from artificial_pain.modeling.losses import Loss
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training import recipe
from artificial_pain.training.trainer import EmotionTrainer


def constants(script: Path) -> dict:
    """The constants at the top of a script."""
    return {name: value for name, value in runpy.run_path(str(script)).items() if name.isupper()}


PUBLISHED = constants(INTENSITY_MODEL)
DEFAULTS = {name.lower(): PUBLISHED[name] for name in ("PATIENCE", "EPOCHS", "BATCH_SIZE", "SEED")}
DEFAULTS |= {"model_metric": "loss", "schedule": "linear", "warmup_steps": 0}


def make_model(
    encoder: Encoder, label_names: list[str], intensities: Sequence[str] = (), pooling: str = "cls"
) -> EmotionModel:
    """A model with the published heads and the published loss."""
    heads = {"regressor_size": PUBLISHED["REGRESSOR_SIZE"], "pooling": pooling}
    model = EmotionModel.from_encoder(encoder, label_names, PUBLISHED["HEAD_SIZE"], list(intensities), **heads)
    model.loss = Loss(PUBLISHED["EMOTION_WEIGHT"] if intensities else 1.0)
    return model


def make_trainer(
    encoder: Encoder,
    tokenizer: PreTrainedTokenizerFast,
    splits: Splits,
    folder: Path,
    intensities: Sequence[str] = (),
    learning_rate: float = PUBLISHED["LEARNING_RATE"],
    head_learning_rate: float = PUBLISHED["HEAD_LEARNING_RATE"],
    precision: str = "fp32",
    **flags: object,
) -> EmotionTrainer:
    """flags: those that `recipe.make_trainer` reads, by their names."""
    args = Namespace(**DEFAULTS | flags)
    set_seed(args.seed)
    model = make_model(encoder, splits.label_names, intensities)
    optimizer = recipe.adam(model, learning_rate, head_learning_rate)
    splits = replace(splits, tokenizer=tokenizer)
    return recipe.make_trainer(model, optimizer, splits, args, args.epochs, folder, precision)

"""Models of the tiny encoders, with a batch and splits for them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import trainers
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from transformers import AutoTokenizer

from artificial_pain.data.tokenization import Splits
from artificial_pain.encoders import Encoder
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.training.trainer import EmotionTrainer

NAMES = ["mental/mental-roberta-base", "mental/mental-bert-base-uncased", "answerdotai/ModernBERT-base"]
LABELS = ["anger", "fear", "shame"]
TARGETS = ["initial_intensity", "final_intensity", "intensity_change"]
MISSING = float("nan")


def make(folder: Path, targets: Sequence[str] = (), pooling: str = "cls") -> EmotionModel:
    torch.manual_seed(0)
    return trainers.make_model(Encoder("tiny", folder, None), LABELS, targets, pooling)


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    return {"input_ids": torch.randint(10, 400, (2, 9), generator=generator), "attention_mask": mask}


def annotated(*rows: tuple[float, float, float]) -> dict[str, torch.Tensor]:
    """The intensities of a batch, an example a row, as the model takes them."""
    return dict(zip(TARGETS, torch.tensor(rows).T, strict=True))


def make_splits() -> Splits:
    """Texts of many lengths, in no order, with intensities of which every third is missing."""
    rng = np.random.default_rng(0)
    features = Features(
        {
            "labels": ClassLabel(names=LABELS),
            "input_ids": List(Value("int32")),
            "attention_mask": List(Value("int8")),
            **{target: Value("float32") for target in TARGETS},
        }
    )

    def part(n: int) -> Dataset:
        ids = [[2, *rng.integers(10, 400, rng.integers(1, 60)), 3] for _ in range(n)]
        columns = {"labels": rng.integers(0, 3, n), "input_ids": ids, "attention_mask": [[1] * len(one) for one in ids]}
        for target in TARGETS:
            columns[target] = np.where(rng.integers(0, 3, n) == 0, MISSING, rng.integers(1, 6, n))
        return Dataset.from_dict(columns, features=features)

    tokenized = DatasetDict({"train": part(50), "validation": part(100), "test": part(150)})
    return Splits(tokenized, {}, LABELS, "", {}, None)


def make_trainer(folder: Path, splits: Splits, checkpoints: Path, **settings: object) -> EmotionTrainer:
    """A Trainer of a tiny model with four heads; one epoch, unless the settings say something else."""
    settings = {"epochs": 1, "patience": 5, "learning_rate": 1e-3, "head_learning_rate": 1e-3, **settings}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return trainers.make_trainer(Encoder("tiny", folder, None), tokenizer, splits, checkpoints, TARGETS, **settings)

"""What a user would write instead: transformers' own classifier and its Trainer, with the flags that make it fast.

python tests/benchmarks/plain_trainer.py ENCODER_FOLDER TOKENIZED_SPLITS OUTPUT_DIR BATCH_SIZE EPOCHS

Prints the metrics of the test split as JSON. It has no baselines, no intervals and no figures.
"""

import json
import sys
from functools import partial

import datasets
import torch
from sklearn.metrics import accuracy_score, f1_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    Trainer,
    TrainingArguments,
)

LEARNING_RATE = 1e-5  # the published one, of the encoder


def has_bf16() -> bool:
    """Whether the machine multiplies matrices in bf16."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


def metrics(prediction: EvalPrediction, labels: int) -> dict[str, float]:
    predicted = prediction.predictions.argmax(axis=1)
    macro = {"labels": list(range(labels)), "average": "macro", "zero_division": 0}
    return {
        "accuracy": accuracy_score(prediction.label_ids, predicted),
        "macro_f1": f1_score(prediction.label_ids, predicted, **macro),
    }


def make_trainer(encoder: str, splits: str, output_dir: str, batch_size: int, epochs: int, **arguments) -> Trainer:
    """arguments: more of the Trainer's; they replace these settings. Its AdamW has no weight decay, so it is Adam."""
    tokenized, tokenizer = datasets.load_from_disk(splits), AutoTokenizer.from_pretrained(encoder)
    labels = tokenized["train"].features["labels"].num_classes
    model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=labels, dtype=torch.float32)
    settings = {
        "num_train_epochs": epochs,
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": 64,
        "learning_rate": LEARNING_RATE,
        "train_sampling_strategy": "group_by_length",
        "bf16": has_bf16(),
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
        "optim": "adamw_torch_fused",
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "metric_for_best_model": "loss",
        "load_best_model_at_end": True,
    }
    return Trainer(
        model,
        TrainingArguments(output_dir, **settings | arguments),
        train_dataset=tokenized["train"],
        eval_dataset=tokenized["validation"],
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=partial(metrics, labels=labels),
    )


def main() -> None:
    encoder, splits, output_dir, batch_size, epochs = sys.argv[1:]
    trainer = make_trainer(encoder, splits, output_dir, int(batch_size), int(epochs))
    trainer.train()
    test = datasets.load_from_disk(splits)["test"]
    print(json.dumps(trainer.predict(test).metrics))


if __name__ == "__main__":
    main()

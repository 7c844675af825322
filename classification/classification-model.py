"""Fine-tune and evaluate an encoder with a classification head on the splits that the dataloader made.

python classification/classification-model.py --model_name mental/mental-roberta-base --dataset_name ESConv
python classification/classification-model.py --dataset_name SAD --balanced --debug
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, flags, storage

TASK = "classification"
DATASETS = ["ESConv", "SAD"]

# The published settings, with and without --balanced. Only DEBUG_EPOCHS is ours (published: 1). Flags can change the
# others that are in parse_args. WARMUP_STEPS and MODEL_METRIC have other values in the intensity task.
HEAD_SIZE = 256  # hidden units of the classification head: Linear, Tanh, Linear
BATCH_SIZE = 6
LEARNING_RATE = 1e-5  # of the encoder
HEAD_LEARNING_RATE = 3e-5  # of the head, whose weights are new
EPOCHS = 1000  # at most: early stopping ends the training before
DEBUG_EPOCHS = 3  # with --debug
PATIENCE = 50  # epochs without a better MODEL_METRIC on validation, after which the training stops
SEED = 42  # of the head's initial weights, the order of the examples and dropout
WARMUP_STEPS = 0  # the learning rates fall linearly from the first step on, to 0 at the end of EPOCHS
MODEL_METRIC = "loss"  # the best checkpoint has the lowest on validation


def parse_args() -> argparse.Namespace:
    defaults = {"epochs": EPOCHS, "debug_epochs": DEBUG_EPOCHS, "patience": PATIENCE, "batch_size": BATCH_SIZE}
    defaults |= {"learning_rate": LEARNING_RATE, "head_learning_rate": HEAD_LEARNING_RATE, "seed": SEED}
    defaults |= {"warmup_steps": WARMUP_STEPS, "model_metric": MODEL_METRIC}
    return flags.parse_model_args(__doc__, TASK, DATASETS, defaults)


def main(args: argparse.Namespace) -> None:
    storage.require_writable(args.output_dir)

    # 1. The encoder, and the splits that were tokenized for it. Can the baselines of step 7 be fitted?
    encoder = encoders.fetch(args.model_name, args.revision, weights=encoders.WEIGHTS)
    # Imported here, so that --help, a wrong flag and a gated encoder are answered at once.
    from transformers import set_seed

    from artificial_pain.data import examples, tokenization
    from artificial_pain.evaluation import baselines
    from artificial_pain.modeling.losses import Loss
    from artificial_pain.modeling.model import EmotionModel
    from artificial_pain.runs.run import open_run
    from artificial_pain.training import evaluate, label_statistics, recipe

    layout = examples.layout(args, encoder)
    tokenizer = encoders.load_tokenizer(encoder)
    splits = tokenization.load_splits(layout, encoder, tokenizer, examples.dataloader_command(TASK, args))
    baselines.require_fittable(splits.texts["train"], [])

    # 2. The run: a new one, an interrupted one that goes on, or a finished one that is evaluated again.
    balance = "balanced" if args.balanced else "unbalanced"
    name = f"{args.model_metric}_{encoder.short_name}_{layout.corpus.name}_{balance}_{TASK}"
    with open_run(args, layout, encoder, splits, kind=f"{args.model_metric}-{TASK}", name=name) as run:
        # 3. The encoder, and on its first token (--pooling) the head: Linear(256), Tanh, Linear(labels).
        set_seed(args.seed)
        model = EmotionModel.from_encoder(encoder, splits.label_names, HEAD_SIZE, pooling=args.pooling)

        # 4. The loss: cross-entropy.
        weights = label_statistics.balanced_class_weights(splits) if args.class_weights else None
        model.loss = Loss(emotion_weight=1.0, class_weights=weights, label_smoothing=args.label_smoothing)

        # 5. Adam, without weight decay; the encoder and the head each have their learning rate.
        optimizer = recipe.adam(model, args.learning_rate, args.head_learning_rate, args.layer_decay)

        # 6. Train. Each epoch is evaluated on validation, for early stopping and to choose the best checkpoint.
        epochs = DEBUG_EPOCHS if args.debug else args.epochs
        trainer = recipe.make_trainer(model, optimizer, splits, args, epochs, run.checkpoints, run.precision)
        run.train(trainer)  # a finished run is not trained again: its weights are loaded

        # 7. Fit the calibration to validation; compute the metrics on validation and test, and those of the baselines.
        results, predictions = evaluate.evaluate(trainer, splits, encoder)

        # 8. Save the model, its metrics and predictions in run.folder; print the table.
        run.save(trainer, results, predictions)
        run.report(args, results)


if __name__ == "__main__":
    cli.run(main, parse_args)

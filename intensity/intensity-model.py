"""Fine-tune and evaluate an encoder with four heads, the emotion and three intensities, on the dataloader's splits.

python intensity/intensity-model.py --model_name mental/mental-roberta-base --dataset_name ESConv
python intensity/intensity-model.py --head_num 2 --model_metric loss --balanced --debug
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, flags, storage

TASK = "intensity"
DATASETS = ["ESConv"]  # SAD has no intensities before and after a talk
INTENSITIES = ["initial_intensity", "final_intensity", "intensity_change"]  # before the talk, after it, final - initial

# The published settings, with and without --balanced. Only DEBUG_EPOCHS (published: 1) and SHRINKAGE are ours. Flags
# can change those that are in parse_args. WARMUP_STEPS and MODEL_METRIC have other values in classification.
HEAD_SIZE = 256  # hidden units of the classification head: Linear, Tanh, Linear
REGRESSOR_SIZE = 128  # hidden units of each intensity's regressor: Linear, Tanh, Linear
EMOTION_WEIGHT = 0.5  # of the cross-entropy in the loss, the intensities have the rest; 1 without intensities
HEAD_NUM = 4  # the emotion and three intensities; with fewer, the last ones are left out
BATCH_SIZE = 6
LEARNING_RATE = 1e-5  # of the encoder
HEAD_LEARNING_RATE = 3e-5  # of the heads, whose weights are new
EPOCHS = 1000  # at most: early stopping ends the training before
DEBUG_EPOCHS = 3  # with --debug
PATIENCE = 50  # epochs without a better MODEL_METRIC on validation, after which the training stops
SEED = 42  # of the heads' initial weights, the order of the examples and dropout
WARMUP_STEPS = 500  # in which the learning rates rise; then they fall linearly, to 0 at the end of EPOCHS
MODEL_METRIC = "accuracy"  # the best checkpoint has the highest on validation, and of equal ones the lowest loss
SHRINKAGE = 10  # with --regressor_init mean: an emotion's mean is shrunk as if so many more had the overall mean


def parse_args() -> argparse.Namespace:
    defaults = {"epochs": EPOCHS, "debug_epochs": DEBUG_EPOCHS, "patience": PATIENCE, "batch_size": BATCH_SIZE}
    defaults |= {"learning_rate": LEARNING_RATE, "head_learning_rate": HEAD_LEARNING_RATE, "seed": SEED}
    defaults |= {"warmup_steps": WARMUP_STEPS, "model_metric": MODEL_METRIC, "head_num": HEAD_NUM}
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
    targets = INTENSITIES[: args.head_num - 1]
    baselines.require_fittable(splits.texts["train"], targets)

    # 2. The run: a new one, an interrupted one that goes on, or a finished one that is evaluated again.
    kind = f"{args.head_num}-heads-intensity-change"
    name = f"{args.model_metric}_{encoder.short_name}_{layout.corpus.name}_{kind}{'_balanced' if args.balanced else ''}"
    with open_run(args, layout, encoder, splits, kind=f"{args.model_metric}-{kind}", name=name) as run:
        # 3. The encoder, and on its first token (--pooling) the heads. Emotion: Linear(256), Tanh, Linear(labels). Each
        #    intensity: Linear(128), Tanh, Linear(labels), an output for each emotion (--regressor_init, …_outputs).
        set_seed(args.seed)
        heads = {"regressor_size": REGRESSOR_SIZE, "regressor_outputs": args.regressor_outputs, "pooling": args.pooling}
        model = EmotionModel.from_encoder(encoder, splits.label_names, HEAD_SIZE, targets, **heads)
        recipe.initialise_regressors(model, splits, args.regressor_init, SHRINKAGE)

        # 4. The loss: half of the cross-entropy, and half of the regressors' mean squared error at the true emotion.
        weights = label_statistics.balanced_class_weights(splits) if args.class_weights else None
        model.loss = Loss(EMOTION_WEIGHT, class_weights=weights, label_smoothing=args.label_smoothing)

        # 5. Adam, without weight decay; the encoder and the heads each have their learning rate.
        optimizer = recipe.adam(model, args.learning_rate, args.head_learning_rate, args.layer_decay)

        # 6. Train. Each epoch is evaluated on validation, for early stopping and to choose the best checkpoint.
        epochs = DEBUG_EPOCHS if args.debug else args.epochs
        trainer = recipe.make_trainer(model, optimizer, splits, args, epochs, run.checkpoints, run.precision)
        run.train(trainer)  # a finished run is not trained again: its weights are loaded

        # 7. Fit the calibration to validation; compute the metrics on validation and test, and those of the baselines.
        results, predictions = evaluate.evaluate(trainer, splits, encoder)

        # 8. Save the model, its metrics (macro-F1, MAE, correlations) and predictions in run.folder; print the table.
        run.save(trainer, results, predictions)
        run.report(args, results)


if __name__ == "__main__":
    cli.run(main, parse_args)

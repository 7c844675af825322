"""Fine-tune and evaluate an encoder with a classification head on the splits that the dataloader made.

python classification/classification-model.py --model_name mental/mental-roberta-base --dataset_name ESConv
python classification/classification-model.py --dataset_name SAD --balanced --debug
"""

import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, errors, files

TASK = "classification"
DATASETS = ["ESConv", "SAD"]
METRIC = "loss"  # published: the checkpoint with the lowest validation loss is kept
WARMUP_STEPS = 0  # published


def main() -> None:
    args = cli.model_parser(TASK, DATASETS, __doc__.splitlines()[0], WARMUP_STEPS).parse_args()

    files.require_writable(args.output_dir)
    encoder = encoders.fetch(args.model_name, args.revision, with_weights=True)

    # Imported here, so that --help, a wrong flag and a gated encoder are answered at once.
    from transformers import set_seed

    from artificial_pain import baselines, evaluation, report, tables, tokens, tracking, training
    from artificial_pain.models import EmotionModel

    precision = training.mixed_precision(args.precision)
    tokenizer = tokens.load_tokenizer(encoder)
    layout = files.Layout(args.output_dir, args.dataset_name, encoder.short_name, args.balanced)
    splits = tokens.load(layout, encoder, tokenizer, functools.partial(cli.dataloader_command, TASK, args))
    fitted = baselines.fit(splits.texts["train"], targets=[])

    set_seed(args.seed)
    model = EmotionModel.from_encoder(encoder, splits.label_names)

    run_folder = layout.run_folder(f"{METRIC}-{TASK}", args.seed, args.debug)
    balance = "balanced" if args.balanced else "unbalanced"
    run_name = f"{METRIC}_{encoder.short_name}_{args.dataset_name}_{balance}_{TASK}"
    with tracking.start(run_name, vars(args), args.output_dir) as tracker:
        trainer = training.make_trainer(model, tokenizer, splits, args, precision, METRIC, run_folder / "checkpoints")
        trainer.add_callback(tracking.Curves(tracker))
        trainer.train()
        results, predictions = evaluation.evaluate(trainer, splits, fitted)
        report.write_run(run_folder, trainer, splits, results, predictions, args, encoder, tracker.describe())
        tracking.log_results(tracker, results, predictions["test"], splits.label_names, run_folder)

    print(f"{args.dataset_name} ({balance}), {args.model_name}")
    print(tables.results_table({"fine-tuned": results}))
    print(f"Confusion matrix: {run_folder / 'confusion_matrix_test.png'}")
    print(f"Run folder: {run_folder}")
    print(tracker.how_to_look())


if __name__ == "__main__":
    errors.run(main)

"""Fine-tune and evaluate an encoder with four heads, the emotion and three intensities, on the dataloader's splits.

python intensity/intensity-model.py --model_name mental/mental-roberta-base --dataset_name ESConv
python intensity/intensity-model.py --head_num 4 --model_metric accuracy --balanced --debug
"""

import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, errors, files

TASK = "intensity"
DATASETS = ["ESConv"]  # SAD has no intensities before and after a talk
WARMUP_STEPS = 500  # published


def main() -> None:
    parser = cli.model_parser(TASK, DATASETS, __doc__.splitlines()[0], WARMUP_STEPS)
    group = parser.add_argument_group("which heads, and the best of them")
    group.add_argument(
        "--head_num",
        type=int,
        choices=[1, 2, 3, 4],
        default=4,
        help="1: the emotion alone, 2: with initial intensity, 3: and final intensity, 4: and their change "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--model_metric",
        choices=["accuracy", "loss", "macro_f1"],
        default="accuracy",
        help="of the validation split: the best checkpoint by it is kept (default: %(default)s)",
    )
    args = parser.parse_args()

    files.require_writable(args.output_dir)
    encoder = encoders.fetch(args.model_name, args.revision, with_weights=True)

    # Imported here, so that --help, a wrong flag and a gated encoder are answered at once.
    from transformers import set_seed

    from artificial_pain import baselines, corpora, evaluation, report, tables, tokens, tracking, training
    from artificial_pain.models import EmotionModel

    precision = training.mixed_precision(args.precision)
    tokenizer = tokens.load_tokenizer(encoder)
    layout = files.Layout(args.output_dir, args.dataset_name, encoder.short_name, args.balanced)
    splits = tokens.load(layout, encoder, tokenizer, functools.partial(cli.dataloader_command, TASK, args))
    targets = list(corpora.INTENSITIES)[: args.head_num - 1]
    fitted = baselines.fit(splits.texts["train"], targets)

    set_seed(args.seed)
    model = EmotionModel.from_encoder(encoder, splits.label_names, targets)

    heads = f"{args.head_num}-heads-intensity-change"
    run_folder = layout.run_folder(f"{args.model_metric}-{heads}", args.seed, args.debug)
    run_name = f"{args.model_metric}_{encoder.short_name}_{args.dataset_name}_{heads}"
    run_name += "_balanced" if args.balanced else ""
    with tracking.start(run_name, vars(args), args.output_dir) as tracker:
        checkpoints = run_folder / "checkpoints"
        trainer = training.make_trainer(model, tokenizer, splits, args, precision, args.model_metric, checkpoints)
        trainer.add_callback(tracking.Curves(tracker))
        trainer.train()
        results, predictions = evaluation.evaluate(trainer, splits, fitted)
        report.write_run(run_folder, trainer, splits, results, predictions, args, encoder, tracker.describe())
        tracking.log_results(tracker, results, predictions["test"], splits.label_names, run_folder)

    balance = "balanced" if args.balanced else "unbalanced"
    print(f"{args.dataset_name} ({balance}), {args.model_name}, --head_num {args.head_num}")
    print(tables.results_table({"fine-tuned": results}))
    print(f"Figures: {', '.join(map(str, sorted(run_folder.glob('*_test.png'))))}")
    print(f"Run folder: {run_folder}")
    print(tracker.how_to_look())


if __name__ == "__main__":
    errors.run(main)

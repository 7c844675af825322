"""Fine-tune and evaluate an encoder with a classification head on the splits that the dataloader made.

python classification/classification-model.py --model_name mental/mental-roberta-base --dataset_name ESConv
python classification/classification-model.py --dataset_name SAD --balanced --debug
"""

import functools
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, errors, files

TASK = "classification"
DATASETS = ["ESConv", "SAD"]
METRIC = "loss"  # published: the checkpoint with the lowest validation loss is kept


def main() -> None:
    args = cli.model_parser(TASK, DATASETS, __doc__.splitlines()[0]).parse_args()

    files.require_writable(args.output_dir)
    encoder = encoders.fetch(args.model_name, args.revision, with_weights=True)

    # Imported here, so that --help, a wrong flag and a gated encoder are answered at once.
    import transformers

    from artificial_pain import metrics, report, tokens, tracking, training
    from artificial_pain.models import EmotionModel

    # Our own messages say what a user can act on.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    precision = training.mixed_precision(args.precision)
    tokenizer = tokens.load_tokenizer(encoder)
    layout = files.Layout(args.output_dir, args.dataset_name, encoder.short_name, args.balanced)
    splits = tokens.load(layout, encoder, tokenizer, functools.partial(cli.dataloader_command, TASK, args))

    transformers.set_seed(args.seed)
    model = EmotionModel.from_encoder(encoder, splits.label_names)

    run_folder = layout.run_folder(f"{METRIC}-{TASK}", args.seed, args.debug)
    balance = "balanced" if args.balanced else "unbalanced"
    run_name = f"{METRIC}_{encoder.short_name}_{args.dataset_name}_{balance}_{TASK}"
    tfidf = metrics.tfidf_baseline(splits.texts["train"])
    examples = len(splits.texts["train"])
    arguments = training.training_arguments(args, precision, run_folder / "checkpoints", METRIC, examples)
    with tracking.start(run_name, vars(args), args.output_dir) as tracker:
        trainer = training.make_trainer(model, tokenizer, splits, arguments, args, [tracking.Curves(tracker)])
        trainer.train()

        results, predictions = {}, {}
        for split in ("validation", "test"):  # the test split for the first and only time
            texts = splits.texts[split]
            probabilities = metrics.probabilities(training.predict(trainer, splits.tokenized[split]))
            results[split] = metrics.classification(texts["label"], probabilities.argmax(axis=1), splits.label_names)
            predictions[split] = report.predictions_frame(texts, probabilities, splits.label_names)
        label_counts, test = splits.settings["label_counts"], splits.texts["test"]
        results["baselines"] = metrics.emotion_baselines(tfidf, label_counts, test, splits.label_names)

        with files.staged(run_folder) as folder:
            model.save_pretrained(folder)
            tokenizer.model_max_length = splits.settings["max_length"]  # it cuts texts where the training did
            tokenizer.save_pretrained(folder)
            report.write_results(folder, results, predictions, splits.label_names)
            files.write_json(folder / "run.json", report.run_record(args, encoder, splits, trainer, tracker.describe()))
            card = report.model_card(args, encoder, splits, results)
            (folder / "README.md").write_text(card, encoding="utf-8")
        tracking.log_results(tracker, results, predictions["test"], splits.label_names)
    shutil.rmtree(run_folder / "checkpoints")

    print(report.results_table(f"{args.dataset_name} ({balance}), {args.model_name}", results))
    print(f"Confusion matrix: {run_folder / 'confusion_matrix_test.png'}")
    print(f"Run folder: {run_folder}")
    print(tracker.how_to_look())


if __name__ == "__main__":
    errors.run(main)

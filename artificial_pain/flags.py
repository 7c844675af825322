"""The flags that the scripts share, with the defaults that a script gives."""

import argparse
import sys
from collections.abc import Sequence

from artificial_pain import cli, encoders, storage
from artificial_pain.data import examples
from artificial_pain.data.examples import LABEL_COLUMNS
from artificial_pain.errors import logger, redact

REGRESSORS = ("torch", "per_emotion")  # how they start, and their outputs, as published
SPLITS = [examples.PUBLISHED["split"], "imhi"]


def _parser(description: str | None, task: str, datasets: Sequence[str]) -> argparse.ArgumentParser:
    """The flags of both scripts of a task."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0], allow_abbrev=False)
    group = parser.add_argument_group("what to work on")
    known = f"one of {', '.join(encoders.ENCODERS)}, or another name on the hub, or a folder with an encoder; "
    known += f"its model_type is {', '.join(encoders.FAMILIES)}"
    cli.add_flag(group, "--model_name", encoders.DEFAULT, known, type=encoders.checked_name, metavar="ENCODER")
    help = "the encoder's branch, tag or commit on the hub"
    cli.add_flag(group, "--revision", encoders.DEFAULT_REVISION, help, type=cli.not_empty, metavar="REVISION")
    cli.add_flag(group, "--dataset_name", "ESConv", "the corpus", choices=datasets)
    group.add_argument("--balanced", action="store_true", help="training examples in equal numbers for each label")
    help = f"the folder of splits and runs (default: the task's own folder, {task}/)"
    group.add_argument("--output_dir", type=cli.path, default=storage.TASK_FOLDERS[task], help=help)
    return parser


def _add_flags(group: argparse.ArgumentParser, flags: Sequence[tuple], defaults: dict) -> None:
    """Flags by name, with their type (bool: one without a value) or list of choices, and help.

    Choices have the first as their default, if there is none in `defaults`.
    """
    for name, kind, help in flags:
        if kind is bool:
            group.add_argument(f"--{name}", action="store_true", help=help)
        else:
            options = {"choices": kind, "type": type(kind[0])} if isinstance(kind, list) else {"type": kind}
            default = defaults[name] if name in defaults else kind[0]
            cli.add_flag(group, f"--{name}", default, help, **options)


def add_examples_flags(parser: argparse.ArgumentParser, datasets: Sequence[str], defaults: dict, seed: str) -> None:
    """The flags that choose the examples. `seed` is the name of the seed's flag."""
    group = parser.add_argument_group("which examples (the same for the dataloader and the model script)")
    help = "the corpus: a file, a URL, or the bundled synthetic sample (default: download the published file, once)"
    group.add_argument("--data_source", type=cli.data_source, metavar="FILE|URL|sample", help=help)
    parser.set_defaults(label_column=None, text_column=None, split=None)  # a script for ESConv alone has no such flags
    if "SAD" in datasets:
        help = f"SAD's column of labels, or that of a table of your own (default: {LABEL_COLUMNS[0]})"
        group.add_argument("--label_column", type=cli.not_empty, metavar="COLUMN", help=help)
        help = "the column of texts in a table of your own (default: sentence or text)"
        group.add_argument("--text_column", type=cli.not_empty, metavar="COLUMN", help=help)
        help = f"of SAD: drawn with --{seed}, or the published one of the IMHI benchmark (default: {SPLITS[0]})"
        group.add_argument("--split", choices=SPLITS, help=help)
    help = "of so many parts of the corpus, for --fold: each is the test split once"
    group.add_argument("--folds", type=cli.positive_integer, metavar="N", help=help)
    help = "which of the N parts, from 1, is the test split"
    group.add_argument("--fold", type=cli.positive_integer, metavar="K", help=help)
    group.add_argument("--deduplicate", action="store_true", help="keep one example of each text, before the split")
    help = f"with --balanced: training examples of each label (default: {defaults['samples_per_label']})"
    group.add_argument("--samples_per_label", type=cli.positive_integer, metavar="N", help=help)
    length = f"{defaults['max_length']}, or what the encoder takes where that is less"
    help = f"tokens of a text at most, the rest is cut off (default: {length})"
    group.add_argument("--max_length", type=cli.positive_integer, metavar="N", help=help)
    cli.add_flag(group, f"--{seed}", defaults["seed"], "draws the split and the balancing", type=cli.seed_integer)


def _parse_examples(parser: argparse.ArgumentParser, samples_per_label: int) -> argparse.Namespace:
    """Parse the flags. One that has no effect on the examples is None."""
    args = parser.parse_args()
    if args.samples_per_label and not args.balanced:
        logger.warning("--samples_per_label has no effect without --balanced")
    args.samples_per_label = (args.samples_per_label or samples_per_label) if args.balanced else None
    check_split(parser, args)
    if args.dataset_name != "SAD":
        return args
    args.label_column, args.split = args.label_column or LABEL_COLUMNS[0], args.split or SPLITS[0]
    if args.data_source in (None, examples.SAMPLE):
        if args.label_column not in LABEL_COLUMNS:
            parser.error(f"--label_column {args.label_column}: SAD has {', '.join(LABEL_COLUMNS)}")
        if args.text_column:
            parser.error("--text_column is for a table of your own: give it as --data_source")
    return args


def check_split(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse flags of examples that there are not: of a script, or of a study or a report, whatever the corpus is."""
    if args.dataset_name and "SAD" not in args.dataset_name:  # one name, or several
        for flag in [flag for flag in ("label_column", "text_column", "split") if getattr(args, flag)]:
            parser.error(f"--{flag} is for --dataset_name SAD alone")
    fold, folds = args.fold or 0, args.folds or 0
    if (fold or folds) and not (folds > 1 and 1 <= fold <= folds):
        parser.error("--fold K --folds N: give both, N from 2 and K from 1 to N")
    if args.split == "imhi":
        fits = {"label_column": [None, LABEL_COLUMNS[0]], "text_column": [None], "folds": [None]}
        for flag in [flag for flag, values in fits.items() if getattr(args, flag) not in values]:
            parser.error(f"--split imhi is of SAD's published file and its {LABEL_COLUMNS[0]}: leave out --{flag}")
        if args.data_source == examples.SAMPLE:
            parser.error("--split imhi is of SAD's published file, not of the sample")


def parse_dataloader_args(
    description: str | None, task: str, datasets: Sequence[str], samples_per_label: int, max_length: int, seed: int
) -> argparse.Namespace:
    """Parse the flags of a dataloader script, with its defaults."""
    parser = _parser(description, task, datasets)
    defaults = {"samples_per_label": samples_per_label, "max_length": max_length, "seed": seed}
    add_examples_flags(parser, datasets, defaults, "seed")
    return _parse_examples(parser, samples_per_label)


def parse_model_args(description: str | None, task: str, datasets: Sequence[str], defaults: dict) -> argparse.Namespace:
    """Parse the flags of a model script.

    defaults: those of `epochs`, `debug_epochs`, `patience`, `batch_size`, `learning_rate`, `head_learning_rate`,
    `warmup_steps`, `model_metric` and `seed`, and of `head_num` if the task has several heads.
    """
    parser = _parser(description, task, datasets)
    add_examples_flags(parser, datasets, examples.PUBLISHED, examples.SEED)
    group = parser.add_argument_group("how to train")
    length = group.add_mutually_exclusive_group()
    length.add_argument("--debug", action="store_true", help=f"train for {defaults['debug_epochs']} epochs only")
    cli.add_flag(length, "--epochs", defaults["epochs"], "epochs at most", type=cli.positive_integer)
    precision = "auto: mixed, bf16 where the GPU or the CPU has it, else fp16 on a GPU and fp32 on a CPU"
    metrics = ["accuracy", "loss", "macro_f1", *(["mae"] if task == "intensity" else [])]
    heads = "heads: 1 the emotion alone, 2 with initial intensity, 3 and final intensity, 4 and their change"
    flags = [
        ("patience", cli.positive_integer, "stop after so many epochs without a better validation metric"),
        ("batch_size", cli.positive_integer, "training examples of a step"),
        ("learning_rate", cli.positive_float, "of the encoder"),
        ("head_learning_rate", cli.positive_float, "of the heads"),
        ("warmup_steps", cli.not_negative_integer, "in which the learning rates rise from 0, to fall after"),
        ("seed", cli.seed_integer, "draws the heads' initial weights, the order of the data and dropout"),
        ("model_metric", metrics, "on validation: the best checkpoint by it is kept"),
        ("precision", ["auto", "fp32", "bf16", "fp16"], precision),
        ("restart", bool, "train anew; without it a stopped run goes on, and a finished one is evaluated only"),
        ("no_log_predictions", bool, "keep the table of test predictions, with texts, out of W&B"),
    ]
    flags += [("head_num", [1, 2, 3, 4], heads)] if "head_num" in defaults else []
    _add_flags(group, flags, defaults)
    help = "upload the run's folder to this model repository, made private, without the predictions and their texts"
    group.add_argument("--push_to_hub", type=cli.not_empty, metavar="NAME", help=help)
    _add_unpublished_flags(parser, task)
    args = _parse_examples(parser, examples.PUBLISHED["samples_per_label"])
    if args.model_metric == "mae" and args.head_num == 1:
        parser.error("--model_metric mae: with --head_num 1 no intensity is predicted: take another metric")
    if task == "intensity" and args.head_num == 1 and (args.regressor_init, args.regressor_outputs) != REGRESSORS:
        parser.error("--regressor_init, --regressor_outputs: with --head_num 1 there is no regressor: leave them out")
    # The URL only names the corpus here, and whoever writes the command down, as W&B does, gets it without secrets.
    args.data_source = args.data_source and redact(args.data_source)
    sys.argv[1:] = map(redact, sys.argv[1:])
    return args


def _add_unpublished_flags(parser: argparse.ArgumentParser, task: str) -> None:
    """The flags of a model script that are not of the published recipe."""
    group = parser.add_argument_group("what the published recipe does not have (its defaults leave it as it is)")
    flags = [
        ("pooling", ["cls", "mean"], "what the heads read: the first token's hidden state, or the mean of all"),
        ("schedule", ["linear", "cosine", "constant"], "how the learning rates fall after the warmup"),
        ("layer_decay", cli.factor, "each layer's learning rate, as a share of the one's above it"),
        ("label_smoothing", cli.fraction, "share of each label that is spread evenly over all"),
        ("class_weights", bool, "weigh each example's cross-entropy by how rare its label is in the training split"),
    ]
    if task == "intensity":
        initial = "a regressor's predictions before it learns: near 0 (torch), or each emotion's training mean"
        outputs = "the last weights of a regressor: separate ones for each emotion, or shared ones and a bias for each"
        flags += [("regressor_init", [REGRESSORS[0], "mean"], initial)]
        flags += [("regressor_outputs", [REGRESSORS[1], "shared"], outputs)]
    _add_flags(group, flags, {"layer_decay": 1.0, "label_smoothing": 0.0})

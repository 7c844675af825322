"""What a model script does: an encoder is fine-tuned on the dataloader's splits, and evaluated."""

import argparse
import functools
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from transformers import set_seed

from artificial_pain import cli, distributed, hub, storage
from artificial_pain.data import tokenization
from artificial_pain.encoders import Encoder
from artificial_pain.errors import Terminated, say
from artificial_pain.evaluation import baselines, tables
from artificial_pain.modeling.model import EmotionModel
from artificial_pain.runs import tracking
from artificial_pain.runs.record import run_record, write_evaluation, write_training
from artificial_pain.runs.run import begin, checkpoints_folder, find, load_model, replaced
from artificial_pain.training import evaluate, recipe


@contextmanager
def _telling_how_to_go_on() -> Iterator[None]:
    """Ctrl-C and SIGTERM carry the command that goes on."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        words = [cli.program("python"), *(word for word in sys.argv if word != "--restart")]
        again = shlex.join(words) if distributed.COUNT == 1 else "the same command again, without --restart"
        raise type(stop)(f"{str(stop) or 'stopped'}: to go on: {again}") from None


@_telling_how_to_go_on()
def fine_tune(
    args: argparse.Namespace, encoder: Encoder, task: str, kind: str, name: str, targets: Sequence[str]
) -> None:
    """Train a run, go on with it where it was stopped, or evaluate it where it is finished; print its results.

    In a job of several processes each does this; the first alone has to do with files and W&B.

    kind: what the run's folder is called, and name: the W&B run. targets: the intensities to predict beside the
    emotion.
    """
    distributed.start()
    precision = recipe.mixed_precision(args.precision)
    if args.push_to_hub:
        with distributed.telling_of_lost():
            distributed.of_first(lambda: hub.make_repository(args.push_to_hub))
    tokenizer = tokenization.load_tokenizer(encoder)
    layout = storage.Layout(args.output_dir, args.dataset_name, encoder.short_name, args.balanced)
    with distributed.telling_of_lost(), distributed.in_turn():
        splits = tokenization.load(layout, encoder, tokenizer, functools.partial(cli.dataloader_command, task, args))
    fitted = baselines.fit(splits.texts["train"], targets)
    run_folder = layout.run_folder(kind, args.seed, args.debug)
    record = run_record(args, encoder, splits, precision)

    with (
        storage.exclusive_lock(run_folder, wait=False) if distributed.IS_FIRST else nullcontext(),
        distributed.telling_of_lost(),
        recipe.out_of_memory_as_user_error(args, splits.settings["max_length"]),
    ):
        stopped, finished = distributed.of_first(lambda: find(run_folder, record, args.restart))
        set_seed(args.seed)
        if finished:
            say(f"{run_folder}: the run is finished, and is evaluated; --restart trains it anew")
            model = load_model(run_folder, finished)
        else:
            model = EmotionModel.from_encoder(encoder, splits.label_names, targets, args.pooling)
        trainer = recipe.make_trainer(model, tokenizer, splits, args, precision, checkpoints_folder(run_folder))
        if finished:
            results, predictions = evaluate.evaluate(trainer, splits, fitted)
            if distributed.IS_FIRST:
                with replaced(run_folder) as folder:
                    write_evaluation(folder, results, predictions, encoder, splits, finished)
            wandb_run = finished["wandb"]
        else:
            config = {**vars(args), "git": record["git"]}
            with tracking.start(name, config, args.output_dir, stopped and stopped["wandb"]) as tracker:
                record |= {"started": (stopped or record)["started"], "wandb": tracker.describe()}
                if distributed.IS_FIRST:
                    begin(run_folder, record)
                trainer.add_callback(tracking.Curves(tracker))
                recipe.train(trainer)
                results, predictions = evaluate.evaluate(trainer, splits, fitted)
                if distributed.IS_FIRST:
                    with replaced(run_folder) as folder:
                        write_training(folder, trainer, splits, record)
                        write_evaluation(folder, results, predictions, encoder, splits, record)
                    texts = not args.no_log_predictions
                    tracking.log_results(tracker, results, predictions["test"], splits.label_names, run_folder, texts)
            wandb_run = tracker.describe()

    if distributed.IS_FIRST:
        _print_results(args, results, run_folder, wandb_run)


def _print_results(args: argparse.Namespace, results: dict, run_folder: Path, wandb_run: dict) -> None:
    """What stands on stdout at the end of a run; with --push_to_hub, after it is uploaded."""
    print(f"{args.dataset_name} ({'balanced' if args.balanced else 'unbalanced'}), {args.model_name}")
    for metrics in (tables.PRIMARY_METRICS, tables.SECONDARY_METRICS):
        print(tables.results_table({"fine-tuned": results}, metrics))
    print(f"Figures: {', '.join(map(str, sorted(run_folder.glob('*_test.png'))))}")
    print(f"Run folder: {run_folder}")
    print(tracking.how_to_look(wandb_run))
    if args.push_to_hub:
        print(f"Hub: {hub.upload(run_folder, args.push_to_hub)}")

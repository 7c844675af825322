"""A run that is open: a model script trains, evaluates and saves in it."""

import argparse
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from safetensors.torch import load_file

from artificial_pain import distributed, hub, storage
from artificial_pain.data import examples
from artificial_pain.data.tokenization import Splits
from artificial_pain.encoders import WEIGHTS, Encoder
from artificial_pain.errors import Terminated, logger
from artificial_pain.evaluation import tables
from artificial_pain.evaluation.calibration import Calibration
from artificial_pain.modeling.model import EmotionConfig
from artificial_pain.runs import status, tracking
from artificial_pain.runs.record import start_record, write_evaluation, write_training
from artificial_pain.training import recipe
from artificial_pain.training.trainer import EmotionTrainer


@contextmanager
def open_run(
    args: argparse.Namespace, layout: storage.Layout, encoder: Encoder, splits: Splits, kind: str, name: str
) -> Iterator["Run"]:
    """Open the run that the flags of a model script ask for: a new, an interrupted or a finished one.

    kind: the name of the run's folder; name: of the W&B run. Until the block ends, the folder is locked and the W&B run
    is open, which starts with the first point of the learning curves. In a job of several processes each calls this,
    and only the main process has to do with files and W&B.

    Raises UserError where the splits are of other examples, a run of other settings is in the folder, another process
    is at work there, or the memory does not suffice. Ctrl-C and SIGTERM end the block with the command that goes on.
    """
    examples.require_same(layout.corpus, splits.settings, examples.asked(args, splits.settings))
    precision = recipe.resolve_precision(args.precision)
    folder = layout.run_folder(kind, args.seed, args.debug)
    record = start_record(args, encoder, splits, precision)
    with (
        _stop_with_command(),
        recipe.out_of_memory_as_user_error(args.batch_size, splits.settings["max_length"], args.precision),
        storage.exclusive_lock(folder, wait=False) if distributed.is_main_process() else nullcontext(),
    ):
        if args.push_to_hub:
            distributed.broadcast_from_main(lambda: hub.make_repository(args.push_to_hub))
        earlier = distributed.broadcast_from_main(lambda: status.prepare(folder, record, args.restart))
        if status.is_finished(earlier):
            logger.info(f"{folder}: {status.EVALUATED_ONLY}; --restart trains it anew")
            yield Run(folder, earlier, precision, None, encoder, splits)
            return
        init = tracking.init_arguments(name, record, splits)
        # Written again when the W&B run has started: a run that goes on has to know it.
        write_record = partial(status.start, folder, record)
        with tracking.Tracker(init, args.output_dir, earlier.get("wandb"), on_start=write_record) as tracker:
            # The tracker changes its description where W&B starts or fails, and the record with it.
            record |= {"started": (earlier or record)["started"], "wandb": tracker.description}
            yield Run(folder, record, precision, tracker, encoder, splits)


@contextmanager
def _stop_with_command() -> Iterator[None]:
    """Add to the message of Ctrl-C and SIGTERM the command that goes on."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        words = [storage.program("python"), *(word for word in sys.argv if word != "--restart")]
        again = "the same command again, without --restart" if distributed.num_processes() > 1 else shlex.join(words)
        raise type(stop)(f"{str(stop) or 'stopped'}: to go on: {again}") from None


@dataclass
class Run:
    """A run that is open. In a job of several processes each calls the methods; the main process alone writes."""

    folder: Path
    record: dict  # run.json; of a finished run, also how its training went
    precision: str  # "fp32", "bf16" or "fp16"
    tracker: tracking.Tracker | None  # of a finished run None: nothing is logged
    encoder: Encoder
    splits: Splits

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints while the run is not finished."""
        return status.checkpoints_folder(self.folder)

    def train(self, trainer: EmotionTrainer) -> None:
        """Give the trainer's model its trained weights: the training goes on from the last checkpoint, if there is one.

        The weights and the calibration of a finished run are loaded. Raises UserError where they are damaged, or where
        the training cannot go on.
        """
        if status.is_finished(self.record):
            status.require_valid(self.folder, self.record)
            trainer.model.load_state_dict(load_file(self.folder / WEIGHTS))
            # A run from before models were calibrated stays as it is.
            calibration = EmotionConfig.from_pretrained(self.folder).calibration
            trainer.model.config.calibration = calibration or asdict(Calibration())
            return
        if distributed.is_main_process():
            status.start(self.folder, self.record)
            self.tracker.init["config"]["parameters"] = trainer.model.num_parameters()
        trainer.add_callback(tracking.Curves(self.tracker))
        try:
            recipe.train(trainer)
        except Exception:
            self.tracker.start()  # a training that fails before its first point is a failed run in W&B too
            raise

    def save(self, trainer: EmotionTrainer, results: dict, predictions: dict[str, pd.DataFrame]) -> None:
        """Write the run's files, all or none of them, log the results to W&B, and remove the checkpoints.

        Of a finished run, only the files of the evaluation are written again. Raises UserError where that fails.
        """
        if not distributed.is_main_process():
            return
        status.note_reading(self.folder, self.record)
        if not status.is_finished(self.record):
            self.tracker.start()  # where no step was trained: the training had been stopped after its last checkpoint
        with storage.atomic_update(self.folder) as folder:
            if not status.is_finished(self.record):
                write_training(folder, trainer, self.splits, self.record)
            write_evaluation(folder, results, predictions, self.encoder, self.splits, self.record)
        storage.remove(self.checkpoints)  # the Trainer has made it, for a finished run too
        if not status.is_finished(self.record):
            with_texts = not self.record["arguments"]["no_log_predictions"]
            tracking.log_results(self.tracker, results, trainer.state, predictions["test"], self.folder, with_texts)
            self.tracker.finish()

    def report(self, args: argparse.Namespace, results: dict) -> None:
        """Print the results beside the baselines, and where to look; with --push_to_hub, upload the folder."""
        if not distributed.is_main_process():
            return
        print(f"{self.splits.settings['corpus']} ({'balanced' if args.balanced else 'unbalanced'}), {args.model_name}")
        for metrics in (tables.PRIMARY_METRICS, tables.SECONDARY_METRICS):
            print(tables.results_table({"fine-tuned": results}, metrics))
        print(f"Figures: {', '.join(map(str, sorted(self.folder.glob('*_test.png'))))}")
        print(f"Run folder: {self.folder}")
        print(tracking.how_to_look(self.record["wandb"]))
        if args.push_to_hub:
            print(f"Hub: {hub.upload(self.folder, args.push_to_hub)}")

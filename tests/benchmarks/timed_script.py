"""Run a model script, and write how many seconds its training steps took.

python tests/benchmarks/timed_script.py SECONDS.txt SCRIPT FLAGS
"""

import gc
import runpy
import sys
import time
from pathlib import Path

from artificial_pain import cli


def main() -> None:
    written, *sys.argv = sys.argv[1:]
    gc.set_threshold(*cli.GARBAGE_COLLECTION)  # before the imports, as the script itself
    from transformers import TrainerCallback

    from artificial_pain.training import recipe

    class Stopwatch(TrainerCallback):
        """The seconds of all steps."""

        steps = 0.0

        def on_step_begin(self, args, state, control, **kwargs):
            self.began = time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):
            self.steps += time.perf_counter() - self.began

    stopwatch, make_trainer = Stopwatch(), recipe.make_trainer

    def make_timed_trainer(*args: object, **kwargs: object) -> object:
        trainer = make_trainer(*args, **kwargs)
        trainer.add_callback(stopwatch)
        return trainer

    recipe.make_trainer = make_timed_trainer
    runpy.run_path(sys.argv[0], run_name="__main__")
    Path(written).write_text(str(stopwatch.steps))


if __name__ == "__main__":
    main()

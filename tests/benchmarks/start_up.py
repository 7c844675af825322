"""Run a script up to the moment when its work begins, and print the seconds of CPU so far and the modules.

python tests/benchmarks/start_up.py SCRIPT FLAGS

The work of a model script begins with its first training step, that of a dataloader with its first bar, and a module
of the package (its path) is run to its end. The output is JSON on the last line.
"""

import json
import os
import runpy
import sys
import time


def stop(*_: object, **__: object) -> None:
    """Print what was measured, and end the process."""
    print(json.dumps({"seconds": time.process_time(), "modules": sorted(sys.modules)}), flush=True)
    os._exit(0)


def stop_at_first_step() -> None:
    from transformers import TrainerCallback

    from artificial_pain.training import recipe

    class Stop(TrainerCallback):
        on_step_begin = stop

    make_trainer = recipe.make_trainer

    def make_stopping_trainer(*args: object, **kwargs: object) -> object:
        trainer = make_trainer(*args, **kwargs)
        trainer.add_callback(Stop())
        return trainer

    recipe.make_trainer = make_stopping_trainer


def stop_at_first_bar() -> None:
    from artificial_pain.data import tokenization

    tokenization.tqdm = stop


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    if sys.argv[0].endswith("-model.py"):
        stop_at_first_step()
    elif sys.argv[0].endswith("-dataloader.py"):
        stop_at_first_bar()
    runpy.run_path(sys.argv[0], run_name="__main__")
    stop()

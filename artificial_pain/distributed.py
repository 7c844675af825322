"""The processes of one job: a thin layer over accelerate's PartialState.

torchrun and accelerate start the processes, and the Trainer does their common work. Only the main process writes
files, logs to W&B and prints. Without a launcher there is one process, and nothing here has an effect.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from artificial_pain.errors import UserError, logger

if TYPE_CHECKING:
    import torch
    from accelerate import PartialState

# Set by torchrun and accelerate. Schedulers leave a WORLD_SIZE alone in the environment, which starts no job.
LAUNCHER_VARIABLES = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
# Left by MPI, by the scheduler of a node, and by accelerate: it would wait for other processes, or change the recipe.
LEFT_BY_OTHERS = ("PMI_", "OMPI_", "MV2_", "ACCELERATE_", "FSDP_", "TORCHELASTIC_")


def num_processes() -> int:
    """The processes of the job: 1 where no launcher has started this process."""
    return int(os.environ["WORLD_SIZE"]) if all(map(os.environ.get, LAUNCHER_VARIABLES)) else 1


def is_main_process() -> bool:
    """Whether this is the process that writes files, logs and prints. The launcher's environment tells."""
    return num_processes() == 1 or os.environ["RANK"] == "0"


# Errors are an exception: each process says why it ends.
logger.addFilter(lambda record: record.levelno >= logging.ERROR or is_main_process())


def device() -> "torch.device":
    """The device on which this process computes: the accelerator that the machine has, else the CPU.

    PyTorch's CUDA build, which most people have, names CUDA also where there is no driver: it has to be asked whether
    the accelerator is available.
    """
    import torch

    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def start() -> None:
    """Join the other processes of the job. A single process uses one GPU: the Trainer would split a batch over more."""
    if num_processes() == 1:
        cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")  # of `accelerate launch --cpu`
        os.environ["CUDA_VISIBLE_DEVICES"] = "" if cpu else os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        for name in [*os.environ]:
            if name in LAUNCHER_VARIABLES or name.startswith(LEFT_BY_OTHERS):
                del os.environ[name]
        return
    _state(cpu=device().type == "cpu")


def _state(**options: bool) -> "PartialState":
    from accelerate import PartialState  # here: a single process does not wait for this import

    return PartialState(**options)


def broadcast_from_main(call: Callable[[], Any]) -> Any:
    """Call it in the main process alone, and return the result in every process."""
    result = [call() if is_main_process() else None]
    if num_processes() > 1:
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(result)
    return result[0]


def main_process_first() -> AbstractContextManager:
    """The block runs in the main process, and then in the others."""
    return nullcontext() if num_processes() == 1 else _state().main_process_first()


def wait_for_everyone() -> None:
    """Go on when every process has come here."""
    if num_processes() > 1:
        _state().wait_for_everyone()


def all_reduce_max(number: int) -> int:
    """The largest number that any process gives."""
    if num_processes() == 1:
        return number
    import torch

    numbers = torch.tensor(number, device=_state().device)
    torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX)
    return int(numbers)


@contextmanager
def lost_process_as_user_error() -> Iterator[None]:
    """The death of another process of the job becomes a UserError."""
    try:
        yield
    except RuntimeError as error:
        if num_processes() == 1:
            raise
        from torch.distributed import DistError

        if not isinstance(error, DistError) and "gloo" not in str(error):
            raise
        print(file=sys.stderr)  # the progress bar of a process that was killed has left its line open
        ended = "another process of the job has ended, and with it the job"
        raise UserError(f"{ended}: the same command goes on from the last checkpoint") from error

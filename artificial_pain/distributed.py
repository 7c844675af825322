"""The processes of one job: torchrun and accelerate start them, and the Trainer does their common work.

The first one alone writes files, logs to W&B and speaks. Nothing here is done in a job of one process.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# What torchrun and accelerate say; a WORLD_SIZE alone, as schedulers leave it in the environment, starts no job.
IS_JOB = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()
RANK, COUNT = (int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if IS_JOB else (0, 1)
IS_FIRST = RANK == 0
STORE_TIMEOUT = timedelta(seconds=2)


def device() -> "torch.device":
    """The device on which this process computes: the accelerator that the machine has, else the CPU.

    PyTorch's CUDA build, which most people have, names CUDA also where there is no driver: it has to be asked whether
    the accelerator is available.
    """
    import torch

    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def start() -> None:
    """Meet the other processes. One alone sees one GPU: the Trainer would multiply the batch by the number of more."""
    if COUNT == 1:
        os.environ.pop("WORLD_SIZE", None)  # else accelerate would wait for the others
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        return
    from accelerate import PartialState

    PartialState(cpu=device().type == "cpu")


def of_first(call: Callable[[], Any]) -> Any:
    """What the call gives the first process, in all of them; no other process calls it."""
    result = [call() if IS_FIRST else None]
    if COUNT > 1:
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(result)
    return result[0]


@contextmanager
def in_turn() -> Iterator[None]:
    """The others do what the block does after the first one has."""
    if not IS_FIRST:
        wait_for_all()
    yield
    if IS_FIRST:
        wait_for_all()


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if COUNT > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


def highest(number: int) -> int:
    """The highest number that any process gives."""
    if COUNT == 1:
        return number
    import torch
    from accelerate import PartialState

    numbers = torch.tensor(number, device=PartialState().device)
    torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX)
    return int(numbers)


def is_first_to_end() -> bool:
    """Whether no other process has asked this before: of a job that fails, one process tells why."""
    if COUNT == 1:
        return True
    from torch.distributed import DistError, TCPStore

    try:
        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), timeout=STORE_TIMEOUT)
        return store.add(f"artificial_pain/ended/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", 1) == 1
    except (DistError, RuntimeError):  # whoever kept the store is gone
        return True


def is_loss_of_a_process(error: RuntimeError) -> bool:
    """Whether an error says that another process of the job cannot be reached."""
    if COUNT == 1:
        return False
    from torch.distributed import DistError

    return isinstance(error, DistError) or "gloo" in str(error)


@contextmanager
def telling_of_lost() -> Iterator[None]:
    """That another process of the job has died becomes a UserError."""
    from artificial_pain.errors import UserError

    try:
        yield
    except RuntimeError as error:
        if not is_loss_of_a_process(error):
            raise
        raise UserError(
            "another process of the job has ended, and with it the job: the same command goes on from the last "
            "checkpoint"
        ) from error

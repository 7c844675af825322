"""Read a run's .wandb file back: what W&B would show of it."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from wandb.proto import wandb_internal_pb2

FILE_HEADER = 7  # bytes
BLOCK = 32 * 1024  # bytes of LevelDB's log format, in which the records lie
CHUNK = struct.Struct("<IHB")  # checksum, length, kind
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4  # kinds of a chunk


@dataclass
class WandbFile:
    """The content of a file: settings of the run, its summary at the end, curves by step, and how they are drawn."""

    run: object = None  # name, group, job type, tags
    config: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    metrics: dict = field(default_factory=dict)  # by name or pattern
    exit_code: int | None = None


def read(path: Path) -> WandbFile:
    """All records of a run's file."""
    content = WandbFile()
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            content.run = record.run
            content.config |= _values(record.run.config.update)
        elif kind == "config":
            content.config |= _values(record.config.update)
        elif kind == "summary":
            content.summary |= _values(record.summary.update)
        elif kind == "history":
            content.history.append(_values(record.history.item))
        elif kind == "exit":
            content.exit_code = record.exit.exit_code
        elif kind == "metric":
            content.metrics[record.metric.name or record.metric.glob_name] = record.metric
    return content


def _values(items: object) -> dict:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[bytes]:
    position, parts = FILE_HEADER, []
    while position + CHUNK.size <= len(data):
        left = BLOCK - position % BLOCK
        if left < CHUNK.size:  # a block's end that holds no chunk
            position += left
            continue
        _, length, kind = CHUNK.unpack_from(data, position)
        position += CHUNK.size
        parts.append(data[position : position + length])
        position += length
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []

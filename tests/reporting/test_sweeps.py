"""The W&B sweeps: valid by W&B's own schema, and equal to the published grid."""

import importlib.util
import itertools
import json
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import REPOSITORY

from artificial_pain import study
from artificial_pain.reporting import grid


@pytest.mark.parametrize("task", ["classification", "intensity"])
def test_sweep_is_published_grid_of_its_task(task, monkeypatch):
    sweep = yaml.safe_load((REPOSITORY / task / "sweep.yaml").read_text(encoding="utf-8"))
    folder = Path(importlib.util.find_spec("sweeps").submodule_search_locations[0])
    jsonschema.Draft7Validator(json.loads((folder / "config/schema.json").read_text())).validate(sweep)
    assert sweep["metric"] == {"name": "validation/macro_f1", "goal": "maximize"}, "test is not selected on"

    values = {name: spec.get("values", [spec.get("value")]) for name, spec in sweep["parameters"].items()}
    cells = []
    for combination in itertools.product(*values.values()):  # as an agent starts it
        words = [f"--{name}={value}" for name, value in zip(values, combination, strict=True)]
        assert sweep["command"][-1] == "${args}"
        monkeypatch.setattr(sys, "argv", ["study", *words])
        args = study.parse_args()
        cells += [(cell, seed) for cell in args.cells for seed in args.seeds]
    published = [cell for cell in grid.grid(grid.PUBLISHED_ENCODERS) if cell.task == task]
    assert sorted(map(repr, cells)) == sorted(repr((cell, seed)) for cell in published for seed in range(42, 47))


def test_schema_refuses_invalid_sweeps():
    folder = Path(importlib.util.find_spec("sweeps").submodule_search_locations[0])
    validator = jsonschema.Draft7Validator(json.loads((folder / "config/schema.json").read_text()))
    sweep = yaml.safe_load((REPOSITORY / "intensity" / "sweep.yaml").read_text(encoding="utf-8"))
    for part, wrong in (("method", "grids"), ("metric", {"goal": "up"}), ("parameters", {"task": "intensity"})):
        assert not validator.is_valid({**sweep, part: wrong})

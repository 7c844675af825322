"""The axis of an intensity is found where it was planted, and its heads lose that intensity alone without it."""

import numpy as np
import pandas as pd
import pytest
import torch
from models import make

from artificial_pain.analysis import axis

SIZES = {"train": 400, "validation": 100, "test": 200}


@pytest.fixture
def planted() -> tuple[dict, dict, np.ndarray]:
    """States in which a direction tells the intensity, three others the label, and loud ones nothing."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    states, texts = {}, {}
    for split, n in SIZES.items():
        labels, intensity = rng.integers(3, size=n), rng.integers(1, 6, n).astype(float)
        parts = [2 * np.eye(3)[labels], intensity[:, None], 0.2 * rng.normal(size=(n, 2)), 2 * rng.normal(size=(n, 10))]
        states[split] = np.column_stack(parts) @ basis + 5
        texts[split] = pd.DataFrame({"label": labels, "initial_intensity": intensity})
        texts[split].loc[rng.random(n) < 0.2, "initial_intensity"] = np.nan
    return states, texts, basis[3]


def test_axis_is_the_planted_direction(planted):
    states, texts, direction = planted
    found = axis.fit(states, texts, "initial_intensity")
    assert np.linalg.norm(found) == pytest.approx(1) and axis.angles(found, direction) < 16
    known = texts["test"]["initial_intensity"].notna()
    assert np.corrcoef((states["test"] @ found)[known], texts["test"]["initial_intensity"][known])[0, 1] > 0.85


def test_angles():
    directions = np.array([[1.0, 0], [0, 1], [-1, 0], [np.sqrt(0.5), np.sqrt(0.5)]])
    assert axis.angles(directions, np.array([1.0, 0])) == pytest.approx([0, 90, 180, 45])


def test_emotion_directions_point_to_the_means():
    states, labels = np.array([[0.0, 0], [2, 0], [1, 3], [1, 5]]), np.array([0, 0, 1, 1])
    assert axis.emotion_directions(states, labels, 2) == pytest.approx(np.array([[0, -1], [0, 1]]))


def test_projection_leaves_the_rest():
    rng = np.random.default_rng(0)
    states, direction = rng.normal(size=(20, 5)), np.array([0, 0.6, 0.8, 0, 0])
    centre = states.mean(axis=0)
    left = axis.project_out(states, direction, centre)
    assert left @ direction == pytest.approx(np.full(20, centre @ direction))
    across = np.array([0, -0.8, 0.6, 0, 0])
    assert left @ across == pytest.approx(states @ across) and left[:, 0] == pytest.approx(states[:, 0])


def test_random_directions_lie_where_the_states_vary(planted):
    """The loud directions, 10 of 16, have nearly all of them"""
    states, _, direction = planted
    found = axis.random_directions(states["train"])
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(found)))
    assert (found @ direction).std() < 0.25 and len(found) == axis.RANDOM_DIRECTIONS


def test_heads_lose_the_intensity_without_its_axis(planted, encoder):
    """Heads that read the planted directions: the label stays, the intensity goes, and random directions take little"""
    states, texts, direction = planted
    model = make(encoder, ["initial_intensity"])
    basis = np.linalg.lstsq(states["train"] - 5, np.eye(3)[texts["train"]["label"]], rcond=None)[0]
    with torch.no_grad():
        model.emotion_head = torch.nn.Linear(16, 3)
        model.emotion_head.weight.copy_(torch.from_numpy(basis.T))
        model.emotion_head.bias.copy_(torch.from_numpy(-5 * basis.sum(axis=0)))
        model.regressors["initial_intensity"] = torch.nn.Linear(16, 3)
        model.regressors["initial_intensity"].weight.copy_(torch.from_numpy(np.tile(direction, (3, 1))))
    scores = axis.ablate(model, states, texts["test"], direction)
    assert len(scores) == 2 + axis.RANDOM_DIRECTIONS
    assert scores["label_name"]["whole"] > 0.95 and scores["initial_intensity"]["whole"] > 0.99
    assert scores["label_name"]["axis"] > 0.95 and abs(scores["initial_intensity"]["axis"]) < 0.2
    assert scores["initial_intensity"].iloc[2:].median() > 0.95

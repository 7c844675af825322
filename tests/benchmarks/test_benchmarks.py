"""What the benchmark compares: that both recipes learn the same, and that a corpus that is repeated is one."""

import growth
import learning
import pandas as pd
import pytest
from conftest import copy_calm_splits
from recipes import Task

from artificial_pain.data import sources
from artificial_pain.data.sad import read_sad

Losses = tuple[list[float], list[float]]  # of each step, and of the validation after each epoch


def losses(task: Task) -> tuple[Losses, Losses, Losses]:
    return learning.ours(task), learning.published(task), learning.published(task, padded=True)


def test_without_dropout_both_recipes_learn_the_same(encoder, calm, sample_splits, tmp_path):
    """The loss of every step and of the validation, in fp32; of the published recipe with its padding, and without"""
    rates = {"learning_rate": 1e-3, "head_learning_rate": 3e-3}
    root = copy_calm_splits(sample_splits, tmp_path / "root", encoder, calm)
    task = Task(str(calm), "SAD", "sample", root, epochs=2, batch_size=16, precision="fp32", **rates)
    ours, published, padded = losses(task)
    assert len(ours[0]) == 2 * 18 and ours[1][0] > ours[1][1]
    for theirs in (published, padded):
        assert ours[0] == pytest.approx(theirs[0], abs=1e-4) and ours[1] == pytest.approx(theirs[1], abs=1e-4)


def test_a_corpus_that_is_repeated_has_its_rows_again(tmp_path):
    once, path = sources.SAMPLE["SAD"], tmp_path / "SAD.xlsx"
    assert growth.repeat(once, path, times=3) == 1200
    rows, repeated = (read_sad(file.read_bytes(), str(file), "original_label") for file in (once, path))
    pd.testing.assert_frame_equal(repeated, pd.concat([rows] * 3).set_axis(repeated.index))

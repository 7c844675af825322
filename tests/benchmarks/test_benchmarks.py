"""What the benchmark compares: that recipes learn the same, that a repeated corpus is still read, and its figures."""

import json
import sys

import growth
import learning
import numpy as np
import pandas as pd
import plain_trainer
import pytest
import size_and_power
import torch
import training_speed
import whole
from conftest import copy_calm_splits
from recipes import Task
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from trainers import make_model
from turns import Stopwatch, Turn

from artificial_pain.data import sources
from artificial_pain.data.sad import read_sad
from artificial_pain.encoders import Encoder
from artificial_pain.modeling import cpu

Losses = tuple[list[float], list[float]]  # of each step, and of the validation after each epoch


def losses(task: Task) -> tuple[Losses, Losses, Losses]:
    return learning.ours(task), learning.published(task), learning.published(task, padding="max_length")


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


def test_plain_trainer_prints_the_metrics_of_the_test_split(encoder, sample_splits, tmp_path, monkeypatch, capsys):
    layout = Task(str(encoder), "SAD", "sample", sample_splits).layout(Encoder(str(encoder), encoder, None))
    words = [encoder, layout.corpus / layout.tokenized_splits, tmp_path, 64, 1]
    monkeypatch.setattr(sys, "argv", ["plain_trainer.py", *map(str, words)])
    plain_trainer.main()
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["test_loss"] > 0
    assert 0 <= printed["test_macro_f1"] <= 1 and 0 < printed["test_accuracy"] <= 1
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-5"]


class Reader(nn.Module):
    def forward(self, attention_mask: torch.Tensor) -> None:
        """A model that reads, and does nothing else."""


def test_stopwatch_counts_the_texts_of_the_training():
    model = Reader()
    stopwatch = Stopwatch(model)
    model(attention_mask=torch.ones(2, 9))
    stopwatch.start()
    model(attention_mask=torch.tensor([[1, 1, 1], [1, 0, 0]]))
    model(attention_mask=torch.tensor([[1, 1]]))
    model.eval()(attention_mask=torch.ones(2, 9))
    turn = stopwatch.stop()
    assert turn.lengths.tolist() == [3, 1, 2] and turn.padded_tokens == 8
    assert training_speed.padding([turn]) == pytest.approx(0.25)


def test_rates_are_those_of_all_turns():
    """Ours reads 4 and 4 tokens in 2 and 2 seconds, theirs 4 and 2 in 4 and 4"""
    ours = [Turn(2.0, 1.0, np.array([3, 1]), 6), Turn(2.0, 1.0, np.array([4]), 4)]
    theirs = [Turn(4.0, 1.0, np.array([4]), 4), Turn(4.0, 1.0, np.array([1, 1]), 2)]
    assert training_speed.rate(ours, np.sum) == 2.0 and training_speed.rate(ours, len) == 0.75
    assert training_speed.ratio(ours, theirs) == "2.67 (2.00 to 4.00)"


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_flops_are_those_that_torch_counts(encoder, pooling):
    """Of two texts of seven tokens, with the attention of the training on a CPU"""
    model = make_model(Encoder("tiny", encoder, None), ["anger", "fear"], pooling=pooling)
    cpu.use_fast_dropout(model)
    ids = torch.full((2, 7), 5)
    with FlopCounterMode(display=False) as counter:
        model.encoder.train()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.sum().backward()
    assert training_speed.training_flops(model, np.array([7, 7])) == counter.get_total_flops()


@pytest.mark.parametrize(("examples", "batch_size", "steps"), [(4795, 6, 13), (910, 32, 2), (10, 6, 1)])
def test_turns_span_a_group_of_batches(examples, batch_size, steps):
    assert training_speed.steps_of_a_turn(examples, batch_size) == steps


def test_table_of_whole_processes_has_medians_and_the_spread_of_ratios():
    same = {"corpus": "SAD", "batch": 6, "peak": 1.0, "accuracy": 0.5, "macro_f1": 0.25}
    rows = [
        {**same, "turn": turn, "recipe": recipe, "seconds": seconds, "outside": outside}
        for recipe, turns, outside in (("plain", (20, 30, 80), np.nan), ("ours", (10, 20, 20), 8.0))
        for turn, seconds in enumerate(turns)
    ]
    (row,) = whole.table(pd.DataFrame(rows)).to_dict("records")
    assert (row["plain, s"], row["ours, s"], row["ours outside its steps, s"]) == ("30.0", "20.0", "8.0")
    assert row["times as fast as plain (lowest to highest run)"] == "2.00 (1.50 to 4.00)"


def test_simulated_settings_have_the_true_difference_that_is_asked_for(monkeypatch):
    """None where both are the same, and the intervals of a few simulations nearly always have it"""
    monkeypatch.setattr(size_and_power, "POPULATION", 20_000)
    monkeypatch.setattr("artificial_pain.evaluation.bootstrap.PERMUTATIONS", 200)
    same, better = (size_and_power.Case("any", size_and_power.ESCONV, 60, 3, 0.03, difference=d) for d in (0, 0.1))
    row = dict(zip(size_and_power.COLUMNS, size_and_power.simulate(same, 10), strict=True))
    assert abs(float(row["true difference"])) < 0.01 and float(row["interval of the difference"].split()[0]) >= 80
    row = dict(zip(size_and_power.COLUMNS, size_and_power.simulate(better, 10), strict=True))
    assert 0.05 < float(row["true difference"]) < 0.15 and float(row["detectable, median"]) > 0.05

"""The model card as text, and its front matter as the hub reads it."""

import functools
import re
from pathlib import Path
from types import SimpleNamespace

import jinja2
import numpy as np
import pytest
from huggingface_hub import ModelCard

from artificial_pain.encoders import Encoder
from artificial_pain.evaluation import classification, regression
from artificial_pain.runs import model_card

MINILM, MENTALBERT = "sentence-transformers/all-MiniLM-L6-v2", "mental/mental-bert-base-uncased"
LABELS = ["anger", "{{ seed }} & <b>"]  # a label is text, whatever is in it


@pytest.fixture(autouse=True)
def missing_values_raise(monkeypatch):
    """By default, Jinja writes nothing for a value that the template asks for and does not get."""
    monkeypatch.setattr(jinja2, "Template", functools.partial(jinja2.Template, undefined=jinja2.StrictUndefined))


def make_card(
    targets: tuple[str, ...] = (),
    dataset_name: str = "ESConv",
    encoder: str = MINILM,
    source: str | None = "sample",
    corpus: str | None = None,
    label_column: str | None = None,
    balanced: bool = False,
) -> str:
    labels, predictions = np.array([0, 0, 1, 1] * 5), np.array([0, 0, 1, 0] * 5)
    test = classification.classification(labels, predictions, LABELS, {"": np.full((20, 2), 0.5)}, intervals=True)
    if targets:
        annotated = np.tile(np.arange(20.0)[:, None] % 5 + 1, len(targets))
        read = {"predicted_label": np.full((20, len(targets)), 3.0)}
        kinds = dict.fromkeys(targets, regression.Reference(train_mean=2.0))
        test["intensity"] = regression.intensity(annotated, read, labels, kinds, LABELS, True)
    record = {"arguments": {"dataset_name": dataset_name, "balanced": balanced, "seed": 7}}
    corpus = corpus or (f"the synthetic sample of {dataset_name}" if source == "sample" else dataset_name)
    settings = {"corpus": corpus, "data_source": source, "label_column": label_column}
    splits = SimpleNamespace(settings=settings, texts={"train": range(12345)})
    encoder = Encoder(encoder, Path(encoder), None if Path(encoder).is_absolute() else "main")
    return model_card.card(record, encoder, splits, {"test": test, "baselines": {}})


def test_card_of_one_head():
    text = make_card()
    assert "with a probability for each. \n\n## Labels\n\n- anger: 10 test examples, F1 0.800\n" in text
    assert "- {{ seed }} & <b>: 10 test examples, F1 0.667\n\n## Training\n" in text
    assert "a synthetic sample in its schema, not said by people.\n\n" in text
    assert f"12,345 training examples, as unbalanced as the corpus; {MINILM} with one head, seed\n7. All" in text
    assert "\n## Licence\n\napache-2.0, as the encoder's weights.\n" in text and text.endswith("}\n```\n")


def test_card_of_several_heads():
    targets = ("initial_intensity", "intensity_change")
    text = make_card(targets, source=None, balanced=True)
    assert (
        "for each. Its intensities (initial, change) are on the scale of 1 to 5, a change on that of -4 to 4.\n" in text
    )
    assert "(Liu et al., ACL 2021), the published corpus.\n" in text
    assert f"balanced by augmented examples; {MINILM} with 3 heads, seed\n" in text
    assert "cc-by-nc-4.0: the data or the encoder's weights are for non-commercial use.\n" in text
    assert "Its intensities (initial) are on the scale of 1 to 5.\n" in make_card(targets[:1])


def test_folder_of_an_encoder_is_not_published(tmp_path):
    copy = {"dataset_name": "SAD", "source": "/my/SAD.zip", "label_column": "top_label"}
    text = make_card(encoder=str(tmp_path / "mine"), **copy)
    assert str(tmp_path) not in text and "/my" not in text and "; mine with one head" in text
    assert "(Mauriello et al., CHI 2021), the published corpus, with the labels of its column `top_label`.\n" in text
    card = ModelCard(text)
    assert card.data.base_model is None and card.data.license == "other"


def test_card_of_a_users_own_file_says_nothing_of_the_published_corpora():
    text = make_card(dataset_name="SAD", source="/my/mine.csv", corpus="mine.csv", label_column="kind")
    assert "/my" not in text and "Which of the labels below a text is about" in text
    assert "\n`mine.csv`, a file of the user's, with the labels of its column `kind`.\n" in text
    assert not re.search("Mauriello|Liu et al|crowd-sourced|English", text)
    card = ModelCard(text)
    assert card.data.license == "other" and card.data.language is None
    assert {result.dataset_type for result in card.data.eval_results} == {"own-texts"}
    assert {result.dataset_name for result in card.data.eval_results} == {"mine.csv"}


@pytest.mark.parametrize(("encoder", "terms"), [(MINILM, "apache-2.0"), (MENTALBERT, "cc-by-nc-4.0")])
def test_front_matter_is_valid(encoder, terms):
    """Metrics that are not defined, here the correlations of a constant, are left out of the model-index."""
    card = ModelCard(make_card(("final_intensity",), encoder=encoder))
    assert (card.data.base_model, card.data.license, card.data.language) == (encoder, terms, "en")
    assert card.data.model_name == f"{encoder.split('/')[1]} fine-tuned on the synthetic sample of ESConv"
    kinds = [result.metric_type for result in card.data.eval_results]
    of_probabilities = ["negative_log_likelihood", "brier_score", "expected_calibration_error"]
    assert kinds == ["f1", "accuracy", *of_probabilities, "mae", "r_squared", "quadratic_weighted_kappa"]
    assert card.data.eval_results[1].metric_value == 0.75


def test_template_reads_as_markdown():
    """Front matter, then one title and the sections of the card."""
    template = model_card.TEMPLATE.read_text()
    assert template.startswith("---\n{{ card_data }}\n---\n# ")
    sections = re.findall("^## (.*)", template, re.MULTILINE)
    assert sections == ["Labels", "Training", "Evaluation", "Use", "Limits", "Licence", "Citation"]
    assert re.findall("^## (.*)", make_card(), re.MULTILINE) == sections

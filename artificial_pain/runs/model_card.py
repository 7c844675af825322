"""The model card: README.md of a run's folder, in the hub's format."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData, metadata_load
from yaml import YAMLError

from artificial_pain.data import examples
from artificial_pain.data.tokenization import Splits
from artificial_pain.encoders import CARD, ENCODERS, Encoder
from artificial_pain.evaluation import bootstrap, tables

TEMPLATE = Path(__file__).with_name("model_card_template.md")
CORPORA = {"ESConv": "thu-coai/esconv", "SAD": "SAD"}  # a data set's type on the hub; with it goes its name
SAMPLE_TYPE, OWN_TYPE = "synthetic-sample", "own-texts"  # of the sample, and of a user's file
TASK_TYPES = {"emotion": "text-classification", "intensity": "tabular-regression"}
# The metrics of the hub's model-index, and the types of those that it calls otherwise.
METRIC_NAMES = {"macro_f1": "Macro F1", "accuracy": "Accuracy", "mae": "MAE", "pearson": "Pearson's r"}
METRIC_NAMES |= {"r2": "R squared against the training mean", "spearman": "Spearman's rho"}
METRIC_NAMES |= {"quadratic_weighted_kappa": "Quadratic weighted kappa"}
METRIC_NAMES |= {"expected_calibration_error": "Expected calibration error", "brier_score": "Brier score"}
METRIC_NAMES |= {"negative_log_likelihood": "Negative log-likelihood"}
METRIC_TYPES = {"macro_f1": "f1", "pearson": "pearsonr", "spearman": "spearmanr", "r2": "r_squared"}


def licence(settings: dict, encoder: Encoder) -> str:
    """The model's licence: non-commercial where the data's is, else the encoder's; "other" for a user's own texts.

    settings: of the splits.
    """
    if is_own(settings):
        return "other"
    return "cc-by-nc-4.0" if settings["corpus"] == "ESConv" else encoder_licence(encoder)


def is_own(settings: dict) -> bool:
    """Whether the examples are neither a published corpus nor the sample, by the settings of their splits."""
    return settings["data_source"] != examples.SAMPLE and settings["corpus"] not in CORPORA


def encoder_licence(encoder: Encoder) -> str:
    """The licence of an encoder's weights: of one that is not listed, what its README.md declares, or "other"."""
    if encoder.name in ENCODERS:
        return ENCODERS[encoder.name]
    card, declared = encoder.folder / CARD, None
    with suppress(ValueError, YAMLError):  # a card that is damaged declares nothing
        declared = (metadata_load(card) or {}).get("license") if card.exists() else None
    return declared if isinstance(declared, str) else "other"  # several are a list


def evaluations(settings: dict, test: dict) -> Iterator[EvalResult]:
    """The test metrics for the hub's model-index, each with its interval; a metric that is not defined is left out.

    settings: of the splits. The intensities are those read at the predicted emotion: what a user of the model gets.
    """
    corpus = settings["corpus"]
    dataset_type = OWN_TYPE if is_own(settings) else CORPORA.get(corpus, SAMPLE_TYPE)
    heads = [("emotion", "emotion", test)]
    for target, scores in test.get("intensity", {}).get("predicted_label", {}).items():
        heads.append((f"{target} intensity", "intensity", scores["micro"]))
    for head, part, scores in heads:
        # The hub merges results of the same task and data, whatever their names: the head is the configuration too.
        data = {"dataset_type": dataset_type, "dataset_name": corpus, "dataset_config": head, "dataset_split": "test"}
        data |= {"dataset_args": {"examples": scores["n"]}, "task_type": TASK_TYPES[part], "task_name": head}
        for metric in (*tables.PRIMARY_METRICS[part], *tables.SECONDARY_METRICS[part]):
            if scores[metric] is not None:
                interval = scores["intervals"].get(metric)  # a calibration error has none
                arguments = {"interval_95": interval, "resamples": bootstrap.RESAMPLES} if interval else None
                data |= {"metric_type": METRIC_TYPES.get(metric, metric), "metric_args": arguments}
                value, metric_name = round(scores[metric], 6) + 0.0, f"{METRIC_NAMES[metric]} ({head})"
                yield EvalResult(**data, metric_name=metric_name, metric_value=value)


def card(record: dict, encoder: Encoder, splits: Splits, results: dict) -> str:
    """The content of README.md for a run with this record."""
    settings, test = splits.settings, results["test"]
    metadata = {"language": None if is_own(settings) else "en", "license": licence(settings, encoder)}
    metadata["base_model"] = encoder.name if encoder.is_on_hub else None  # a user's folder stays private
    metadata |= {"pipeline_tag": "text-classification", "tags": ["emotion", "artificial-pain"]}
    metadata["model_name"] = f"{encoder.short_name} fine-tuned on {settings['corpus']}"
    data = ModelCardData(**metadata, eval_results=list(evaluations(settings, test)))
    values = {"title": data.model_name, "test": test, "splits": splits, "arguments": record["arguments"]}
    values |= {"is_own": is_own(settings), "intensities": list(test.get("intensity", {}).get("predicted_label", {}))}
    values |= {"encoder": encoder.name if encoder.is_on_hub else encoder.short_name, "resamples": bootstrap.RESAMPLES}
    parts = (tables.PRIMARY_METRICS, tables.SECONDARY_METRICS)
    values["tables"] = [tables.results_table({"fine-tuned": results}, metrics) for metrics in parts]
    content = ModelCard.from_template(data, template_path=TEMPLATE, **values)
    return f"{content}\n"  # Jinja drops the template's last line break

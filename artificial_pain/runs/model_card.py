"""The model card: README.md of a run's folder, in the hub's format."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData, metadata_load
from yaml import YAMLError

from artificial_pain.data.tokenization import Splits
from artificial_pain.encoders import CARD, ENCODERS, Encoder
from artificial_pain.evaluation import bootstrap
from artificial_pain.evaluation.tables import PRIMARY_METRICS, SECONDARY_METRICS, results_table

TEMPLATE = Path(__file__).with_name("model_card_template.md")
CORPORA = {"ESConv": "thu-coai/esconv", "SAD": "SAD"}  # a data set's type on the hub; with it goes its name
SAMPLE = ("synthetic-sample", "a synthetic sample in the schema of {}")  # the type and name of a sample
TASK_TYPES = {"emotion": "text-classification", "intensity": "tabular-regression"}
MODEL_INDEX_METRICS = {
    "macro_f1": ("f1", "Macro F1"),
    "accuracy": ("accuracy", "Accuracy"),
    "expected_calibration_error": ("expected_calibration_error", "Expected calibration error"),
    "mae": ("mae", "MAE"),
    "pearson": ("pearsonr", "Pearson's r"),
    "spearman": ("spearmanr", "Spearman's rho"),
    "quadratic_weighted_kappa": ("quadratic_weighted_kappa", "Quadratic weighted kappa"),
}


def licence(dataset_name: str, data_source: str | None, encoder: Encoder) -> str:
    """The model's licence: non-commercial where the data's is, else the encoder's."""
    if dataset_name == "ESConv" and data_source != "sample":
        return "cc-by-nc-4.0"
    return encoder_licence(encoder)


def encoder_licence(encoder: Encoder) -> str:
    """The licence of an encoder's weights: of one that is not listed, what its README.md declares, or "other"."""
    if encoder.name in ENCODERS:
        return ENCODERS[encoder.name]
    card, declared = encoder.folder / CARD, None
    with suppress(ValueError, YAMLError):  # a card that is damaged declares nothing
        declared = (metadata_load(card) or {}).get("license") if card.exists() else None
    return declared if isinstance(declared, str) else "other"  # several are a list


def evaluations(dataset_name: str, data_source: str | None, test: dict) -> Iterator[EvalResult]:
    """The test metrics for the hub's model-index, each with its interval; a metric that is not defined is left out.

    The intensities are those read at the predicted emotion: what a user of the model gets.
    """
    dataset_type, corpus = SAMPLE if data_source == "sample" else (CORPORA[dataset_name], "{}")
    heads = [("emotion", "emotion", test)]
    for target, scores in test.get("intensity", {}).get("predicted_label", {}).items():
        heads.append((f"{target} intensity", "intensity", scores["micro"]))
    for head, part, scores in heads:
        for metric in (*PRIMARY_METRICS[part], *SECONDARY_METRICS[part]):
            if scores[metric] is not None:
                metric_type, metric_name = MODEL_INDEX_METRICS[metric]
                yield EvalResult(
                    task_type=TASK_TYPES[part],
                    task_name=head,
                    dataset_type=dataset_type,
                    dataset_name=corpus.format(dataset_name),
                    dataset_config=head,  # the hub merges results of the same task and data, whatever their names
                    dataset_split="test",
                    dataset_args={"examples": scores["n"]},
                    metric_type=metric_type,
                    metric_name=f"{metric_name} ({head})",
                    metric_value=round(scores[metric], 6) + 0.0,
                    metric_args={"interval_95": scores["intervals"][metric], "resamples": bootstrap.RESAMPLES},
                )


def card(record: dict, encoder: Encoder, splits: Splits, results: dict) -> str:
    """The content of README.md for a run with this record."""
    arguments, source, test = record["arguments"], splits.settings["data_source"], results["test"]
    dataset_name = arguments["dataset_name"]
    data = ModelCardData(
        language="en",
        license=licence(dataset_name, source, encoder),
        base_model=encoder.name if encoder.is_on_hub else None,  # a user's folder stays private
        pipeline_tag="text-classification",
        tags=["emotion", "artificial-pain"],
        model_name=f"{encoder.short_name} fine-tuned on {dataset_name}",
        eval_results=list(evaluations(dataset_name, source, test)),
    )
    content = ModelCard.from_template(
        data,
        template_path=TEMPLATE,
        title=data.model_name,
        intensities=list(test.get("intensity", {}).get("true_label", {})),
        test=test,
        splits=splits,
        arguments=arguments,
        encoder=encoder.name if encoder.is_on_hub else encoder.short_name,
        resamples=bootstrap.RESAMPLES,
        primary_table=results_table({"fine-tuned": results}, PRIMARY_METRICS),
        secondary_table=results_table({"fine-tuned": results}, SECONDARY_METRICS),
    )
    return f"{content}\n"  # Jinja drops the template's last line break

"""The model card: README.md of a run's folder, in the hub's format."""

from collections.abc import Iterator

from huggingface_hub import EvalResult, ModelCardData, metadata_load

from artificial_pain.data.tokenization import Splits
from artificial_pain.encoders import ENCODERS, Encoder
from artificial_pain.evaluation import bootstrap
from artificial_pain.evaluation.tables import PRIMARY_METRICS, SECONDARY_METRICS, results_table

NON_COMMERCIAL = "cc-by-nc-4.0"
CORPORA = {  # the hub's name for it, and where it is from
    "ESConv": (
        "thu-coai/esconv",
        "[ESConv](https://github.com/thu-coai/Emotional-Support-Conversation) (Liu et al., ACL 2021)",
    ),
    "SAD": ("SAD", "SAD, the Stress Annotated Dataset (Mauriello et al., CHI 2021)"),
}
SAMPLE = ("synthetic-sample", "a synthetic sample in the schema of {}")  # as the hub's type and name of a data set
ORIGINS = {None: "the published corpus", "sample": "a synthetic sample in its schema, not said by people"}
MODEL_INDEX_METRICS = {
    "macro_f1": ("f1", "Macro F1"),
    "accuracy": ("accuracy", "Accuracy"),
    "expected_calibration_error": ("expected_calibration_error", "Expected calibration error"),
    "mae": ("mae", "MAE"),
    "pearson": ("pearsonr", "Pearson's r"),
    "spearman": ("spearmanr", "Spearman's rho"),
    "quadratic_weighted_kappa": ("quadratic_weighted_kappa", "Quadratic weighted kappa"),
}
# What every card says.
USE_AND_LIMITS = """## Use

With the code of artificial-pain, from its checkout:

```
python -m artificial_pain.predict FOLDER "I have not slept for days."
```

For research on how supporters and programs understand what people say that hurts.

## Limits

- **Not a diagnostic tool**, and none for decisions about a person. It has been tested on no patients.
- It knows crowd-sourced English alone: ESConv's help seekers are paid workers who recall a problem, SAD's sentences are
  short. Other people, languages and ways of writing were not tested.
- The labels are unequally frequent, and rare ones are found less often: see the F1 of each above.
- What it gives is the most likely of the labels above, also for a text that is about none of them.
"""
CITATION = """## Citation

```
@article{wangroman2025artificialpain,
    title = {Toward Affective Empathy in AI: Encoding Internal Representations of Artificial Pain},
    author = {Wang, Angeline and Roman, Iran R},
    year = {2025},
    publisher = {8th annual conference on Cognitive Computational Neuroscience},
}
```
"""


def licence(dataset_name: str, data_source: str | None, encoder: Encoder) -> str:
    """The model's licence: non-commercial where the data's is, else the encoder's."""
    if dataset_name == "ESConv" and data_source != "sample":
        return NON_COMMERCIAL
    return encoder_licence(encoder)


def encoder_licence(encoder: Encoder) -> str:
    """The licence of an encoder's weights: for a folder what its README.md declares, or "other"."""
    if encoder.name in ENCODERS:
        return ENCODERS[encoder.name]
    card = encoder.folder / "README.md"
    declared = metadata_load(card) if card.exists() else None
    return str((declared or {}).get("license", "other"))


def evaluations(dataset_name: str, data_source: str | None, test: dict) -> Iterator[EvalResult]:
    """The test metrics for the hub's model-index, each with its interval; those that are not defined are left out.

    Of the intensities, those read at the predicted emotion: what a user of the model gets.
    """

    of_corpus = CORPORA[dataset_name][0], dataset_name
    kind_of_data, data = (SAMPLE[0], SAMPLE[1].format(dataset_name)) if data_source == "sample" else of_corpus

    def of_head(scores: dict, metrics: list[str], task_type: str, head: str) -> Iterator[EvalResult]:
        for metric in metrics:
            if scores[metric] is not None:
                kind, name = MODEL_INDEX_METRICS[metric]
                yield EvalResult(
                    task_type=task_type,
                    task_name=head,
                    dataset_type=kind_of_data,
                    dataset_name=data,
                    dataset_config=head,  # the hub takes results of one task and data for one, whatever their names
                    dataset_split="test",
                    dataset_args={"examples": scores["n"]},
                    metric_type=kind,
                    metric_name=f"{name} ({head})",
                    metric_value=round(scores[metric], 6) + 0.0,
                    metric_args={"interval_95": scores["intervals"][metric], "resamples": bootstrap.RESAMPLES},
                )

    yield from of_head(
        test, [*PRIMARY_METRICS["emotion"], *SECONDARY_METRICS["emotion"]], "text-classification", "emotion"
    )
    for target, scores in test.get("intensity", {}).get("predicted_label", {}).items():
        metrics = [*PRIMARY_METRICS["intensity"], *SECONDARY_METRICS["intensity"]]
        yield from of_head(scores["micro"], metrics, "tabular-regression", f"{target} intensity")


def card(record: dict, encoder: Encoder, splits: Splits, results: dict) -> str:
    """The whole of README.md, of a run with this record."""
    arguments, source, test = record["arguments"], splits.settings["data_source"], results["test"]
    dataset_name = arguments["dataset_name"]
    terms = licence(dataset_name, source, encoder)
    data = ModelCardData(
        language="en",
        license=terms,
        base_model=encoder.name if encoder.name in ENCODERS else None,
        pipeline_tag="text-classification",
        tags=["emotion", "artificial-pain"],
        model_name=f"{encoder.short_name} fine-tuned on {dataset_name}",
        eval_results=list(evaluations(dataset_name, source, test)),
    )
    balance = "balanced by made examples" if arguments["balanced"] else "as unbalanced as the corpus"
    of_whom = encoder.name if encoder.name in ENCODERS else encoder.short_name  # a folder's path is its user's
    column = splits.settings["label_column"]
    labelled = f", with the labels of its column `{column}`" if column else ""
    targets = list(test["intensity"]["true_label"]) if "intensity" in test else []
    heads = f"{1 + len(targets)} heads" if targets else "one head"
    intensities = ""
    if targets:
        change = ", a change on that of -4 to 4" if "change" in targets else ""
        intensities = f"Its intensities ({', '.join(targets)}) are on the scale of 1 to 5{change}."
    of_label = test["per_class"].items()
    labels = "\n".join(f"- {name}: {one['support']} test examples, F1 {one['f1']:.3f}" for name, one in of_label)
    reason = "the data or the encoder's weights are for non-commercial use" if terms == NON_COMMERCIAL else ""
    return f"""---
{data.to_yaml()}
---
# {encoder.short_name} fine-tuned on {dataset_name}

Which emotion (in SAD: which stressor) an English text is about, with a probability for each. {intensities}

## Labels

{labels}

## Training

{CORPORA[dataset_name][1]}, {ORIGINS.get(source, "a copy given by the user")}{labelled}.

{len(splits.texts["train"]):,} training examples, {balance}; {of_whom} with {heads}, seed
{arguments["seed"]}. All settings are in `run.json`.

## Evaluation

Test split, {test["n"]:,} examples, with 95 % intervals of the bootstrap over them ({bootstrap.RESAMPLES:,} resamples).
All metrics are in `evaluation_results.json`.

```
{results_table({"fine-tuned": results}, PRIMARY_METRICS)}

{results_table({"fine-tuned": results}, SECONDARY_METRICS)}
```

{USE_AND_LIMITS}
## Licence

{terms}{f": {reason}" if reason else ", as the encoder's weights"}.

{CITATION}"""

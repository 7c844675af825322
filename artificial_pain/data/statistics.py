"""Statistics of the splits, for dataset_statistics.json and the console."""

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict

from artificial_pain.data.splits import label_counts, split_overlap
from artificial_pain.data.tokenization import lengths
from artificial_pain.data.vocabulary import INTENSITIES, SPLITS


def _describe_split(frame: pd.DataFrame, tokenized: Dataset, truncated: float) -> dict:
    """Describe one split: examples, labels, intensities (per value), and lengths in tokens after truncation.

    `truncated` is the share of its texts that were cut.
    """
    tokens = lengths(tokenized)
    description = {
        "examples": len(frame),
        "augmented": int(frame["augmented"].sum()),
        "labels": label_counts(frame),
        "tokens": {
            "min": int(tokens.min()),
            "median": float(np.median(tokens)),
            "mean": float(tokens.mean()),
            "p95": float(np.percentile(tokens, 95)),
            "max": int(tokens.max()),
            "truncated": truncated,
        },
    }
    intensities = {column: _describe_intensity(frame[column]) for column in INTENSITIES if column in frame}
    return description | ({"intensities": intensities} if intensities else {})


def _describe_intensity(values: pd.Series) -> dict:
    return {
        "n": int(values.count()),
        "missing": int(values.isna().sum()),
        "mean": float(values.mean()) if values.count() else None,
        "counts": {f"{value:g}": n for value, n in values.value_counts().sort_index().items()},
    }


def describe(
    splits: dict[str, pd.DataFrame],
    tokenized: DatasetDict,
    truncated: dict[str, float],
    dropped: dict[str, int],
    corpus: pd.DataFrame,
    settings: dict,
    fingerprint: str,
) -> dict:
    """The content of dataset_statistics.json.

    truncated: the share of each split's texts that were cut; dropped: the examples of each rare label; settings and
    fingerprint: what the splits were made from and with.
    """
    return {
        **{name: _describe_split(splits[name], tokenized[name], truncated[name]) for name in splits},
        "dropped_labels": dropped,
        "invalid_intensities": corpus.attrs.get("invalid_intensities", 0),
        "split_overlap": split_overlap(splits),
        "settings": settings,
        "fingerprint": fingerprint,
    }


def table(statistics: dict) -> str:
    """The console's summary of the splits."""
    columns = {}
    for split in SPLITS:
        described, tokens = statistics[split], statistics[split]["tokens"]
        column = {**described["labels"], "all": described["examples"], "augmented": described["augmented"]}
        for name, intensity in described.get("intensities", {}).items():
            column[f"{name.replace('_', ' ')}, known"] = intensity["n"]
        column |= {f"tokens, {key}": f"{tokens[key]:.0f}" for key in ("median", "p95", "max")}
        columns[split] = column | {"truncated": f"{tokens['truncated']:.1%}"}
    lines = [pd.DataFrame(columns, dtype=object).to_string()]
    if statistics["dropped_labels"]:
        dropped = ", ".join(f"{name} ({n})" for name, n in statistics["dropped_labels"].items())
        lines.append(f"Dropped as too rare: {dropped}")
    overlap = ", ".join(f"{n} in {pair}" for pair, n in statistics["split_overlap"].items() if n)
    lines.append(f"Texts that stand in two splits: {overlap or 'none'}")
    return "\n".join(lines)

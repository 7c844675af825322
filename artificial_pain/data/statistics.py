"""Statistics of the splits, for dataset_statistics.json and the console."""

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict

from artificial_pain.data.splits import Frames, label_counts, split_overlap
from artificial_pain.data.tokenization import lengths
from artificial_pain.data.vocabulary import INTENSITIES, SPLITS

# The `attrs` of a corpus that readers, `drop_rare` and `deduplicate` have left as it was.
NOTHING_DONE = {"dropped_labels": {}, "invalid_intensities": 0, "merged_labels": {}, "duplicates": {}}


def _describe_split(frame: pd.DataFrame, tokenized: Dataset, truncated: float) -> dict:
    """Describe one split: examples, labels, intensities (per value), and lengths in tokens after truncation.

    `truncated` is the share of its texts that were cut.
    """
    tokens = lengths(tokenized)
    sizes = {"min": int(tokens.min()), "median": float(np.median(tokens)), "mean": float(tokens.mean())}
    sizes |= {"p95": float(np.percentile(tokens, 95)), "max": int(tokens.max()), "truncated": truncated}
    described = {"examples": len(frame), "augmented": int(frame["augmented"].sum()), "labels": label_counts(frame)}
    intensities = {column: _describe_intensity(frame[column]) for column in INTENSITIES if column in frame}
    return described | {"tokens": sizes} | ({"intensities": intensities} if intensities else {})


def _describe_intensity(values: pd.Series) -> dict:
    mean = float(values.mean()) if values.count() else None
    counts = {f"{value:g}": n for value, n in values.value_counts().sort_index().items()}
    return {"n": int(values.count()), "missing": int(values.isna().sum()), "mean": mean, "counts": counts}


def describe(
    splits: Frames, tokenized: DatasetDict, truncated: dict, corpus: pd.DataFrame, settings: dict, fingerprint: str
) -> dict:
    """The content of dataset_statistics.json.

    truncated: the share of each split's texts that were cut; corpus: its `attrs` have what was done to it; settings and
    fingerprint: what the splits were made from and with.
    """
    described = {name: _describe_split(splits[name], tokenized[name], truncated[name]) for name in splits}
    described |= NOTHING_DONE | corpus.attrs | {"split_overlap": split_overlap(splits)}
    return described | {"settings": settings, "fingerprint": fingerprint}


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
    lines = [pd.DataFrame(columns, dtype=object).rename_axis(columns=statistics["settings"]["corpus"]).to_string()]
    if statistics["dropped_labels"]:
        dropped = ", ".join(f"{name} ({n})" for name, n in statistics["dropped_labels"].items())
        lines.append(f"Dropped as too rare: {dropped}")
    if statistics["duplicates"]:
        left_out = ", ".join(f"{n} {kind}" for kind, n in statistics["duplicates"].items())
        lines.append(f"Left out by --deduplicate: {left_out}")
    overlap = ", ".join(f"{n} in {pair}" for pair, n in statistics["split_overlap"].items() if n)
    lines.append(f"Texts that stand in two splits: {overlap or 'none'}")
    return "\n".join(lines)

"""Build the splits of the classification task: a corpus becomes labelled, split, balanced and tokenized examples.

python classification/classification-dataloader.py --model_name mental/mental-roberta-base --dataset_name ESConv
python classification/classification-dataloader.py --dataset_name SAD --balanced --samples_per_label 1500
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, errors, storage

TASK = "classification"
DATASETS = ["ESConv", "SAD"]


def main() -> None:
    args = cli.dataloader_arguments(TASK, DATASETS, __doc__.splitlines()[0])

    storage.require_writable(args.output_dir)
    encoder = encoders.fetch(args.model_name, args.revision, weights=None)

    # Imported here, so that --help, a wrong flag and a gated encoder are answered at once.
    from artificial_pain import preparation

    preparation.prepare(args, encoder)


if __name__ == "__main__":
    errors.run(main)

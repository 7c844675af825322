"""Build the splits of the intensity task: ESConv's dialogues with their intensities, split, balanced and tokenized.

python intensity/intensity-dataloader.py --model_name mental/mental-roberta-base --dataset_name ESConv
python intensity/intensity-dataloader.py --balanced --samples_per_label 1500
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, errors, storage

TASK = "intensity"
DATASETS = ["ESConv"]  # SAD has no intensities before and after a talk


def main() -> None:
    args = cli.dataloader_arguments(TASK, DATASETS, __doc__.splitlines()[0])

    storage.require_writable(args.output_dir)
    encoder = encoders.fetch(args.model_name, args.revision, weights=None)

    # Imported here, so that --help, a wrong flag and a gated encoder are answered at once.
    from artificial_pain import preparation

    preparation.prepare(args, encoder)


if __name__ == "__main__":
    errors.run(main)

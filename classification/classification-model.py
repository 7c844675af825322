"""Fine-tune and evaluate an encoder with a classification head on the splits that the dataloader made.

python classification/classification-model.py --model_name mental/mental-roberta-base --dataset_name ESConv
python classification/classification-model.py --dataset_name SAD --balanced --debug
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, errors, storage

TASK = "classification"
DATASETS = ["ESConv", "SAD"]
METRIC = "loss"  # published: the checkpoint with the lowest validation loss is kept
WARMUP_STEPS = 0  # published


def main() -> None:
    args = cli.model_parser(TASK, DATASETS, __doc__.splitlines()[0], WARMUP_STEPS, METRIC).parse_args()

    storage.require_writable(args.output_dir)
    encoder = encoders.fetch(args.model_name, args.revision, weights=encoders.WEIGHTS)

    # Imported here, so that --help, a wrong flag and a gated encoder are answered at once.
    from artificial_pain import experiment

    balance = "balanced" if args.balanced else "unbalanced"
    experiment.fine_tune(
        args,
        encoder,
        task=TASK,
        kind=f"{args.model_metric}-{TASK}",
        name=f"{args.model_metric}_{encoder.short_name}_{args.dataset_name}_{balance}_{TASK}",
        targets=[],
    )


if __name__ == "__main__":
    errors.run(main)

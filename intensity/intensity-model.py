"""Fine-tune and evaluate an encoder with four heads, the emotion and three intensities, on the dataloader's splits.

python intensity/intensity-model.py --model_name mental/mental-roberta-base --dataset_name ESConv
python intensity/intensity-model.py --head_num 4 --model_metric accuracy --balanced --debug
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, errors, storage

TASK = "intensity"
DATASETS = ["ESConv"]  # SAD has no intensities before and after a talk
METRIC = "accuracy"  # published: the checkpoint with the highest validation accuracy is kept
WARMUP_STEPS = 500  # published


def main() -> None:
    parser = cli.model_parser(TASK, DATASETS, __doc__.splitlines()[0], WARMUP_STEPS, METRIC)
    group = parser.add_argument_group("which heads")
    group.add_argument(
        "--head_num",
        type=int,
        choices=[1, 2, 3, 4],
        default=4,
        help="1: the emotion alone, 2: with initial intensity, 3: and final intensity, 4: and their change "
        "(default: %(default)s)",
    )
    args = parser.parse_args()

    storage.require_writable(args.output_dir)
    encoder = encoders.fetch(args.model_name, args.revision, weights=encoders.WEIGHTS)

    # Imported here, so that --help, a wrong flag and a gated encoder are answered at once.
    from artificial_pain import experiment
    from artificial_pain.data import vocabulary

    heads = f"{args.head_num}-heads-intensity-change"
    balance = "_balanced" if args.balanced else ""
    experiment.fine_tune(
        args,
        encoder,
        task=TASK,
        kind=f"{args.model_metric}-{heads}",
        name=f"{args.model_metric}_{encoder.short_name}_{args.dataset_name}_{heads}{balance}",
        targets=list(vocabulary.INTENSITIES)[: args.head_num - 1],
    )


if __name__ == "__main__":
    errors.run(main)

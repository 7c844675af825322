"""Follow emotion and intensities through a dialogue, turn by turn, or through all dialogues of a split.

python -m artificial_pain.trajectory RUN_FOLDER --dialogue 0
python -m artificial_pain.trajectory RUN_FOLDER --file chat.jsonl
python -m artificial_pain.trajectory RUN_FOLDER --split test
"""

import argparse
from pathlib import Path

from artificial_pain import cli
from artificial_pain.errors import as_user_error

CANNOT_SAY = """
The model was trained on {texts}. A curve says what it would predict
if the talk ended there. A step can come of a longer text alone. No curve says how a person feels at a turn,
which nobody annotated, or what a supporter's words have caused."""


def parse_args() -> argparse.Namespace:
    parser = cli.module_parser("trajectory", __doc__)
    parser.add_argument("run_folder", type=cli.path, metavar="RUN", help="as printed by a model script")
    which = parser.add_mutually_exclusive_group()
    help = "the N-th dialogue of a corpus file, from 0"
    which.add_argument("--dialogue", type=cli.not_negative_integer, metavar="N", help=help)
    help = "a chat as JSON lines, a turn each (default: standard input, a seeker's turn a line)"
    which.add_argument("--file", type=cli.path, help=help)
    help = "the mean of all dialogues of a split of the run"
    which.add_argument("--split", choices=["validation", "test"], help=help)
    help = "the corpus of --dialogue and --split (default: that of the run)"
    parser.add_argument("--data_source", type=cli.data_source, metavar="FILE|URL|sample", help=help)
    help = "the figure (default: %(default)s)"
    parser.add_argument("--output", type=cli.path, default=Path("trajectory.png"), metavar="FILE", help=help)
    args = parser.parse_args()
    if args.output.suffix != ".png":
        parser.error(f"--output {args.output}: expected a name that ends in .png")
    if args.data_source and args.dialogue is None and not args.split:
        parser.error("--data_source is for --dialogue and --split")
    return args


def main(args: argparse.Namespace) -> None:
    # Imported here, so that --help and a wrong flag are answered at once.
    from artificial_pain.analysis import dialogues, turns
    from artificial_pain.runs import status
    from artificial_pain.runs.predictor import Predictor

    record = status.finished_record(args.run_folder)
    if args.split:
        of_split = dialogues.of_split(args.run_folder, record, args.data_source, args.split)
    elif args.dialogue is not None:
        said, annotated = dialogues.of_corpus(record, args.data_source, args.dialogue)
    else:
        said, annotated = dialogues.of_chat(args.file), {}
    with as_user_error(f"{args.output}: cannot be written", OSError, remedy="give another --output"):
        args.output.touch()  # before the work
    predictor = Predictor(args.run_folder)
    if args.split:
        followed = turns.follow(predictor, of_split)
        turns.draw_mean(args.output, followed)
        tables = [turns.mean_table(followed), turns.step_table(followed)]
    else:
        (predicted,) = turns.after_each_turn(predictor, [said])
        turns.draw(args.output, predicted, said, annotated)
        tables = [turns.table(predicted, said)]
    print("\n\n".join(table.to_string(index=False) for table in tables if len(table)))  # there may be no strategies
    is_dialogues = record["arguments"]["dataset_name"] == "ESConv"
    texts = "whole dialogues, not on their beginnings" if is_dialogues else "single sentences, not on dialogues"
    print(f"{CANNOT_SAY.format(texts=texts)}\n{args.output}")


if __name__ == "__main__":
    cli.run(main, parse_args, prints_results=True)

"""Finished runs as one Parquet file for each corpus, without texts and weights: a report can be drawn from it.

python -m artificial_pain.archive runs --output docs/records
"""

import argparse
from collections import defaultdict

from artificial_pain import cli
from artificial_pain.errors import UserError, as_user_error


def parse_args() -> argparse.Namespace:
    parser = cli.module_parser("archive", __doc__)
    help = "in which the runs are; or a file of this command's"
    parser.add_argument("roots", nargs="+", type=cli.path, metavar="FOLDER", help=help)
    help = "the folder of the files; the runs that a file has already stay in it"
    parser.add_argument("--output", type=cli.path, required=True, metavar="FOLDER", help=help)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    # Imported here, so that --help and a wrong flag are answered at once.
    from artificial_pain.reporting import archive
    from artificial_pain.reporting.groups import find_runs

    groups, _ = find_runs(args.roots)
    if not groups:
        raise UserError(f"no finished run in {', '.join(map(str, args.roots))}: train one, or give its --output_dir")
    with as_user_error(f"{args.output}: cannot be written", OSError, remedy="give another --output"):
        args.output.mkdir(parents=True, exist_ok=True)
        by_corpus = defaultdict(list)
        for group in groups:
            by_corpus[group.corpus] += group.runs
        for corpus, runs in by_corpus.items():
            path = args.output / f"{corpus}.parquet"
            archive.write(path, (archive.read(path) if path.exists() else []) + runs)
            print(f"{path}: {len(runs)} runs")


if __name__ == "__main__":
    cli.run(main, parse_args)

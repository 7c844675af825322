"""One page of all finished runs: tables with intervals, paired tests, figures, and what is missing.

python -m artificial_pain.report
python -m artificial_pain.report runs --output RESULTS.md
"""

import argparse
import re
import shlex
from itertools import product
from pathlib import Path

from artificial_pain import cli, flags, storage
from artificial_pain.data import examples
from artificial_pain.errors import UserError, as_user_error, logger
from artificial_pain.reporting import grid

COMMAND = re.compile(r"python -m artificial_pain\.study( .*)? --seeds( \d+)+( .*)?")


def parse_args() -> argparse.Namespace:
    parser = cli.module_parser("report", __doc__)
    help = "folders with runs, or files that --archive has written (default: both tasks' folders)"
    parser.add_argument("roots", nargs="*", type=cli.path, metavar="FOLDER|FILE", help=help)
    parser.add_argument("--output", type=cli.path, default=Path("RESULTS.md"), help="(default: %(default)s)")
    help = "a file of study commands, whose missing runs the page lists (default: those of the published grid)"
    parser.add_argument("--plan", type=cli.path, metavar="FILE", help=help)
    help = "also write all runs to this file, which a report can read in place of their folders"
    parser.add_argument("--archive", type=cli.path, metavar="FILE", help=help)
    help = "show only the runs on this corpus, with the flags that made its splits (default: all runs)"
    parser.add_argument("--dataset_name", choices=grid.DATASETS["classification"], help=help)
    flags.add_examples_flags(parser, grid.DATASETS["classification"], examples.PUBLISHED, examples.SEED)
    args = parser.parse_args()
    if args.fold:
        parser.error("--fold: a report shows all folds as one: leave it out")
    args.fold = args.folds
    flags.check_split(parser, args)
    settings = examples.settings(args) | {"fold": None}
    if not args.dataset_name and (given := examples.flags(settings, examples.SEED)):
        parser.error(f"{given[0]}: give --dataset_name too")
    args.corpus = examples.corpus_name(args.dataset_name, settings) if args.dataset_name else None
    if args.output.suffix != ".md":
        parser.error(f"--output {args.output}: expected a name that ends in .md")
    if args.archive and args.archive.suffix != ".parquet":
        parser.error(f"--archive {args.archive}: expected a name that ends in .parquet")
    folder = args.output.with_suffix("")
    if args.output.is_dir() or folder.is_file():
        parser.error(f"--output {args.output}: it is a folder, or {folder} is a file: give another name")
    return args


def read_plan(path: Path) -> list[str]:
    """The commands of a plan's file. Raises UserError where it cannot be read, or a line is another command."""
    with as_user_error(f"{path}: cannot be read", OSError, UnicodeError, remedy="give another --plan"):
        lines = path.read_text(encoding="utf-8").splitlines()
    plan = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    for line in plan:
        with as_user_error(f"{path}: {line}: is no command", ValueError):
            if not COMMAND.fullmatch(shlex.join(shlex.split(line))):
                raise UserError(f"{path}: {line}: expected a study's command with its --seeds, as on the page")
    return plan


def main(args: argparse.Namespace) -> None:
    # Imported here, so that --help and a wrong flag are answered at once.
    from artificial_pain.reporting import archive, commands, page
    from artificial_pain.reporting.find import find_runs, group_runs
    from artificial_pain.reporting.groups import corpus_name

    folder = args.output.with_suffix("")
    roots = args.roots or list(storage.TASK_FOLDERS.values())
    for root in roots:
        if not root.exists():
            raise UserError(f"{root}: is neither a folder nor a file: give the --output_dir of finished runs")
    plan = read_plan(args.plan) if args.plan else []
    runs, unfinished = find_runs(roots)
    if args.archive and runs:  # also of folds whose others are elsewhere
        with as_user_error(f"{args.archive}: cannot be written", OSError, remedy="give another --archive"):
            archive.write(args.archive, runs)
    shown = runs
    if args.corpus:
        shown = [run for run in runs if args.corpus in (corpus_name(run.record), run.folder.parents[1].name)]
        unfinished = {path: record for path, record in unfinished.items() if corpus_name(record) == args.corpus}
    groups, incomplete = group_runs(shown)
    if not groups:
        where = f"{', '.join(map(str, roots))}{f' of {args.corpus}' if args.corpus else ''}"
        some = [f"missing: {name}: {command}" for name, command in commands.missing_folds(incomplete)]
        raise UserError(f"no finished run in {where}: {some[0] if some else 'train one, or give its --output_dir'}")

    missing = commands.missing_of_plan(runs, plan) if args.plan else commands.missing_runs(groups, unfinished)
    missing += [fold for fold in commands.missing_folds(incomplete) if fold[1] not in {c for _, c in missing}]
    with as_user_error(f"{folder}: cannot be made", OSError, remedy="give another --output"):
        folder.mkdir(parents=True, exist_ok=True)
    corpora = {*grid.DATASETS["classification"], *(group.corpus for group in groups)}
    for corpus, figure in product(corpora, page.FIGURE_NAMES):
        for path in folder.glob(f"{corpus}*-{figure}.png"):
            path.unlink()  # an earlier report's
    args.output.write_text(page.page(groups, missing, folder), encoding="utf-8")
    logger.info(f"{sum(len(group.runs) for group in groups)} runs of {len(groups)} settings")
    print(f"{args.output}\n{folder}/")


if __name__ == "__main__":
    cli.run(main, parse_args)

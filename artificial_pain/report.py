"""One page of all finished runs: tables with intervals, paired tests, figures, and what is missing.

python -m artificial_pain.report
python -m artificial_pain.report runs --output RESULTS.md
"""

import argparse
import shlex
from itertools import product
from pathlib import Path

from artificial_pain import cli, flags, storage, study
from artificial_pain.data import examples
from artificial_pain.errors import UserError, as_user_error, logger
from artificial_pain.reporting import grid


def parse_args() -> argparse.Namespace:
    parser = cli.module_parser("report", __doc__)
    help = "in which the runs are, or a file of --archive (default: both tasks' folders)"
    parser.add_argument("roots", nargs="*", type=cli.path, metavar="FOLDER", help=help)
    parser.add_argument("--output", type=cli.path, default=Path("RESULTS.md"), help="(default: %(default)s)")
    help = "a file of study commands, one a line: what is missing is what they have not made (default: of the grid)"
    parser.add_argument("--plan", type=cli.path, metavar="FILE", help=help)
    help = "also write the runs to this file, from which a report can be drawn without their folders"
    parser.add_argument("--archive", type=cli.path, metavar="FILE", help=help)
    help = "of these examples alone, with the flags that made them (default: of all)"
    parser.add_argument("--dataset_name", choices=grid.DATASETS["classification"], help=help)
    flags.add_examples_flags(parser, grid.DATASETS["classification"], examples.PUBLISHED, examples.SEED)
    args = parser.parse_args()
    settings = examples.settings(args)
    is_chosen = args.dataset_name or examples.flags(settings)
    args.corpus = examples.corpus_name(args.dataset_name or "SAD", settings) if is_chosen else None
    if args.output.suffix != ".md":
        parser.error(f"--output {args.output}: expected a name that ends in .md")
    folder = args.output.with_suffix("")
    if args.output.is_dir() or folder.is_file():
        parser.error(f"--output {args.output}: it is a folder, or {folder} is a file: give another name")
    return args


def read_plan(path: Path) -> list[tuple[list[str], argparse.Namespace]]:
    """The studies of a plan: the words of each command, and its flags. Lines may be empty, and # begins a comment."""
    with as_user_error(f"{path}: cannot be read", OSError, UnicodeError, remedy="give another --plan"):
        commands = [shlex.split(line, comments=True) for line in path.read_text(encoding="utf-8").splitlines()]
    begin = len(["python", "-m", "artificial_pain.study"])
    return [(words, study.parse_args(words[begin:])) for words in commands if words]


def main(args: argparse.Namespace) -> None:
    # Imported here, so that --help and a wrong flag are answered at once.
    from artificial_pain.reporting import archive, commands, page
    from artificial_pain.reporting.groups import find_runs

    folder = args.output.with_suffix("")
    roots = args.roots or list(storage.TASK_FOLDERS.values())
    for root in roots:
        if not root.exists():
            raise UserError(f"{root}: is neither a folder nor a file: give the --output_dir of finished runs")
    groups, unfinished = find_runs(roots)
    if args.corpus:
        groups = [group for group in groups if args.corpus in (group.corpus, group.first.folder.parents[1].name)]
        unfinished = {path: record for path, record in unfinished.items() if path.parents[1].name == args.corpus}
    if not groups:
        where = f"{', '.join(map(str, roots))}{f' of {args.corpus}' if args.corpus else ''}"
        raise UserError(f"no finished run in {where}: train one, or give its --output_dir")

    plan = read_plan(args.plan) if args.plan else None
    missing = commands.missing_runs(groups, unfinished) if plan is None else commands.missing_of_plan(groups, plan)
    with as_user_error(f"{folder}: cannot be made", OSError, remedy="give another --output"):
        folder.mkdir(parents=True, exist_ok=True)
    corpora = {*grid.DATASETS["classification"], *(group.corpus for group in groups)}
    for corpus, figure in product(corpora, page.FIGURE_NAMES):
        for path in folder.glob(f"{corpus}*-{figure}.png"):
            path.unlink()  # an earlier report's
    if args.archive:
        with as_user_error(f"{args.archive}: cannot be written", OSError, remedy="give another --archive"):
            archive.write(args.archive, [run for group in groups for run in group.runs])
    args.output.write_text(page.page(groups, missing, folder), encoding="utf-8")
    logger.info(f"{sum(len(group.runs) for group in groups)} runs of {len(groups)} settings")
    print(f"{args.output}\n{folder}/")


if __name__ == "__main__":
    cli.run(main, parse_args)

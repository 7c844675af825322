"""Look inside the encoders of finished runs: what can be read from each layer, before and after fine-tuning.

python -m artificial_pain.represent RUN_FOLDER
python -m artificial_pain.represent RUN_FOLDER RUN_FOLDER-seed43 … --severity_source SAD_v1.zip
"""

import argparse
from pathlib import Path

from artificial_pain import cli
from artificial_pain.errors import as_user_error, logger


def parse_args() -> argparse.Namespace:
    parser = cli.module_parser("represent", __doc__)
    help = "folders of finished runs on the same splits: of one head, of four, of several seeds"
    parser.add_argument("folders", nargs="+", type=cli.path, metavar="RUN", help=help)
    parser.add_argument("--output", type=cli.path, default=Path("REPRESENTATIONS.md"), help="(default: %(default)s)")
    help = "SAD, whose sentences are ordered along the axis of a run with intensities (default: none)"
    parser.add_argument("--severity_source", type=cli.data_source, metavar="FILE|URL|sample", help=help)
    parser.add_argument("--map", action="store_true", help="draw the map alone")
    args = parser.parse_args()
    if args.output.suffix != ".md":
        parser.error(f"--output {args.output}: expected a name that ends in .md")
    if args.map and args.severity_source:
        parser.error("--severity_source has no effect with --map: leave out one of them")
    return args


def main(args: argparse.Namespace) -> None:
    folders = list(dict.fromkeys(folder.resolve() for folder in args.folders))
    # Imported here, so that --help and a wrong flag are answered at once.
    from artificial_pain.analysis import page, states
    from artificial_pain.analysis.measures import Measures

    subject, figures = states.load(folders), args.output.with_suffix("")
    with as_user_error(f"{args.output}: cannot be written", OSError, remedy="give another --output"):
        figures.mkdir(parents=True, exist_ok=True)
        args.output.touch()
    severity = states.read_severity(args.severity_source, subject.splits) if args.severity_source else None
    measures = Measures(subject, severity)
    if severity and not measures.intensities:
        logger.warning("--severity_source has no effect: the corpus of the runs has no intensities")
    args.output.write_text(page.page(measures, figures, args.map), encoding="utf-8")
    if not args.map:
        print(page.table(measures).to_string())
        for name, other, tests in page.comparisons(measures):
            print(page.verdict(tests, name, other))
    print(f"{args.output}\n{figures}/")


if __name__ == "__main__":
    cli.run(main, parse_args)

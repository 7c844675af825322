"""Predict the emotion in texts, with probabilities, and the intensities if the trained model has four heads.

python -m artificial_pain.predict RUN_FOLDER "I have not slept for days"
python -m artificial_pain.predict RUN_FOLDER --file texts.txt --format csv > predictions.csv
python -m artificial_pain.predict RUN_FOLDER "I have not slept for days" --explain
"""

import argparse

from artificial_pain import cli
from artificial_pain.errors import as_user_error

BATCH_SIZE = 32  # Predictor's and Ensemble's default too


def parse_args() -> argparse.Namespace:
    parser = cli.module_parser("predict", __doc__)
    parser.add_argument("run_folder", type=cli.path, metavar="RUN", help="as printed by a model script")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="without one: --file, or standard input")
    help = "a text file with one text a line, or a table (.csv, .tsv, .jsonl, .xlsx), whose columns are kept"
    parser.add_argument("--file", type=cli.path, help=help)
    help = "the table's column of texts (default: sentence or text)"
    parser.add_argument("--text_column", type=cli.not_empty, metavar="COLUMN", help=help)
    parser.add_argument("--format", choices=["text", "csv", "jsonl"], default="text", help="(default: %(default)s)")
    help = "correct the intensities by slopes and intercepts from the run's validation split and training mean"
    parser.add_argument("--calibrated_intensities", action="store_true", help=help)
    help = "average with another run of the same setting; may be given several times"
    parser.add_argument("--with_run", type=cli.path, action="append", default=[], metavar="RUN", help=help)
    help = "also say which words have moved the emotion and the initial intensity most (integrated gradients)"
    parser.add_argument("--explain", action="store_true", help=help)
    help = "also write a page with the explained predictions (with --explain or without)"
    parser.add_argument("--html", type=cli.path, metavar="FILE", help=help)
    cli.add_flag(parser, "--batch_size", BATCH_SIZE, "texts at a time", type=cli.positive_integer)
    args = parser.parse_intermixed_args()
    if args.file and args.texts:
        parser.error("give texts or --file, not both")
    args.explain |= bool(args.html)
    if args.html and args.html.is_dir():
        parser.error(f"--html {args.html}: is a folder: give a file")
    if args.explain and args.with_run:
        parser.error("--explain is of one run: leave out --with_run")
    return args


def main(args: argparse.Namespace) -> None:
    # Imported here, so that --help and a wrong flag are answered at once, and a wrong file before torch is imported.
    from artificial_pain.data.cleaning import clean_text
    from artificial_pain.runs import prediction_io

    rows, text_column = prediction_io.read_rows(args.texts, args.file, args.text_column)

    from artificial_pain.runs.predictor import Ensemble

    if args.html:  # fail before the work, where it cannot be written
        with as_user_error(f"{args.html}: cannot be written", OSError, remedy="give another --html"):
            args.html.touch()
    texts = rows[text_column].map(clean_text)
    filled = texts[texts != ""]
    predictor = Ensemble([args.run_folder, *args.with_run], args.calibrated_intensities)
    predictions = predictor(filled.tolist(), args.batch_size).set_index(filled.index)
    if args.explain:
        from artificial_pain.analysis import attribution

        predictions = attribution.explain(predictor.predictors[0], predictions, args.batch_size)
        if args.html:
            attribution.write_html(args.html, predictions)
    predictions = predictions.drop(columns="text").reindex(rows.index)  # a row for each, also for an empty text
    prediction_io.print_predictions(rows, text_column, predictions, args.format)


if __name__ == "__main__":
    cli.run(main, parse_args, prints_results=True)

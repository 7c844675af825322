"""Predict the emotion in texts, with probabilities, and the intensities if the trained model has four heads.

python -m artificial_pain.predict RUN_FOLDER "I have not slept for days"
python -m artificial_pain.predict RUN_FOLDER --file texts.txt --format csv > predictions.csv
"""

import argparse

from artificial_pain import cli

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
    cli.add_flag(parser, "--batch_size", BATCH_SIZE, "texts at a time", type=cli.positive_integer)
    args = parser.parse_intermixed_args()
    if args.file and args.texts:
        parser.error("give texts or --file, not both")
    return args


def main(args: argparse.Namespace) -> None:
    # Imported here, so that --help and a wrong flag are answered at once, and a wrong file before torch is imported.
    from artificial_pain.data.cleaning import clean_text
    from artificial_pain.runs import prediction_io

    rows, text_column = prediction_io.read_rows(args.texts, args.file, args.text_column)

    from artificial_pain.runs.predictor import Ensemble

    texts = rows[text_column].map(clean_text)
    filled = texts[texts != ""]
    predictor = Ensemble([args.run_folder, *args.with_run], args.calibrated_intensities)
    predictions = predictor(filled.tolist(), args.batch_size).set_index(filled.index)
    predictions = predictions.drop(columns="text").reindex(rows.index)  # a row for each, also for an empty text
    prediction_io.print_predictions(rows, text_column, predictions, args.format)


if __name__ == "__main__":
    cli.run(main, parse_args, prints_results=True)

"""Say what a trained model reads in texts: the emotion with probabilities, and with four heads the intensities.

python -m artificial_pain.predict RUN_FOLDER "I have not slept for days"
python -m artificial_pain.predict RUN_FOLDER --file texts.txt --format csv > predictions.csv
"""

import argparse
import json
import sys
from io import StringIO
from pathlib import Path

from artificial_pain import cli, errors
from artificial_pain.errors import UserError, say, warn

FORMATS = ("text", "csv", "jsonl")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m artificial_pain.predict", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("run_folder", type=cli.folder, metavar="RUN", help="as printed by a model script")
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="without one: --file, or standard input")
    parser.add_argument(
        "--file", type=cli.folder, help="a text file with one text a line, or a .csv file with a column `text`"
    )
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="(default: %(default)s)")
    cli.add_flag(parser, "--batch_size", 32, "texts at a time", type=cli.positive_integer)
    args = parser.parse_intermixed_args()
    if args.file and args.texts:
        parser.error("give texts or --file, not both")
    return args


def read_texts(args: argparse.Namespace) -> list[str]:
    """Those that were asked for, empty ones left out and told. Raises UserError where none can be read."""
    if args.texts:
        place, texts = "the command line", args.texts
        if any("\udc80" <= character <= "\udcff" for text in texts for character in text):  # Python's bytes of no text
            raise UserError(f"{place}: is not UTF-8: convert it first")
    elif args.file and args.file.suffix.lower() == ".csv":
        place, texts = args.file, _of_csv(args.file)
    else:
        place = args.file or "standard input"
        if not args.file and sys.stdin and sys.stdin.isatty():
            say("reading texts from standard input, one a line, until Ctrl-D")
        try:
            content = args.file.read_bytes() if args.file else sys.stdin.buffer.read() if sys.stdin else b""
        except OSError as error:
            raise UserError(f"{place}: cannot be read ({error.strerror}): give another --file") from None
        try:
            texts = content.decode("utf-8-sig").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise _not_utf_8(place, error) from None
    kept = [text.strip() for text in texts if text.strip()]
    if not kept:
        raise UserError(f'{place}: has no text: give one as "TEXT", a --file, or lines on standard input')
    if len(kept) < len(texts):
        warn(f"{place}: {len(texts) - len(kept)} empty texts are left out")
    return kept


def _of_csv(path: Path) -> list[str]:
    # Imported here, so that --help and a wrong flag are answered at once.
    from artificial_pain.data import text_csv

    try:
        return text_csv.read_texts(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): give another --file") from None
    except UnicodeDecodeError as error:
        raise _not_utf_8(path, error) from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _not_utf_8(place: Path | str, error: UnicodeDecodeError) -> UserError:
    return UserError(f"{place}: is not UTF-8 ({error.reason} at byte {error.start}): convert it first")


def main() -> None:
    args = arguments()
    texts = read_texts(args)
    if sys.stdout:  # which may be closed
        sys.stdout.reconfigure(encoding="utf-8")  # as the texts are, whatever the terminal's is

    from artificial_pain.data import text_csv
    from artificial_pain.runs.predictor import Predictor

    predictions = Predictor(args.run_folder)(texts, args.batch_size)
    if args.format == "csv":
        lines = StringIO()
        text_csv.write(lines, predictions, index=False)
        print(lines.getvalue(), end="")
        return
    of_labels = predictions.filter(like="probability_").rename(columns=lambda name: name.removeprefix("probability_"))
    of_intensities = predictions.drop(columns=["text", "emotion", *predictions.filter(like="probability_")])
    for i, (text, emotion) in enumerate(zip(predictions["text"], predictions["emotion"], strict=True)):
        probabilities, intensities = of_labels.iloc[i], of_intensities.iloc[i]
        if args.format == "jsonl":
            row = {"text": text, "emotion": emotion, "probabilities": probabilities.to_dict()}
            print(json.dumps(row | ({"intensities": intensities.to_dict()} if len(intensities) else {})))
            continue
        likely = probabilities.sort_values(ascending=False, kind="stable")
        print(text)
        print("  " + ", ".join(f"{name} {value:.2f}" for name, value in likely.items()))
        if len(intensities):
            print("  intensity: " + ", ".join(f"{name} {value:.1f}" for name, value in intensities.items()))


if __name__ == "__main__":
    errors.run(main)

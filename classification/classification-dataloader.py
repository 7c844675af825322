"""Build the splits of the classification task: a corpus becomes labelled, split, balanced and tokenized examples.

python classification/classification-dataloader.py --model_name mental/mental-roberta-base --dataset_name ESConv
python classification/classification-dataloader.py --dataset_name SAD --balanced --samples_per_label 1500
"""

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package, wherever the script is started from

from artificial_pain import cli, encoders, flags, storage

TASK = "classification"
DATASETS = ["ESConv", "SAD"]

# The published recipe. The intensity task has the same numbers.
MIN_EXAMPLES = 15  # an emotion of ESConv with fewer dialogues is dropped: 7 emotions stay
HELD_OUT_SHARE = 0.3  # the share of the examples that is held out of training
TEST_SHARE = 0.6667  # the share of those that is the test split: train/validation/test 70/10/20
SAMPLES_PER_LABEL = 1500  # training examples of each label, with --balanced
MAX_CROP = 0.3  # at most this share of a sentence's words is cut, to augment SAD
MIN_WORDS = 3  # at least so many words stay
MAX_LENGTH = 512  # tokens: the end of a longer text is cut off
SEED = 42  # of the split and the balancing


def parse_args() -> argparse.Namespace:
    return flags.parse_dataloader_args(__doc__, TASK, DATASETS, SAMPLES_PER_LABEL, MAX_LENGTH, SEED)


def main(args: argparse.Namespace) -> None:
    storage.require_writable(args.output_dir)

    # 1. The tokenizer of the encoder that will read the splits.
    encoder = encoders.fetch(args.model_name, args.revision, weights=None)  # the tokenizer alone
    # Imported here, so that --help, a wrong flag and a gated encoder are answered at once.
    from artificial_pain.data import examples, sources, splits, statistics, tokenization

    tokenizer = encoders.load_tokenizer(encoder)
    max_length = tokenization.resolve_length(encoder, tokenizer, args.max_length, MAX_LENGTH)

    # 2. The corpus, a row an example. ESConv: all that the help seeker says in a dialogue, and the emotion; rare
    #    emotions are dropped. SAD: a sentence, and the kind of stressor, from its column --label_column.
    source = sources.locate(args.dataset_name, args.data_source)
    corpus = sources.read_corpus(args.dataset_name, source, args.label_column, args.text_column)
    corpus = sources.add_imhi_split(corpus, source) if args.split == "imhi" else corpus
    corpus = splits.deduplicate(corpus) if args.deduplicate else corpus
    corpus = splits.drop_rare(corpus, MIN_EXAMPLES if args.dataset_name == "ESConv" else 0)

    # 3. Labels are indices into the labels' names in alphabetical order.
    corpus, label_names = splits.add_labels(corpus, source, MIN_EXAMPLES)

    # 4. The stratified split: each split has the corpus' shares of the labels. With --folds, each example is in the
    #    test split of one of the folds, and validation is as large as without.
    parts = splits.split(corpus, HELD_OUT_SHARE, TEST_SHARE, args.seed, args.folds, args.fold)
    label_counts = splits.label_counts(parts["train"])  # before the balancing, for the majority baseline

    # 5. Balance the training split alone. A label with more examples is sampled down. One with fewer gains augmented
    #    ones: dialogues without a random number of turns between first and last, sentences cut at either end.
    if args.balanced:
        crop_words = partial(splits.crop_words, max_crop=MAX_CROP, min_words=MIN_WORDS)
        augment = splits.drop_turns if args.dataset_name == "ESConv" else crop_words
        parts = splits.balance(parts, args.samples_per_label, augment, args.seed)

    # 6. Tokenize and truncate. Padding is done for each batch, in the training.
    tokenized, truncated = tokenization.tokenize(parts, label_names, tokenizer, max_length)

    # 7. Save all files or none, with the settings they were made with; print the table.
    layout = examples.layout(args, encoder)
    settings = tokenization.settings(args, encoder, tokenizer, source, max_length, label_counts)
    with storage.exclusive_lock(layout.corpus, wait=True), storage.atomic_update(layout.corpus) as folder:
        fingerprint = tokenization.save(folder, layout, parts, tokenized, settings)
        described = statistics.describe(parts, tokenized, truncated, corpus, settings, fingerprint)
        storage.write_json(folder / layout.statistics, described)
    print(statistics.table(described))
    print(f"Written to {layout.corpus}: {layout.text_splits}/, {layout.tokenized_splits}/, {layout.statistics}")


if __name__ == "__main__":
    cli.run(main, parse_args)

"""What a dataloader script does: a corpus becomes labelled, split, balanced and tokenized examples on disk."""

import argparse
from functools import partial

from artificial_pain import storage
from artificial_pain.data import sources, splits, statistics, tokenization
from artificial_pain.data.corpora import read_corpus
from artificial_pain.encoders import Encoder
from artificial_pain.errors import without_secrets
from artificial_pain.storage import checksum

# Published.
MIN_EXAMPLES = 15  # an emotion with fewer dialogues is dropped
HELD_OUT_SHARE = 0.3  # of the examples leave the training split,
TEST_SHARE = 0.6667  # and of those so many are the test split, the rest validation
MAX_CROP = 0.3  # the share of a sentence's words that an augmentation may cut
MIN_WORDS = 3  # what it leaves at least
AUGMENTATIONS = {
    "ESConv": splits.drop_turns,
    "SAD": partial(splits.crop_words, max_crop=MAX_CROP, min_words=MIN_WORDS),
}


def prepare(args: argparse.Namespace, encoder: Encoder) -> None:
    """Make the splits that the flags ask for, tokenized for the encoder, and print what was made.

    The same flags give both tasks the same splits. Raises UserError where the corpus or the encoder's tokenizer cannot
    be used; exits with code 2 where --max_length does not suit the encoder.
    """
    tokenizer = tokenization.load_tokenizer(encoder)
    tokenization.require_length(encoder, tokenizer, args.max_length)
    path = sources.locate(args.dataset_name, args.data_source)
    frame = read_corpus(args.dataset_name, path, args.label_column)
    dropped = {}
    if args.dataset_name == "ESConv":
        frame, dropped = splits.drop_rare(frame, MIN_EXAMPLES)
    frame, label_names = splits.add_labels(frame, path, MIN_EXAMPLES)
    parts = splits.split(frame, HELD_OUT_SHARE, TEST_SHARE, args.seed)
    label_counts = splits.label_counts(parts["train"])
    if args.balanced:
        parts = splits.balance(parts, args.samples_per_label, AUGMENTATIONS[args.dataset_name], args.seed)
    tokenized, truncated = tokenization.tokenize(parts, label_names, tokenizer, args.max_length)

    layout = storage.Layout(args.output_dir, args.dataset_name, encoder.short_name, args.balanced)
    settings = {
        **{name: value for name, value in vars(args).items() if name != "output_dir"},
        "data_source": args.data_source and without_secrets(args.data_source),
        "revision": encoder.revision,
        "tokenizer": tokenization.tokenizer_digest(tokenizer),
        "label_counts": label_counts,
        "corpus_sha256": checksum(path),
    }
    with storage.exclusive_lock(layout.corpus, wait=True), storage.atomic_update(layout.corpus) as folder:
        fingerprint = tokenization.save(folder, layout, parts, tokenized, settings)
        described = {name: statistics.describe(parts[name], tokenized[name], truncated[name]) for name in parts}
        made = {
            **described,
            "dropped_labels": dropped,
            "invalid_intensities": frame.attrs.get("invalid_intensities", 0),
            "split_overlap": splits.split_overlap(parts),
            "settings": settings,
            "fingerprint": fingerprint,
        }
        storage.write_json(folder / layout.statistics, made)
    print(statistics.table(made, label_names))
    print(f"Written to {layout.corpus}: {layout.text_splits}/, {layout.tokenized_splits}/, {layout.statistics}")

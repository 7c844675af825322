"""A corpus: its file, which is the published one, the bundled sample or the user's own, and its frame."""

import sys
from pathlib import Path

import pandas as pd
import pooch

from artificial_pain import environment, storage
from artificial_pain.data import esconv, examples, files, sad
from artificial_pain.data.vocabulary import SPLIT
from artificial_pain.errors import UserError, as_user_error, redact

RETRIES = 2  # after the first try
TIMEOUT = 10  # seconds without an answer

# The published files: the URL names the commit, and the bytes have the digest, git's object id or SHA-256.
RAW = "https://raw.githubusercontent.com"
ESCONV = f"{RAW}/thu-coai/Emotional-Support-Conversation/f262d062ad74cb39b17ea476facc81568ddcba24/ESConv.json"
SAD = f"{RAW}/PervasiveWellbeingTech/Stress-Annotated-Dataset-SAD/1d6aa672c4eeb82e0bbc6533b75e0694da80ae20/SAD_v1.zip"
PUBLISHED = {
    "ESConv": (ESCONV, "2f7a69eeda505053eac68f9ab26fd728d0f6db31"),
    "SAD": (SAD, "74595bc41dc3a91de0563f43bf8e945498bfddf53138167b21eb5355444be2fe"),
}
# The split of the IMHI benchmark (Yang et al., WWW 2024): a letter for each row of SAD's sheet.
IMHI = Path(__file__).with_name("imhi") / "SAD-split.txt"
IMHI_LETTERS = {"t": "train", "v": "validation", "e": "test", "-": None}
SAMPLE_FOLDER = Path(__file__).with_name("sample")
SAMPLE = {"ESConv": SAMPLE_FOLDER / "ESConv.json", "SAD": SAMPLE_FOLDER / "SAD_v1.zip"}


def locate(dataset_name: str, data_source: str | None) -> examples.Source:
    """The corpus file on disk: the published one (None), the bundled "sample", a URL's, or a local file.

    Raises UserError where it cannot be downloaded or read, or is not the published file.
    """
    url, digest = PUBLISHED[dataset_name]
    if data_source is None:
        return examples.Source(download(url, digest, _cache()), url, dataset_name)
    if data_source == examples.SAMPLE:
        path = SAMPLE[dataset_name]
        return examples.Source(path, str(path), f"the synthetic sample of {dataset_name}")
    path = download(data_source, None, _cache()) if examples.is_url(data_source) else Path(data_source)
    place = redact(data_source)
    with as_user_error(f"{place}: cannot be read", OSError, remedy="give another --data_source"):
        size = path.stat().st_size
        if not path.is_file():  # a folder, or a device without an end
            raise UserError(f"{place}: is not a file: give a file or a URL as --data_source")
        if size > files.MAX_BYTES:
            raise UserError(f"{place}: refused, it has {size:,} bytes: expected {files.MAX_BYTES:,} at most")
        is_published = storage.checksum_like(path, digest) == digest
    return examples.Source(path, place, dataset_name if is_published else examples.file_name(place))


def _cache() -> Path:
    """Below XDG_CACHE_HOME where that is set. A user without a home has none, and needs none for a file."""
    return pooch.os_cache("artificial-pain").expanduser()


def download(url: str, digest: str | None, folder: Path) -> Path:
    """The file in the cache folder, downloaded unless it is there and verified; bytes with another digest are removed.

    Without a digest nothing says whether a cached copy is still the file: it is downloaded anew every time. Raises
    UserError where the download fails, after RETRIES more tries.
    """

    def fetch_verified(url: str, output_file: str, pooch_object: object) -> None:
        pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)(url, output_file, pooch_object)
        if digest and (found := storage.checksum_like(Path(output_file), digest)) != digest:
            raise ValueError(f"it is not the published file: its digest is {found}, not {digest}")

    pooch.get_logger().setLevel("WARNING")
    remedy = f"check the network{environment.network_settings()}, or give a copy with --data_source FILE"
    # Of the disk and requests; of a URL or digest.
    with as_user_error(f"{url}: cannot be downloaded to {folder}", OSError, ValueError, remedy=remedy):
        name = pooch.utils.unique_file_name(url)
        path = folder / name
        if path.exists() and not (digest and storage.checksum_like(path, digest) == digest):
            path.unlink()
        cache = pooch.create(folder, "", registry={name: None}, urls={name: url}, retry_if_failed=RETRIES)
        return Path(cache.fetch(name, downloader=fetch_verified))


def read_corpus(
    dataset_name: str, source: examples.Source, label_column: str | None = None, text_column: str | None = None
) -> pd.DataFrame:
    """Read a corpus file into a frame with a row for each example: `text`, `label_name`, and for ESConv `turns` (the
    seeker's, a list of str), `strategies` (the supporter's before each, lists of str), `initial_intensity`,
    `final_intensity`, `intensity_change` (float, NaN where unknown), `problem_type` and `experience_type`; and `split`
    where the file has one. Its index is the example's position in the corpus file, from 0.

    Raises UserError that names the file and the place in it.
    """
    with as_user_error(f"{source}: cannot be read", OSError, remedy="give another --data_source"):
        content = source.path.read_bytes()
    if dataset_name == "ESConv":
        return esconv.read_esconv(content, source.place)
    return sad.read_sad(content, source.place, label_column, text_column)


def add_imhi_split(frame: pd.DataFrame, source: examples.Source) -> pd.DataFrame:
    """SAD's frame with the column `split` of the IMHI benchmark, without the three rows that are in none of its splits.

    Raises UserError where the frame is of another file than the published one.
    """
    if (found := storage.checksum(source.path)) != PUBLISHED["SAD"][1]:
        other = f"its SHA-256 is {found}, not {PUBLISHED['SAD'][1]}"
        raise UserError(f"{source}: --split imhi is of SAD's published file alone, and {other}: leave out --split")
    letters = IMHI.read_text(encoding="utf-8").strip()
    given = frame.assign(**{SPLIT: [IMHI_LETTERS[letter] for letter in letters]})
    return given[given[SPLIT].notna()]

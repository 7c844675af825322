"""A corpus: its file, which is the published one, the bundled sample or the user's own, and its frame."""

import sys
from pathlib import Path

import pandas as pd
import pooch

from artificial_pain.data.esconv import read_esconv
from artificial_pain.data.sad import MAX_BYTES, read_sad
from artificial_pain.environment import network_settings
from artificial_pain.errors import UserError, as_user_error
from artificial_pain.storage import checksum_like

RETRIES = 2  # after the first try
TIMEOUT = 10  # seconds without an answer

# The published files: the URL names the commit, and the bytes have the digest, git's object id or SHA-256.
PUBLISHED = {
    "ESConv": (
        "https://raw.githubusercontent.com/thu-coai/Emotional-Support-Conversation/"
        "f262d062ad74cb39b17ea476facc81568ddcba24/ESConv.json",
        "2f7a69eeda505053eac68f9ab26fd728d0f6db31",
    ),
    "SAD": (
        "https://raw.githubusercontent.com/PervasiveWellbeingTech/Stress-Annotated-Dataset-SAD/"
        "1d6aa672c4eeb82e0bbc6533b75e0694da80ae20/SAD_v1.zip",
        "74595bc41dc3a91de0563f43bf8e945498bfddf53138167b21eb5355444be2fe",
    ),
}
SAMPLE_FOLDER = Path(__file__).with_name("sample")
SAMPLE = {"ESConv": SAMPLE_FOLDER / "ESConv.json", "SAD": SAMPLE_FOLDER / "SAD_v1.zip"}


def locate(dataset_name: str, data_source: str | None) -> Path:
    """The corpus file on disk: the published one (None), the bundled "sample", a URL's, or a local file.

    Raises UserError where it cannot be downloaded, or is not the published file.
    """
    cache = pooch.os_cache("artificial-pain").expanduser()  # below XDG_CACHE_HOME where that is set
    if data_source is None:
        return download(*PUBLISHED[dataset_name], cache)
    if data_source == "sample":
        return SAMPLE[dataset_name]
    if data_source.startswith(("http://", "https://")):
        return download(data_source, None, cache)
    return Path(data_source)


def download(url: str, digest: str | None, folder: Path) -> Path:
    """The file in the cache folder, downloaded unless it is there and verified; bytes with another digest are removed.

    Without a digest nothing says whether a cached copy is still the file: it is downloaded anew every time. Raises
    UserError where the download fails, after RETRIES more tries.
    """

    def fetch_verified(url: str, output_file: str, pooch_object: object) -> None:
        pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)(url, output_file, pooch_object)
        if digest and (found := checksum_like(Path(output_file), digest)) != digest:
            raise ValueError(f"it is not the published file: its digest is {found}, not {digest}")

    pooch.get_logger().setLevel("WARNING")
    remedy = f"check the network{network_settings()}, or give a copy with --data_source FILE"
    # Of the disk and requests; of a URL or digest.
    with as_user_error(f"{url}: cannot be downloaded to {folder}", OSError, ValueError, remedy=remedy):
        name = pooch.utils.unique_file_name(url)
        path = folder / name
        if path.exists() and not (digest and checksum_like(path, digest) == digest):
            path.unlink()
        cache = pooch.create(folder, "", registry={name: None}, urls={name: url}, retry_if_failed=RETRIES)
        return Path(cache.fetch(name, downloader=fetch_verified))


def read_corpus(dataset_name: str, path: Path, label_column: str | None = None) -> pd.DataFrame:
    """Read a corpus file into a frame with a row for each example: `text`, `label_name`, and for ESConv `turns` (the
    seeker's, a list of str), `initial_intensity`, `final_intensity`, `intensity_change` (float, NaN where unknown),
    `problem_type` and `experience_type`. Its index is the example's position in the corpus file, from 0.

    Raises UserError that names the file and the place in it.
    """
    with as_user_error(f"{path}: cannot be read", OSError, remedy="give another --data_source"):
        size = path.stat().st_size
        if not path.is_file():  # a folder, or a device without an end
            raise UserError(f"{path}: is not a file: give a file or a URL as --data_source")
        if size > MAX_BYTES:
            raise UserError(f"{path}: refused, it has {size:,} bytes: expected {MAX_BYTES:,} at most")
        content = path.read_bytes()
    if not content.strip():
        raise UserError(f"{path}: the file is empty")
    return read_esconv(content, path) if dataset_name == "ESConv" else read_sad(content, path, label_column)

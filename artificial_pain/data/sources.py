"""A corpus file's source: the published one, downloaded and verified, the bundled sample, or the user's own."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pooch

from artificial_pain.errors import UserError
from artificial_pain.storage import checksum

RETRIES = 2  # after the first try
TIMEOUT = 10  # seconds without an answer

SAMPLE_FOLDER = Path(__file__).resolve().parent / "sample"


@dataclass(frozen=True)
class Published:
    """A published file: its URL names the commit, its bytes must have the digest."""

    url: str
    algorithm: str  # "sha256", or "git-blob": git's SHA-1 over a header and the content
    digest: str


PUBLISHED = {
    "ESConv": Published(
        "https://raw.githubusercontent.com/thu-coai/Emotional-Support-Conversation/"
        "f262d062ad74cb39b17ea476facc81568ddcba24/ESConv.json",
        "git-blob",
        "2f7a69eeda505053eac68f9ab26fd728d0f6db31",
    ),
    "SAD": Published(
        "https://raw.githubusercontent.com/PervasiveWellbeingTech/Stress-Annotated-Dataset-SAD/"
        "1d6aa672c4eeb82e0bbc6533b75e0694da80ae20/SAD_v1.zip",
        "sha256",
        "74595bc41dc3a91de0563f43bf8e945498bfddf53138167b21eb5355444be2fe",
    ),
}
SAMPLE = {"ESConv": SAMPLE_FOLDER / "ESConv.json", "SAD": SAMPLE_FOLDER / "SAD_v1.zip"}


def locate(dataset_name: str, data_source: str | None) -> Path:
    """The corpus file on disk: the published one (None), the bundled "sample", a URL's, or a local file.

    Raises UserError where it cannot be read or downloaded, or is not the published file.
    """
    if data_source is None:
        return download(PUBLISHED[dataset_name], cache_folder())
    if data_source == "sample":
        return SAMPLE[dataset_name]
    if data_source.startswith(("http://", "https://")):
        return download(Published(data_source, algorithm="", digest=""), cache_folder())
    try:
        if stat.S_ISREG(os.stat(data_source).st_mode):
            return Path(data_source)
    except OSError as error:
        raise UserError(f"--data_source {data_source}: cannot be read ({error.strerror})") from None
    raise UserError(f"--data_source {data_source}: is not a file")


def cache_folder() -> Path:
    """The folder of the downloads, below XDG_CACHE_HOME where that is set."""
    return Path(pooch.os_cache("artificial-pain"))


def download(published: Published, folder: Path) -> Path:
    """The file in the cache folder, downloaded unless it is there and verified; bytes with another digest are removed.

    Without a digest nothing says whether a cached copy is still the file: it is downloaded anew every time. Raises
    UserError where the download fails, after RETRIES more tries.
    """

    def fetch_verified(url: str, output_file: str, pooch_object: object) -> None:
        pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)(url, output_file, pooch_object)
        if published.digest:
            digest = checksum(Path(output_file), published.algorithm)
            if digest != published.digest:
                raise ValueError(f"it is not the published file: its {published.algorithm} is {digest}")

    pooch.get_logger().setLevel("WARNING")
    try:
        name = pooch.utils.unique_file_name(published.url)
        path = folder / name
        if path.exists() and not (published.digest and checksum(path, published.algorithm) == published.digest):
            path.unlink()
        registry, urls = {name: None}, {name: published.url}
        cache = pooch.create(folder, base_url="", registry=registry, urls=urls, retry_if_failed=RETRIES)
        return Path(cache.fetch(name, downloader=fetch_verified))
    except (OSError, ValueError) as error:  # of the disk and requests; of a URL or digest
        raise UserError(
            f"{published.url}: cannot be downloaded to {folder} ({type(error).__name__}: {error}): "
            "check the network, or give a copy with --data_source FILE"
        ) from None

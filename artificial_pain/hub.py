"""Files of the Hugging Face hub: asked for with limits, each verified to be what the hub said it is; and uploaded."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token, set_client_factory, snapshot_download
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError
from huggingface_hub.utils._http import default_client_factory

from artificial_pain.errors import UserError, first_line
from artificial_pain.storage import checksum

MAX_REQUESTS = 8  # times for the same part of a file
UPLOAD_TIMEOUT = 60  # seconds without a byte, for the hub looks at a large file before it answers
# What stays at home of a run's folder. The predictions have the corpus' texts.
UPLOAD_IGNORE_PATTERNS = ["predictions_*.csv", "checkpoints/*", ".*"]
RETRY_DELAYS = (1, 2)  # seconds before the hub is asked again what it has. For files, its client retries by itself.


def _set_limits(timeout: float) -> None:
    """Have the library's client, which would wait for ever for some answers, wait `timeout` seconds for each byte, and
    ask for the same MAX_REQUESTS times: for some it would for ever.
    """
    asked = Counter()

    def bound(request) -> None:
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        the_same = (request.method, request.url, request.headers.get("Range"))
        asked[the_same] += 1
        if asked[the_same] > MAX_REQUESTS:
            raise OSError(f"{request.url} was asked for {MAX_REQUESTS} times")

    def impatient_client():
        client = default_client_factory()
        client.event_hooks = {**client.event_hooks, "request": [*client.event_hooks["request"], bound]}
        return client

    set_client_factory(impatient_client)


def download(name: str, revision: str, wanted: Sequence[str]) -> Path:
    """The folder of the hub's cache with the wanted files, as many as there are; each is what the hub said it is."""
    _set_limits(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    waits = iter(RETRY_DELAYS)
    while True:
        try:
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(wanted)))
            break
        except LocalEntryNotFoundError as error:
            answer = getattr(error.__cause__, "response", None)
            wait = next(waits, None)
            if wait is None or answer is None or answer.status_code < 500 or "/api/" not in str(answer.url):
                raise
            time.sleep(wait)
    for path in folder.iterdir():
        if path.name in wanted:
            _verify(path, name)
    return folder


def _verify(path: Path, name: str) -> None:
    """Remove a file of the hub's cache, and raise UserError, where its bytes are not what the hub said they are.

    In the cache a file is a link to one that is called by its digest: SHA-256 of a large one, else git's.
    """
    content = path.resolve()
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", content.name):
        return  # a cache on a system without links, which does not keep the digests
    if checksum(content, "git-blob" if len(content.name) == 40 else "sha256") != content.name:
        content.unlink()
        path.unlink(missing_ok=True)
        raise UserError(f"{name}: {path.name} is not the file that the hub promised, and was removed: try again")


@contextmanager
def _telling_of_uploads(name: str) -> Iterator[None]:
    _set_limits(UPLOAD_TIMEOUT)
    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(
            f"--push_to_hub {name}: {constants.ENDPOINT} did not take it ({reason}): check the name, that HF_TOKEN may "
            "write there, and the network; the same command then goes on, and trains nothing that is trained"
        ) from error


def make_repository(name: str) -> None:
    """A private model repository, unless it is there. Raises UserError where the user may not, or is not known."""
    if get_token() is None:
        raise UserError(f"--push_to_hub {name}: needs a token that may write: set HF_TOKEN, or `hf auth login`")
    with _telling_of_uploads(name):
        HfApi().create_repo(name, private=True, exist_ok=True)


def upload(run_folder: Path, name: str) -> str:
    """Upload a finished run's folder, but for UPLOAD_IGNORE_PATTERNS, as one commit: its address. Raises UserError."""
    with _telling_of_uploads(name):
        commit = HfApi().upload_folder(repo_id=name, folder_path=run_folder, ignore_patterns=UPLOAD_IGNORE_PATTERNS)
        return str(commit.commit_url)

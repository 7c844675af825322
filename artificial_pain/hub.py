"""Files of the Hugging Face hub: downloads with limits, each file verified by the hub's digest; and uploads."""

import functools
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import httpx2  # huggingface_hub's HTTP client
from huggingface_hub import HfApi, constants, get_session, get_token, set_client_factory, snapshot_download
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from artificial_pain import environment, storage
from artificial_pain.errors import UserError, as_user_error

MAX_REQUESTS = 8  # for the same part of a file
UPLOAD_TIMEOUT = 60  # seconds without a byte: the hub reads a large file before it answers
UPLOAD_IGNORE_PATTERNS = ["predictions_*.csv", "checkpoints/*", ".*"]  # the predictions have the corpus' texts
RETRY_DELAYS = (1, 2)  # seconds before the hub is asked again which files it has; for files its client retries itself


@functools.cache
def _library_hooks() -> list[Callable]:
    """The request hooks of the library's own client."""
    return get_session().event_hooks["request"]


def _limit_requests(timeout: float) -> None:
    """Let huggingface_hub's client wait `timeout` seconds for each byte, and send the same request MAX_REQUESTS times.

    By itself it would wait for some answers, and repeat some requests, for ever.
    """
    counts = Counter()
    hooks, refusal = [], OfflineModeIsEnabled("HF_HUB_OFFLINE") if constants.HF_HUB_OFFLINE else None
    try:  # offline, the settings of the network, which may be invalid, are not read
        hooks = [] if refusal else _library_hooks()
        httpx2.Client(trust_env=not refusal).close()
    except (ValueError, OSError, ImportError, httpx2.InvalidURL) as error:
        refusal = httpx2.ConnectError(str(error))  # after which the library looks into its cache

    def limit(request: httpx2.Request) -> None:
        if refusal:
            raise refusal
        # Here and not in the client, whose timeout loses against the library's `timeout=None` in a call.
        request.extensions["timeout"] = httpx2.Timeout(timeout).as_dict()
        key = (request.method, request.url, request.headers.get("Range"))
        counts[key] += 1
        if counts[key] > MAX_REQUESTS:
            raise OSError(f"{request.url} was asked for {MAX_REQUESTS} times")

    options = {"event_hooks": {"request": [limit, *hooks]}, "trust_env": not refusal, "follow_redirects": True}
    set_client_factory(lambda: httpx2.Client(**options))


def download(name: str, revision: str, filenames: Sequence[str]) -> Path:
    """Download those of the files that the repository has, verify them, and return their folder in the hub's cache.

    Raises UserError where a file does not have the hub's digest, and what huggingface_hub raises.
    """
    _limit_requests(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    download_files = functools.partial(snapshot_download, name, revision=revision, allow_patterns=list(filenames))
    for delay in (*RETRY_DELAYS, None):
        try:
            folder = Path(download_files())
            break
        except httpx2.ProxyError as error:  # for which alone the library does not look into its cache by itself
            with suppress(LocalEntryNotFoundError):
                folder = Path(download_files(local_files_only=True))
                break
            raise LocalEntryNotFoundError(str(error)) from error
        except LocalEntryNotFoundError as error:
            response = getattr(error.__cause__, "response", None)
            if delay is None or response is None or response.status_code < 500 or "/api/" not in str(response.url):
                raise
            time.sleep(delay)
    for path in map(folder.joinpath, filenames):
        if path.exists():  # where the repository has none of the files, there is no folder
            _verify(path, name)
    return folder


def _verify(path: Path, name: str) -> None:
    """Remove a file of the hub's cache and raise UserError if its content does not have the hub's digest.

    In the cache a file is a link to one that is named by its digest: SHA-256 of a large file, git's of a small one.
    """
    content = path.resolve()
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", content.name):
        return  # a cache on a system without links, which does not keep the digests
    if storage.checksum_like(content, content.name) != content.name:
        content.unlink()
        path.unlink(missing_ok=True)
        raise UserError(f"{name}: {path.name} is not the file that the hub promised, and was removed: try again")


def _uploading(name: str) -> AbstractContextManager:
    """Limits of an upload to this repository, whose failure becomes a UserError."""
    _limit_requests(UPLOAD_TIMEOUT)
    refused = f"--push_to_hub {name}: {constants.ENDPOINT} did not take it"
    network = f"the network{environment.network_settings()}"
    remedy = f"check the name, that HF_TOKEN may write there, and {network}; the same command then goes on, and "
    remedy += "trains nothing that is trained"
    return as_user_error(refused, HTTPError, OSError, ValueError, remedy=remedy)


def make_repository(name: str) -> None:
    """Make a private model repository, if there is none. Raises UserError where the user has no right to."""
    if get_token() is None:
        raise UserError(f"--push_to_hub {name}: needs a token that may write: set HF_TOKEN, or `hf auth login`")
    with _uploading(name):
        HfApi().create_repo(name, private=True, exist_ok=True)


def upload(run_folder: Path, name: str) -> str:
    """Upload a finished run's folder, without UPLOAD_IGNORE_PATTERNS, as one commit, and return the commit's URL.

    Raises UserError.
    """
    with _uploading(name):
        commit = HfApi().upload_folder(repo_id=name, folder_path=run_folder, ignore_patterns=UPLOAD_IGNORE_PATTERNS)
        return str(commit.commit_url)

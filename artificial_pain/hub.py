"""Files of the Hugging Face hub: asked for with limits, and each verified to be what the hub said it is."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import constants, set_client_factory, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils._http import default_client_factory

from artificial_pain.digests import digest
from artificial_pain.errors import UserError

MOST_ASKED = 8  # times for the same part of a file
WAITS = (1, 2)  # seconds before the hub is asked again what it has; for the files, its client asks again by itself


def download(name: str, revision: str, wanted: Sequence[str]) -> Path:
    """The folder of the hub's cache with the wanted files, as many as there are; each is what the hub said it is."""
    asked = Counter()

    def bound(request) -> None:
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        the_same = (request.method, request.url, request.headers.get("Range"))
        asked[the_same] += 1
        if asked[the_same] > MOST_ASKED:
            raise OSError(f"{request.url} was asked for {MOST_ASKED} times")

    def impatient_client():
        """The library's own, which would wait for some answers for ever, and for ever ask again for some."""
        client = default_client_factory()
        client.event_hooks = {**client.event_hooks, "request": [*client.event_hooks["request"], bound]}
        return client

    set_client_factory(impatient_client)
    waits = iter(WAITS)
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
    if digest(content, "git-blob" if len(content.name) == 40 else "sha256") != content.name:
        content.unlink()
        path.unlink(missing_ok=True)
        raise UserError(f"{name}: {path.name} is not the file that the hub promised, and was removed: try again")

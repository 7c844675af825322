"""A stand-in for the Hugging Face hub on the loopback interface, for tests of code that downloads models.

It speaks the part of the hub's HTTP interface that ``huggingface_hub`` uses to describe a model repository and to
download it: the model information, the file tree and the files themselves. Refusals carry the status and the headers
by which the client chooses its exception, so that code under test meets the same exception classes as with the real
hub. Point a process at it with the environment variable ``HF_ENDPOINT``, which the client reads when it is imported.

>>> with Hub({"owner/name": folder}, gated=["owner/name"], tokens={"hf_good": ["owner/name"]}) as hub:
...     subprocess.run(command, env={**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_good"})
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

BRANCH = "main"
# The hub keeps files of these kinds outside git: their ETag is the SHA-256 of the content, not the git blob's id.
LARGE_FILE_SUFFIXES = (".safetensors", ".bin", ".model", ".pt", ".ckpt", ".h5", ".msgpack", ".onnx")
POINTER_SIZE = 134
FIXED_DATE = "2024-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class _File:
    """One file of a repository, as it was when the hub was made."""

    path: str
    content: bytes

    @property
    def blob_id(self) -> str:
        """The id that git gives to the file's content."""
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of a large file; None for a file that the hub would keep in git."""
        return hashlib.sha256(self.content).hexdigest() if self.path.endswith(LARGE_FILE_SUFFIXES) else None

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob_id


@dataclass(frozen=True)
class _Repository:
    """The files of a model repository under its only commit."""

    name: str
    files: Mapping[str, _File]
    commit: str

    @classmethod
    def read(cls, name: str, folder: Path) -> _Repository:
        """Take the files of ``folder``, which may change afterwards without the hub noticing."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        if not paths:
            raise ValueError(f"no files for the repository {name} in {folder}")
        files = [_File(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]
        listing = "\n".join([name, *(f"{file.blob_id} {file.path}" for file in files)])
        return cls(name, {file.path: file for file in files}, hashlib.sha1(listing.encode()).hexdigest())


@dataclass(frozen=True)
class _Reply:
    """What to answer to one request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Any) -> _Reply:
        return cls(200, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"})


@dataclass
class _Fault:
    """A way to misbehave, to requests whose path contains ``path``, so many times."""

    how: str
    path: str
    times: int


class _Refusal(Exception):
    """A request that the hub turns down; the client picks its exception by the status and the error code."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def reply(self) -> _Reply:
        headers = {"Content-Type": "application/json; charset=utf-8", "X-Error-Message": self.message, **self.headers}
        if self.code is not None:
            headers["X-Error-Code"] = self.code
        return _Reply(self.status, json.dumps({"error": self.message}).encode(), headers)


class Hub:
    """A hub with the given repositories, serving while it is used as a context manager.

    ``gated`` names the repositories whose files need an accepted token; what is known about them stays public.
    ``tokens`` maps each token that the hub knows to the gated repositories that it may read; any other token is
    refused for every request, as the real hub does, even for public repositories.
    """

    def __init__(
        self,
        repositories: Mapping[str, Path],
        gated: Collection[str] = (),
        tokens: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        unknown = set(gated) - set(repositories)
        if unknown:
            raise ValueError(f"gated repositories that the hub does not have: {sorted(unknown)}")
        self._repositories = {name: _Repository.read(name, Path(path)) for name, path in repositories.items()}
        # The real hub sends on from the names that its oldest repositories had.
        self._bare_names = {name.split("/")[1]: name for name in repositories}
        self._gated = frozenset(gated)
        self._tokens = {token: frozenset(names) for token, names in (tokens or {}).items()}
        self._server: _Server | None = None
        self._thread: Thread | None = None
        self._faults: list[_Fault] = []
        self.requests: list[tuple[str, str]] = []
        """The method and the path, with its query, of each request so far."""

    def misbehave(self, how: str, path: str = "", times: int = sys.maxsize) -> None:
        """From now on, answer the next ``times`` requests whose path contains ``path`` in one of these ways.

        hang: never; 500, 401: with that status; cut: with half of the body; half: the same, whatever was asked for;
        bytes: with the last byte changed; redirect: with another address of the same thing; loop: with its own.
        """
        self._faults.append(_Fault(how, path, times))

    def behave(self) -> None:
        """Answer well again."""
        self._faults.clear()

    def _fault(self, path: str) -> str | None:
        """How to misbehave to a request."""
        for fault in self._faults:
            if fault.path in path and fault.times > 0 and not path.endswith("?again"):
                fault.times -= 1
                return fault.how
        return None

    @property
    def endpoint(self) -> str:
        """The address for HF_ENDPOINT; the port is chosen anew each time the hub starts."""
        if self._server is None:
            raise RuntimeError("the hub serves only inside its with block")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def commit(self, name: str) -> str:
        """The 40 hex digits of the commit that the branch ``main`` of a repository points to."""
        return self._repositories[name].commit

    def __enter__(self) -> Hub:
        self._server = _Server(self)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None and self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
        self._server = self._thread = None

    def _reply(self, target: str, headers: Message) -> _Reply:
        """The answer to a GET of ``target``."""
        url = urlsplit(target)
        # A branch or file name may hold an encoded slash, so the path is split before it is decoded.
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        query = {key: values[-1].lower() in ("true", "1") for key, values in parse_qs(url.query).items()}
        try:
            token = self._token(headers)
            position = 2 if parts[0] == "api" else 0
            if parts[position] in self._bare_names:
                parts[position] = self._bare_names[parts[position]]
                return _Reply(307, headers={"Location": f"/{'/'.join(parts)}{url.query and '?'}{url.query}"})
            match parts:
                case ["api", "models", owner, name]:
                    return _describe(self._find(owner, name, BRANCH, token), self._gated, query)
                case ["api", "models", name, "revision", revision]:
                    self._find("", name, revision, token)  # a repository needs an owner: it is not found
                case ["api", "models", owner, name, "revision", revision]:
                    return _describe(self._find(owner, name, revision, token), self._gated, query)
                case ["api", "models", owner, name, "tree", revision, *folder]:
                    return _list(self._find(owner, name, revision, token), "/".join(folder), query)
                case [owner, name, "resolve", revision, *path] if path:
                    repository = self._find(owner, name, revision, token)
                    self._check_access(repository, token)
                    return _send(repository, "/".join(path), headers.get("Range"))
            raise _Refusal(404, "Sorry, we can't find the page you are looking for.")
        except _Refusal as refusal:
            return refusal.reply()

    def _take(self, target: str, headers: Message, body: bytes) -> _Reply:
        """The answer to a POST or PUT, which this hub does not allow."""
        return _Reply(405)

    def _token(self, headers: Message) -> str | None:
        """The token that came with the request, None without one."""
        authorization = headers.get("Authorization")
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self._tokens:
            raise _Refusal(401, "Invalid credentials in Authorization header")
        return token

    def _find(self, owner: str, name: str, revision: str, token: str | None) -> _Repository:
        repository = self._repositories.get(f"{owner}/{name}")
        if repository is None:
            # To a stranger the real hub does not tell a private repository from a missing one: it answers 401 and
            # no code, which the client reads as a missing repository for https addresses only. The code says so here.
            if token is None:
                raise _Refusal(401, "Invalid username or password.", "RepoNotFound")
            raise _Refusal(404, "Repository not found", "RepoNotFound")
        if revision not in (BRANCH, repository.commit):
            raise _Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return repository

    def _check_access(self, repository: _Repository, token: str | None) -> None:
        if repository.name not in self._gated:
            return
        restricted = f"Access to model {repository.name} is restricted"
        if token is None:
            hint = "You must have access to it and be authenticated to access it. Please log in."
            raise _Refusal(401, f"{restricted}. {hint}", "GatedRepo")
        if repository.name not in self._tokens[token]:
            hint = f"Visit {self.endpoint}/{repository.name} to ask for access."
            raise _Refusal(403, f"{restricted} and you are not in the authorized list. {hint}", "GatedRepo")


def _describe(repository: _Repository, gated: Collection[str], query: Mapping[str, bool]) -> _Reply:
    """The model information."""
    siblings: list[dict[str, Any]] = []
    for file in repository.files.values():
        sibling: dict[str, Any] = {"rfilename": file.path}
        if query.get("blobs"):
            sibling |= {"size": len(file.content), "blobId": file.blob_id}
            if file.sha256 is not None:
                sibling["lfs"] = {"sha256": file.sha256, "size": len(file.content), "pointerSize": POINTER_SIZE}
        siblings.append(sibling)
    return _Reply.from_json(
        {
            "id": repository.name,
            "modelId": repository.name,
            "author": repository.name.split("/")[0],
            "sha": repository.commit,
            "createdAt": FIXED_DATE,
            "lastModified": FIXED_DATE,
            "private": False,
            "disabled": False,
            "gated": "auto" if repository.name in gated else False,
            "library_name": "transformers",
            "tags": ["transformers"],
            "siblings": siblings,
        }
    )


def _list(repository: _Repository, folder: str, query: Mapping[str, bool]) -> _Reply:
    """The entries of a folder, the repository itself if ``folder`` is empty."""
    prefix = f"{folder}/" if folder else ""
    inside = [file for path, file in repository.files.items() if path.startswith(prefix)]
    if not inside:
        raise _Refusal(404, f"{folder} does not exist on {repository.commit}", "EntryNotFound")
    entries: dict[str, dict[str, Any]] = {}
    for file in inside:
        names = file.path.removeprefix(prefix).split("/")
        for depth in range(1, len(names)):
            path = prefix + "/".join(names[:depth])
            oid = hashlib.sha1(f"{repository.commit} {path}".encode()).hexdigest()
            entries[path] = {"type": "directory", "oid": oid, "size": 0, "path": path}
        entry = {"type": "file", "oid": file.blob_id, "size": len(file.content), "path": file.path}
        if file.sha256 is not None:
            entry["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": POINTER_SIZE}
        entries[file.path] = entry
    if not query.get("recursive"):
        entries = {path: entry for path, entry in entries.items() if "/" not in path.removeprefix(prefix)}
    return _Reply.from_json(list(entries.values()))


def _send(repository: _Repository, path: str, requested_range: str | None) -> _Reply:
    """The content of a file, or the part of it that was asked for."""
    file = repository.files.get(path)
    if file is None:
        # With the commit in the refusal the client remembers that this commit lacks the file.
        raise _Refusal(404, "Entry not found", "EntryNotFound", X_Repo_Commit=repository.commit)
    headers = {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "ETag": f'"{file.etag}"',
        "X-Repo-Commit": repository.commit,
    }
    size = len(file.content)
    if file.sha256 is not None:
        headers |= {"X-Linked-ETag": f'"{file.etag}"', "X-Linked-Size": str(size)}
    bounds = re.fullmatch(r"bytes=(\d+)-(\d*)", requested_range or "")
    if bounds is None:  # no range, or a form of it that the client does not use and HTTP allows to ignore
        return _Reply(200, file.content, headers)
    start, end = int(bounds[1]), min(int(bounds[2] or size), size - 1)
    if start > end:
        raise _Refusal(416, "Range Not Satisfiable", Content_Range=f"bytes */{size}")
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return _Reply(206, file.content[start : end + 1], headers)


class _Handler(BaseHTTPRequestHandler):
    """Turns requests into the hub's answers, without a word on the standard error stream."""

    server: _Server
    protocol_version = "HTTP/1.1"  # the client keeps its connections
    disable_nagle_algorithm: ClassVar[bool] = True  # else each answer on a kept connection waits for 40 ms
    timeout = 30  # an idle connection ends rather than holding its thread for ever

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._take()

    def do_PUT(self) -> None:
        self._take()

    def _take(self) -> None:
        hub = self.server.hub
        hub.requests.append((self.command, self.path))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = hub._fault(self.path)
        reply = _Reply(int(fault), b"{}") if fault else hub._take(self.path, self.headers, body)
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        hub = self.server.hub
        hub.requests.append((self.command, self.path))
        reply, sent = hub._reply(self.path, self.headers), None
        match hub._fault(self.path):
            case "hang":
                self.rfile.read(1)  # until the client goes away
                return
            case "500" | "401" as status:
                reply = _Reply(int(status), b"{}")
            case "half":
                del self.headers["Range"]
                reply = hub._reply(self.path, self.headers)
                sent = reply.body[: len(reply.body) // 2]
            case "cut":
                sent = reply.body[: len(reply.body) // 2]
            case "bytes" if reply.body:
                sent = reply.body[:-1] + bytes([reply.body[-1] ^ 1])
            case "redirect":
                reply = _Reply(307, headers={**reply.headers, "Location": f"{self.path}?again"})  # of the same host
            case "loop":
                reply = _Reply(307, headers={**reply.headers, "Location": self.path})
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body if sent is None else sent)
            self.close_connection |= sent is not None


class _Server(ThreadingHTTPServer):
    """The server of one hub, on a free port of the loopback interface."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up is no fault of the server; a fault in the handler has to be seen.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

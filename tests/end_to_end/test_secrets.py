"""Tokens, keys and the texts of users: where they must not be."""

import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import DATALOADER, GATED, MODEL, SAD_FOLDER, SAD_SAMPLE
from hub import Hub
from wandb_server import WandbServer

from artificial_pain.data import sources

HF_TOKEN = "hf_PLANTEDaQ7wZk2VtXn5RbYc8"
WANDB_KEY = "9173fadebeef" * 3 + "cafe"
URL_USER, URL_PASSWORD, URL_TOKEN = "planteduser", "plantedpassword", "plantedquerytoken"
PLANTED = [HF_TOKEN, WANDB_KEY, URL_USER, URL_PASSWORD, URL_TOKEN]
SECRETS = [*PLANTED, *(base64.b64encode(secret.encode()).decode().rstrip("=") for secret in PLANTED)]


@pytest.fixture
def data_host() -> Iterator[str]:
    """The sample of SAD, for who gives user, password and token; a URL with them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            expected = base64.b64encode(f"{URL_USER}:{URL_PASSWORD}".encode()).decode()
            known = self.headers["Authorization"] == f"Basic {expected}" and self.path.endswith(f"token={URL_TOKEN}")
            content = sources.SAMPLE["SAD"].read_bytes() if known else b""
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{URL_USER}:{URL_PASSWORD}@127.0.0.1:{server.server_address[1]}/SAD_v1.zip?token={URL_TOKEN}"
    server.shutdown()
    server.server_close()


def command_lines(until: threading.Event, found: dict[str, str]) -> None:
    """Note the command lines of all processes that are descendants of this one, until the event."""
    while not until.is_set():
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it has ended meanwhile
                continue
            found[path.name + words] = words
        time.sleep(0.02)


@pytest.mark.fault("tokens, keys, passwords", "they are in no output, file, W&B data or child's command line of a run")
def test_secrets_reach_nothing_that_a_run_writes(tiny, data_host, clean_environment, tmp_path):
    """Planted as HF_TOKEN, WANDB_API_KEY, in a URL, a git remote; searched in all written, sent and started."""
    name = GATED[0]
    until, lines = threading.Event(), {}
    watching = threading.Thread(target=command_lines, args=(until, lines))
    watching.start()
    with (
        Hub({name: tiny[name]}, gated=[name], tokens={HF_TOKEN: [name]}) as hub,
        WandbServer() as server,
    ):
        environment = clean_environment | {
            "HOME": str(tmp_path),
            "NETRC": str(tmp_path / "netrc"),
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": HF_TOKEN,
            "WANDB_BASE_URL": server.url,
            "WANDB_API_KEY": WANDB_KEY,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "remote.origin.url",
            "GIT_CONFIG_VALUE_0": f"https://{URL_USER}:{URL_PASSWORD}@example.org/repository.git",
        }
        words = ["--model_name", name, "--dataset_name", "SAD", "--data_source", data_host]
        words += ["--output_dir", tmp_path / "out"]
        commands = [[DATALOADER, *words], [MODEL, *words, "--epochs", 1]]
        commands += [[MODEL, *words, "--epochs", 1], [MODEL, *words, "--epochs", 2]]  # evaluated; refused
        streams = []
        for command, code in zip(commands, (0, 0, 0, 1), strict=True):
            done = subprocess.run(
                [os.environ["WARM_PYTHON"], *map(str, command)],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                timeout=120,
            )
            assert done.returncode == code, done.stderr.decode()
            streams += [done.stdout, done.stderr]
    until.set()
    watching.join()
    assert server.history and server.configs and any("wandb" in line for line in lines.values())

    typed = [" ".join(map(str, command)) for command in commands]  # with the URL in them
    ours = [line for line in lines.values() if str(tmp_path) in line or "wandb" in line]
    found = [
        f"a command line: {line}"
        for line in ours
        if has_secret(line.encode()) and not any(command in line for command in typed)
    ]
    found += [f"a stream: {stream}" for stream in streams if has_secret(stream)]
    found += [str(path) for path in tmp_path.rglob("*") if path.is_file() and has_secret(path.read_bytes())]
    found += ["W&B"] if has_secret(json.dumps([server.received]).encode()) else []
    assert not found


def has_secret(content: bytes) -> bool:
    return any(secret.encode() in content for secret in SECRETS)


@pytest.mark.fault("texts of users", "they go to W&B only in the table of predictions, which can be switched off")
def test_texts_go_to_wandb_only_with_the_predictions(encoder, sample_splits, script, monkeypatch, tmp_path):
    """Two offline runs, with --no_log_predictions and without; all of W&B's files searched."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    words = ["--model_name", encoder, *SAD_SAMPLE, "--output_dir", sample_splits, "--epochs", "1"]
    with (sample_splits / SAD_FOLDER / "dataset_splits" / "test_split.csv").open() as file:
        texts = [line.split('"')[1] for line in file if '"' in line]
    longest = max(texts, key=len).encode()
    for flags, expected in ((["--seed", "21", "--no_log_predictions"], False), (["--seed", "22"], True)):
        before = set(tmp_path.rglob("*"))
        assert script(MODEL, *words, *flags).code == 0
        written = [path for path in set(tmp_path.rglob("*")) - before if path.is_file()]
        assert any(path.suffix == ".wandb" for path in written)
        assert any(longest in path.read_bytes() for path in written) == expected

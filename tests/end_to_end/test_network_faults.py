"""The hub and the data host when they misbehave: retries, the error message, and that nothing unverified is kept."""

import hashlib
import json
import pickle
import shutil
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from conftest import DATALOADER, MODEL, QUICK_WAITS, REPOSITORY, SAD_SAMPLE, Planted
from hub import Hub
from huggingface_hub import metadata_load
from safetensors.torch import load_file

from artificial_pain import encoders
from artificial_pain.data import sources
from artificial_pain.encoders import Encoder
from artificial_pain.errors import UserError
from artificial_pain.runs import model_card

NAME = "answerdotai/ModernBERT-base"
SECONDS = 100  # at most, for anything that goes wrong on the hub
FETCH = """
import sys, time
sys.path.insert(0, sys.argv[1])
from artificial_pain import cli, encoders
from huggingface_hub import constants
constants.DOWNLOAD_CHUNK_SIZE = 10_000  # so that the tiny files come in several pieces, as large ones do
sleep, time.sleep = time.sleep, lambda seconds: sleep(seconds * float(sys.argv[3]))
cli.run(lambda args: print(encoders.fetch(sys.argv[2], "main", weights=encoders.WEIGHTS).folder), lambda: None)
"""
HUB = (
    "the hub misbehaves",
    "a limited number of retries, then one line. Nothing unverified is kept, and the same command works later",
)
HOST = (
    "the data host misbehaves",
    "a limited number of retries, then one line. Nothing unverified is kept, and the same command works later",
)

# How, for which requests, how many times; and the error message, None where a retry succeeds.
FAULTS = [
    ("500", "/api/", 2, None),
    ("500", "/resolve/", 2, None),
    ("cut", "model.safetensors", 1, None),
    ("redirect", "/api/", 9, None),
    ("redirect", "/resolve/", 99, None),
    ("500", "/api/", 99, "answered HTTP 500: try again later"),
    ("cut", "model.safetensors", 99, "peer closed connection without sending complete message body"),
    ("bytes", "model.safetensors", 99, "model.safetensors is not the file that the hub promised, and was removed"),
    ("bytes", "tokenizer.json", 99, "tokenizer.json is not the file that the hub promised, and was removed"),
    ("loop", "model.safetensors", 99, "was asked for 8 times"),
    ("401", "/api/", 99, "refused the token (HTTP 401)"),
    ("401", "model.safetensors", 99, "refused the token (HTTP 401)"),
    ("hang", "/api/", 99, "cannot be reached (ReadTimeout"),
]
SLOW = [
    ("half", "model.safetensors", 99, "was asked for 8 times"),
    ("hang", "model.safetensors", 99, "ReadTimeout"),
    ("500", "model.safetensors", 99, "HTTP 500: try again later"),
]
FAULTS += [pytest.param(*fault, marks=pytest.mark.full) for fault in SLOW]


@pytest.mark.fault(*HUB)
@pytest.mark.parametrize(("how", "path", "times", "message"), FAULTS)
def test_misbehaving_hub_is_retried_then_reported(how, path, times, message, tiny, command, share_of_waits, tmp_path):
    """It hangs, answers 500, 401 or half, redirects, sends other bytes; once or always; for each kind of request."""
    program = tmp_path / "fetch.py"
    program.write_text(FETCH)
    with Hub({NAME: tiny[NAME]}) as hub:
        environment = {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DOWNLOAD_TIMEOUT": str(max(1, 2 * share_of_waits)),
        }
        hub.misbehave(how, path, times)
        started = time.monotonic()
        done = command(program, REPOSITORY, NAME, share_of_waits, **environment)
        assert time.monotonic() - started < SECONDS
        if message:
            assert done.code == 1 and message in done.error
        else:
            assert done.code == 0, done.err
        hub.behave()
        done = command(program, REPOSITORY, NAME, share_of_waits, **environment)
        assert done.code == 0, done.err
    folder = Path(done.out.strip())
    for name in ("config.json", "tokenizer.json", encoders.WEIGHTS):
        assert (folder / name).read_bytes() == (tiny[NAME] / name).read_bytes()


@pytest.mark.fault("a damaged cache of the hub", "the file is removed and reported. The next start downloads it")
def test_damaged_cached_file_is_removed_and_downloaded_again(tiny, command, tmp_path):
    """A byte of the weights changed after they were downloaded."""
    program = tmp_path / "fetch.py"
    program.write_text(FETCH)
    with Hub({NAME: tiny[NAME]}) as hub:
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
        weights = Path(
            command(program, REPOSITORY, NAME, QUICK_WAITS, **environment).out.strip(), encoders.WEIGHTS
        ).resolve()
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        assert (
            "is not the file that the hub promised"
            in command(program, REPOSITORY, NAME, QUICK_WAITS, **environment).error
        )
        assert not weights.exists()
        assert command(program, REPOSITORY, NAME, QUICK_WAITS, **environment).code == 0
    assert weights.read_bytes() == (tiny[NAME] / encoders.WEIGHTS).read_bytes()


def test_proxy_of_the_environment_is_used(tiny, command, tmp_path):
    """The hub's stand-in as proxy for a host that does not exist."""
    program = tmp_path / "fetch.py"
    program.write_text(FETCH)
    with Hub({NAME: tiny[NAME]}) as hub:
        environment = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": hub.endpoint, "HF_HOME": str(tmp_path)}
        done = command(program, REPOSITORY, NAME, QUICK_WAITS, **environment)
    assert done.code == 0, done.err
    assert any(path.startswith("http://hub.invalid/") for _, path in hub.requests)


CONTENT = b"a corpus\n" * 1000
PUBLISHED_DIGEST = hashlib.sha256(CONTENT).hexdigest()


class DataHost(ThreadingHTTPServer):
    """Serves CONTENT, after `times` requests that it answers in the way of `how`."""

    def __init__(self, how: str, times: int):
        self.how, self.times, self.requests = how, times, 0
        super().__init__(("127.0.0.1", 0), DataHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/corpus.json"

    def handle_error(self, *_: object) -> None:
        """A client that went away is none."""


class DataHandler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        if self.path == "/elsewhere":
            return self.send(200, CONTENT, CONTENT)
        self.server.times -= 1
        match self.server.how if self.server.times >= 0 else None:
            case "hang":
                self.rfile.read(1)
            case "cut":
                self.send(200, CONTENT[:100], CONTENT)
            case "bytes":
                self.send(200, CONTENT[:-1] + b"!", CONTENT)
            case "redirect":
                self.send(302, b"", b"", Location="/elsewhere")
            case "loop":
                self.send(302, b"", b"", Location="/corpus.json")
            case None:
                self.send(200, CONTENT, CONTENT)
            case status:
                self.send(int(status), b"", b"")

    def send(self, status: int, sent: bytes, promised: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(promised)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def data_host(how, times) -> Iterator[DataHost]:
    host = DataHost(how, times)
    Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield host
    host.shutdown()
    host.server_close()


@pytest.mark.fault(*HOST)
@pytest.mark.parametrize(
    ("how", "times", "message"),
    [
        ("500", 2, None),
        ("cut", 1, None),
        ("bytes", 1, None),
        ("hang", 1, None),
        ("redirect", 9, None),
        ("500", 99, "500 Server Error"),
        ("401", 99, "401 Client Error"),
        ("cut", 99, "IncompleteRead"),
        ("bytes", 99, "it is not the published file"),
        ("loop", 999, "Exceeded 30 redirects"),
        ("hang", 99, "Read timed out"),
    ],
)
def test_misbehaving_data_host_is_retried_then_reported(
    how, times, message, data_host, quick_waits, monkeypatch, tmp_path
):
    """It hangs, answers 500, 401 or half, redirects, sends other bytes; once, twice or always."""
    monkeypatch.setattr(sources, "TIMEOUT", 0.5)
    published = (data_host.url, PUBLISHED_DIGEST)
    started = time.monotonic()
    if message:
        with pytest.raises(UserError, match="give a copy with --data_source FILE") as raised:
            sources.download(*published, tmp_path)
        assert message in str(raised.value) and data_host.url in str(raised.value)
        assert list(tmp_path.iterdir()) == [], "nothing is kept"
        data_host.times = 0
    assert sources.download(*published, tmp_path).read_bytes() == CONTENT
    assert time.monotonic() - started < 20


@pytest.mark.fault(*HOST)
def test_refused_connection_to_data_host_is_reported(quick_waits, tmp_path):
    """A port where nobody listens."""
    with pytest.raises(UserError, match="Connection refused"):
        sources.download("http://127.0.0.1:9/corpus.json", PUBLISHED_DIGEST, tmp_path)
    assert list(tmp_path.iterdir()) == []


PICKLES = ("weights that are pickled", "refused, with the command that converts them. What is in them is never run")


@pytest.fixture
def pickled(tiny, tmp_path) -> Path:
    """A tiny BERT as repositories from before safetensors have it."""
    folder = tmp_path / "old" / "mental-bert-base-uncased"
    shutil.copytree(tiny["mental/mental-bert-base-uncased"], folder)
    torch.save(load_file(folder / encoders.WEIGHTS), folder / encoders.PICKLED)
    (folder / encoders.WEIGHTS).unlink()
    return folder


@pytest.mark.fault(*PICKLES)
def test_pickled_weights_are_refused_and_can_be_converted(pickled, tiny, command, tmp_path):
    """A repository of the hub and a folder with pytorch_model.bin alone; converted by the command that was printed."""
    name, program = "mental/mental-bert-base-uncased", tmp_path / "fetch.py"
    program.write_text(FETCH)
    with Hub({name: pickled}) as hub:
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
        message = command(program, REPOSITORY, name, QUICK_WAITS, **environment).error
        assert "has no model.safetensors" in message and "--revision refs/pr/N" in message
        assert f"python -m artificial_pain.convert {name} NEW_FOLDER" in message
        folder = tmp_path / "mental-bert-base-uncased"
        words = ["artificial_pain.convert", name, folder]
        done = command("-m", *words, PYTHONPATH=str(REPOSITORY), **environment)
    assert done.code == 0 and f"--model_name {folder}" in done.out, done.err
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors", ".md"}
    assert metadata_load(folder / "README.md")["license"] == "cc-by-nc-4.0"
    before, after = load_file(tiny[name] / encoders.WEIGHTS), load_file(folder / encoders.WEIGHTS)
    weight = "embeddings.word_embeddings.weight"
    assert torch.equal(after[weight], before[f"bert.{weight}"])
    settings = {"corpus": "SAD", "data_source": None}
    assert model_card.licence(settings, Encoder(str(folder), folder, None)) == "cc-by-nc-4.0"
    words = ["--model_name", folder, *SAD_SAMPLE, "--output_dir", tmp_path / "root"]
    assert command(DATALOADER, *words).code == 0
    done = command(MODEL, *words, "--epochs", "1", WANDB_MODE="disabled")
    assert done.code == 0, done.err


@pytest.mark.fault(*PICKLES)
@pytest.mark.parametrize("pickled_name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt"])
def test_folder_with_a_pickle_is_refused(pickled_name, pickled, script, tmp_path):
    """A pickle that makes a file, in a folder given as encoder; and the same given to be converted."""
    (pickled / encoders.PICKLED).unlink()
    (pickled / pickled_name).write_bytes(pickle.dumps(Planted(tmp_path / "ran")))
    done = script(MODEL, "--model_name", pickled, *SAD_SAMPLE, "--output_dir", tmp_path / "out")
    assert done.code == 1 and "a pickle can run code" in done.error and "artificial_pain.convert" in done.error
    done = script(REPOSITORY / "artificial_pain/convert.py", pickled, tmp_path / "new")
    assert done.code == 1 and not (tmp_path / "new").exists()
    message = "is not an encoder's tensors alone" if pickled_name == encoders.PICKLED else f"has no {encoders.PICKLED}"
    assert message in done.error and not (tmp_path / "ran").exists()


@pytest.mark.fault("code in an encoder's folder", "it is never run")
def test_code_in_an_encoders_folder_is_not_run(tiny, script, monkeypatch, tmp_path):
    """config.json and tokenizer_config.json with an auto_map to a module that makes a file."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    folder, ran = tmp_path / "encoder", tmp_path / "ran"
    shutil.copytree(tiny["mental/mental-bert-base-uncased"], folder)
    classes = "".join(f"class {name}: pass\n" for name in ("Config", "Model", "Tok"))
    (folder / "planted.py").write_text(f"open({str(ran)!r}, 'w')\n{classes}")
    for name, kinds in {
        "config.json": {"AutoConfig": "planted.Config", "AutoModel": "planted.Model"},
        "tokenizer_config.json": {"AutoTokenizer": ["planted.Tok", "planted.Tok"]},
    }.items():
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, "auto_map": kinds}))
    words = ["--model_name", folder, *SAD_SAMPLE, "--output_dir", tmp_path / "out"]
    outcomes = [script(DATALOADER, *words), script(MODEL, *words, "--epochs", "1")]
    assert not ran.exists()
    assert all(done.code == 0 or done.error for done in outcomes)


@pytest.mark.parametrize(
    ("corpus", "source", "name", "expected"),
    [
        ("ESConv", None, NAME, "cc-by-nc-4.0"),
        ("ESConv", "/a/copy.json", NAME, "cc-by-nc-4.0"),
        ("the synthetic sample of ESConv", "sample", NAME, "apache-2.0"),
        ("SAD", None, NAME, "apache-2.0"),
        ("mine.csv", "/my/mine.csv", NAME, "other"),
        ("mine.csv", "/my/mine.csv", "mental/mental-roberta-base", "other"),
        ("SAD", None, "mental/mental-roberta-base", "cc-by-nc-4.0"),
    ],
)
def test_non_commercial_licence_is_inherited(corpus, source, name, expected, tmp_path):
    settings = {"corpus": corpus, "data_source": source}
    assert model_card.licence(settings, Encoder(name, tmp_path, "commit")) == expected

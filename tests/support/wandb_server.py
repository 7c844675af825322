"""A stand-in for the W&B server on loopback, which keeps what wandb sends."""

import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ENTITY = "group"
KEY = "a" * 40  # the form of a key, of no account


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that went away is no error."""


class WandbServer:
    """A context manager. With `mortal`, it takes no connection any more once a run has started."""

    def __init__(self, mortal: bool = False):
        self.mortal = mortal
        self.history: list[dict] = []  # the rows that the runs logged
        self.summary: dict = {}
        self.configs: dict[str, dict] = {}  # by run id
        self.entities: set[str | None] = set()  # that the runs asked for
        self.received: list[str] = []  # the content of every request
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    content = gzip.decompress(content)
                outer.received.append(content.decode(errors="replace"))
                self.answer(outer.take(self.path, content))

            do_PUT = do_POST

            def do_GET(self):
                self.answer({})

            def answer(self, reply: dict):
                body = json.dumps(reply).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "WandbServer":
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, content: bytes) -> dict:
        if path == "/graphql":
            return {"data": self._graphql(json.loads(content))}
        if path.endswith("/file_stream"):
            for name, part in json.loads(content).get("files", {}).items():
                lines = [json.loads(line) for line in part["content"]]
                if name == "wandb-history.jsonl":
                    self.history += lines
                elif name == "wandb-summary.json":
                    self.summary |= lines[-1]
        return {}

    def _graphql(self, request: dict) -> dict:
        query, variables = request["query"], request.get("variables") or {}
        if "UpsertBucket" in query:
            run = variables["name"]
            self.entities.add(variables.get("entity"))
            if variables.get("config"):
                self.configs[run] = json.loads(variables["config"])
            if self.mortal:
                Thread(target=self.__exit__).start()
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": ENTITY}}
            bucket = {"id": run, "name": run, "displayName": variables.get("displayName"), "config": "{}",
                      "project": project, "historyLineCount": 0}  # fmt: skip
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "query ArtifactType" in query:
            return {"project": {"artifact": {"artifactType": {"name": "run_table"}}}}
        if "CreateArtifact" in query:
            latest = {"id": "a", "versionIndex": 0}
            artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": {"id": "s", "latestArtifact": latest}}
            return {"createArtifact": {"artifact": artifact}}
        if "CreateRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in variables["files"]]
            return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}
        if "viewer" in query:
            return {"viewer": {"id": "v", "entity": ENTITY, "username": "u", "flags": "{}", "teams": {"edges": []}}}
        return {}

"""The hub's stand-in with uploads: it makes repositories, takes large files beside git, and commits both.

>>> with WritableHub({}, tokens={"hf_good": []}) as hub:
...     subprocess.run(command, env={**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "hf_good"})
...     hub.uploaded["me/name"]["README.md"]

It speaks the older protocol of large files, which the client uses where HF_HUB_DISABLE_XET is set.
"""

import base64
import hashlib
import json
from email.message import Message
from urllib.parse import unquote, urlsplit

from hub import LARGE_FILE_SUFFIXES, Hub, _Refusal, _Reply

USER = "me"


class WritableHub(Hub):
    """A hub whose every known token may write."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.uploaded: dict[str, dict[str, bytes]] = {}
        """The content of each file, by its path, of each repository that was made."""
        self.private: dict[str, bool] = {}
        self._large: dict[str, bytes] = {}  # by SHA-256

    def _take(self, target: str, headers: Message, body: bytes) -> _Reply:
        parts = [unquote(part) for part in urlsplit(target).path.strip("/").split("/")]
        try:
            if parts[0] != "large" and self._token(headers) is None:
                raise _Refusal(401, "Invalid username or password.")
            match parts:
                case ["api", "repos", "create"]:
                    return self._create(json.loads(body))
                case ["api", "validate-yaml"]:
                    return _Reply.from_json({"errors": [], "warnings": []})
                case ["api", "models", owner, name, "preupload", _]:
                    self._find_uploaded(f"{owner}/{name}")
                    return _Reply.from_json({"files": [_mode(file["path"]) for file in json.loads(body)["files"]]})
                case [_, _, "info", "lfs", "objects", "batch"]:
                    objects = [self._upload_action(file) for file in json.loads(body)["objects"]]
                    return _Reply.from_json({"transfer": "basic", "objects": objects})
                case ["large", oid]:
                    if hashlib.sha256(body).hexdigest() != oid:
                        raise _Refusal(422, "not the announced file")
                    self._large[oid] = body
                    return _Reply(200)
                case ["api", "models", owner, name, "commit", _]:
                    return self._commit(f"{owner}/{name}", body)
            raise _Refusal(404, "Sorry, we can't find the page you are looking for.")
        except _Refusal as refusal:
            return refusal.reply()

    def _create(self, request: dict) -> _Reply:
        name = f"{request.get('organization') or USER}/{request['name']}"
        content = {"url": f"{self.endpoint}/{name}", "name": name, "id": name}
        if name in self.uploaded:
            return _Reply(409, json.dumps({"error": "You already created this model repo", **content}).encode())
        self.uploaded[name], self.private[name] = {}, request["visibility"] == "private"
        return _Reply.from_json(content)

    def _find_uploaded(self, name: str) -> dict[str, bytes]:
        if name not in self.uploaded:
            raise _Refusal(404, "Repository not found", "RepoNotFound")
        return self.uploaded[name]

    def _upload_action(self, file: dict) -> dict:
        upload = {"href": f"{self.endpoint}/large/{file['oid']}", "header": {}}
        return {"oid": file["oid"], "size": file["size"], "actions": {"upload": upload}}

    def _commit(self, name: str, body: bytes) -> _Reply:
        files = self._find_uploaded(name)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self._large[value["oid"]]
        commit = hashlib.sha1(body).hexdigest()
        url = f"{self.endpoint}/{name}/commit/{commit}"
        return _Reply.from_json({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})


def _mode(path: str) -> dict:
    mode = "lfs" if path.endswith((*LARGE_FILE_SUFFIXES, ".png")) else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}

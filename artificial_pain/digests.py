"""What tells a file from any other."""

import hashlib
from pathlib import Path


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The hexadecimal digest of a file; "git-blob" is git's object id, SHA-1 over `blob <size>\\0` and the content."""
    with open(path, "rb") as file:
        if algorithm == "git-blob":
            content = file.read()
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return hashlib.file_digest(file, algorithm).hexdigest()


def damage(folder: Path, digests: dict[str, str]) -> str | None:
    """The first file, by its path below the folder, that does not have its SHA-256; None if all have."""
    for name, written in digests.items():
        try:
            if digest(folder / name) != written:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None

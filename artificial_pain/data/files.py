"""What a file has in it, by its content and not by its name: texts and workbooks, also packed. Nothing is unpacked to
disk.
"""

import bz2
import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import PureWindowsPath
from reprlib import repr as short_repr

from artificial_pain.errors import UserError, as_user_error, logger

MAX_BYTES = 2**30  # of a file, and of what it unpacks to: SAD unpacks to 5.5 MB
CHUNK = 2**20  # bytes read at a time, to see how many there are
# Of a packed file.
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError)
# Members of a workbook, which is a zip, by its format: .xlsx and .xlsm, .xlsb, .ods. An .xls begins with OLE.
WORKBOOKS = {"xl/workbook.xml", "xl/workbook.bin", "META-INF/manifest.xml"}
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second one of an empty zip
OLE = b"\xd0\xcf\x11\xe0"
PACKERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
# What else a file may begin with, what that is, and what helps.
OTHERS = [
    (rb"(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", "a page of HTML", "give the file itself, or its address"),
    (rb"<\?xml", "XML", "save it as CSV"),
    (rb"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself with `git lfs pull`"),
    (rb"7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd|.{257}ustar", "packed by 7-Zip, RAR, Zstandard or tar", "unpack it"),
    (rb"PAR1|ARROW1|SQLite format 3", "a Parquet, Arrow or SQLite file", "save it as CSV or JSON lines"),
]
HIDDEN = r"(^|/)(__MACOSX/|\.)"  # members of a zip that a system has put there
CONTROLS = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\ufffd]")  # no text has them


@dataclass(frozen=True)
class Document:
    """A text, or a workbook as bytes. `place` says where it is, for messages; `doubt` is to be told if it is used."""

    place: str
    content: str | bytes
    doubt: str = ""

    def tell_doubt(self) -> None:
        if self.doubt:
            logger.warning(self.doubt)


def read_documents(content: bytes, place: str) -> list[Document]:
    """The text or workbook that a file is, or those that it has packed in it (zip, gzip, bzip2, xz).

    Raises UserError in one line where it is something else, is damaged, or unpacks to more than MAX_BYTES.
    """
    if content.startswith(tuple(PACKERS)):
        content = _unpack(content, place)
    if not content.startswith(ZIP) or _is_workbook(content, place):
        return [_document(content, place)]
    documents, problem = [], UserError(f"{place}: has no file in it")
    for name, member in _zip_members(content, place):
        try:
            documents.append(_document(member, f"{place}: its member {short_repr(name)}"))
        except UserError as error:  # of a picture, for example, that lies beside the table
            problem = error
    if not documents:
        raise problem
    return documents


def _document(content: bytes, place: str) -> Document:
    """Raises UserError where it is neither a text nor a workbook."""
    if not content.strip():
        raise UserError(f"{place}: the file is empty")
    if content.startswith(OLE) or (content.startswith(ZIP) and _is_workbook(content, place)):
        return Document(place, content)
    if content.startswith((*ZIP, *PACKERS)):
        raise UserError(f"{place}: is packed once more: unpack it first")
    for pattern, kind, remedy in OTHERS:
        if re.match(rb"(\xef\xbb\xbf)?\s*(" + pattern + rb")", content, re.IGNORECASE | re.DOTALL):
            raise UserError(f"{place}: is {kind}, not a corpus: {remedy}")
    return _decode(content, place)


def _decode(content: bytes, place: str) -> Document:
    """A text in any encoding of Unicode, else in Windows-1252, which is in doubt. Raises UserError for other bytes."""
    encoding = json.detect_encoding(content)
    try:
        return Document(place, content.decode(encoding).removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        reason, text = f"{error.reason} at byte {error.start}", content.decode("cp1252", errors="replace")
    if encoding != "utf-8" or CONTROLS.search(text):
        raise UserError(f"{place}: is neither text in UTF-8 nor an Excel file ({reason}): save it as CSV in UTF-8")
    doubt = f"{place}: is not UTF-8 ({reason}), and is read as Windows-1252: if letters are wrong, save it as UTF-8"
    return Document(place, text, doubt)


def _is_workbook(content: bytes, place: str) -> bool:
    return not WORKBOOKS.isdisjoint(open_zip(content, place).namelist())


def open_zip(content: bytes, place: str) -> zipfile.ZipFile:
    """Raises UserError where the content is no zip, and where it declares more than MAX_BYTES."""
    with as_user_error(f"{place}: cannot be read as a zip or an Excel file", *DAMAGE):
        archive = zipfile.ZipFile(io.BytesIO(content))
    _require_small(sum(member.file_size for member in archive.infolist()), place)
    return archive


def _require_small(size: int, place: str) -> None:
    if size > MAX_BYTES:
        raise UserError(f"{place}: refused, unpacked it has {size:,} bytes: expected {MAX_BYTES:,} at most")


def _zip_members(content: bytes, place: str) -> Iterator[tuple[str, bytes]]:
    """The names and bytes of a zip's files; of each at most as many as it declares: more do not fit its checksum."""
    archive = open_zip(content, place)
    for member in archive.infolist():
        path = PureWindowsPath(member.filename)  # which takes either slash
        if path.anchor or ".." in path.parts:
            raise UserError(f"{place}: refused, its member {short_repr(member.filename)} would climb out of a folder")
        if not member.is_dir() and not re.search(HIDDEN, member.filename):
            cannot = f"{place}: its member {short_repr(member.filename)} cannot be read"
            # zipfile unpacks other methods without a bound.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UserError(f"{cannot} (neither stored nor deflated): unpack it first")
            with as_user_error(cannot, *DAMAGE), archive.open(member) as file:
                # read() without a number would unpack up to 1 GiB, whatever is declared.
                yield member.filename, file.read(member.file_size)


def _unpack(content: bytes, place: str) -> bytes:
    """The bytes in a gzip, bzip2 or xz. They are counted first: such a file does not say how many there are."""
    opened = next(open_file for magic, open_file in PACKERS.items() if content.startswith(magic))
    with as_user_error(f"{place}: cannot be unpacked", *DAMAGE):
        with opened(io.BytesIO(content)) as file:
            size = sum(map(len, islice(iter(partial(file.read, CHUNK), b""), MAX_BYTES // CHUNK + 1)))
        _require_small(size, place)
        with opened(io.BytesIO(content)) as file:
            return file.read()

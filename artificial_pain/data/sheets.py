"""The first sheet of an Excel file from outside, within bounds: read in memory, never unpacked to a place."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path, PureWindowsPath
from reprlib import repr as shown

import pandas as pd
import python_calamine

from artificial_pain.errors import UserError, first_line

# What a file may hold, so that no small one fills the memory; a corpus of 100 times SAD's sentences takes half of both.
MAX_BYTES = 2**30  # bytes: the file, and all that is packed in it
MAX_CELLS = 2**25  # of a sheet: the empty ones between the others count too
CHUNK = 2**20  # bytes that are unpacked at a time
MAX_LENGTH = 2 * CHUNK  # from one tag to the next; Excel has 32,767 characters in a cell at most
WORKBOOK = "xl/workbook.xml"  # a member of every .xlsx, which is a zip


def read(content: bytes, path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of sheet 1 of an Excel file, alone or in a zip, every cell a text; `path` is for what is told.

    Row 1 has the columns' names; the index is a row's number in the sheet, from 2. Raises UserError where the file is
    none, would take more memory than the bounds above, or lacks a column.
    """
    excel = _excel_content(content, path)
    try:
        sheet = python_calamine.load_workbook(io.BytesIO(excel)).get_sheet_by_index(0)
    except (python_calamine.CalamineError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as an Excel file ({first_line(error)})") from None
    rows = iter(sheet.iter_rows())  # one at a time: the other columns' cells are never all objects of Python
    header = [_text(cell) for cell in next(rows, [])]
    for column in columns:
        if column not in header:
            raise UserError(f"{path}: the sheet has no column {column!r} (columns in it: {shown(header)})")
    places = [header.index(column) for column in columns]
    cells = [[_text(row[place]) for place in places] for row in rows]
    return pd.DataFrame(cells, columns=columns, dtype=str, index=range(2, 2 + len(cells)))


def _text(cell: object) -> str:
    """As the sheet shows it: Excel has whole numbers as floats."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _excel_content(content: bytes, path: Path) -> bytes:
    """The bytes of the Excel file: the file itself, or the one .xlsx member of a zip, read in memory."""
    archive = _open_zip(content, f"{path}: is neither a zip nor an .xlsx file", path)
    names = archive.namelist()
    if WORKBOOK not in names:
        for name in names:
            member = PureWindowsPath(name)  # which takes either slash
            if member.anchor or ".." in member.parts:
                raise UserError(f"{path}: refused, its member {shown(name)} would climb out of a folder")
        sheets = [name for name in names if name.endswith(".xlsx") and not name.startswith("__MACOSX/")]
        if len(sheets) != 1:
            raise UserError(f"{path}: expected one .xlsx file in the zip, found {shown(sheets or names)}")
        content = b"".join(_unpacked(archive, archive.getinfo(sheets[0]), path))
        archive = _open_zip(content, f"{path}: its member {shown(sheets[0])} cannot be read as an Excel file", path)
        if WORKBOOK not in archive.namelist():
            raise UserError(f"{path}: its member {shown(sheets[0])} cannot be read as an Excel file (no {WORKBOOK})")
    for member in archive.infolist():
        _require_few_cells(_unpacked(archive, member, path), path)
    return content


def _open_zip(content: bytes, otherwise: str, path: Path) -> zipfile.ZipFile:
    """The zip, or UserError: `otherwise` if it is none, and where its members unpacked are more than MAX_BYTES."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError):
        raise UserError(otherwise) from None
    size = sum(member.file_size for member in archive.infolist())
    if size > MAX_BYTES:
        raise UserError(f"{path}: refused, unpacked it has {size:,} bytes: expected {MAX_BYTES:,} at most")
    return archive


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Iterator[bytes]:
    """A member's bytes in chunks, at most as many as it declares; more of them are an error of its checksum."""
    # zipfile unpacks the other methods in steps without a bound.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{path}: its member {shown(member.filename)} cannot be read (neither stored nor deflated)")
    try:
        with archive.open(member) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{path}: its member {shown(member.filename)} cannot be read ({first_line(error)})") from None


def _whole_tags(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """The chunks, cut in front of a tag: what follows a chunk's last "<" comes with the next one."""
    rest = b""
    for chunk in chunks:
        xml = rest + chunk
        end = max(xml.rfind(b"<"), 0)
        if len(xml) - end > MAX_LENGTH:
            raise UserError(f"{path}: refused, it has more than {MAX_LENGTH:,} bytes in a row without a tag of XML")
        yield xml[:end]
        rest = xml[end:]
    yield rest


def _require_few_cells(chunks: Iterator[bytes], path: Path) -> None:
    """Raise UserError if a sheet's last row and last column span more than MOST_CELLS, which calamine all holds."""
    rows = columns = cells = 0  # cells: of the last row so far
    letters: set[bytes] = set()
    for xml in _whole_tags(chunks, path):
        before, *new = re.split(rb"<(?:\w+:)?row[\s/>]", xml)
        counts = [len(re.findall(rb"<(?:\w+:)?c[\s/>]", row)) for row in (before, *new)]
        counts[0] += cells
        rows, columns, cells = rows + len(new), max(columns, *counts), counts[-1]
        # r="17" of a row and r="B17" of a cell say where it is; one without follows the one before it.
        places = re.findall(rb"""\br\s*=\s*["']([A-Za-z]*)(\d{1,10})""", xml)
        letters |= {column.upper() for column in {column for column, _ in places}}
        rows = max(rows, *map(int, {row for _, row in places}), 0)
        last = max(letters, key=lambda column: (len(column), column), default=b"")
        columns = max(columns, reduce(lambda number, letter: 26 * number + letter - ord("A") + 1, last[:7], 0))
        if rows * columns > MAX_CELLS:
            raise UserError(
                f"{path}: refused, its sheet of {rows:,} rows and {columns:,} columns is too large: expected "
                f"{MAX_CELLS:,} cells at most"
            )

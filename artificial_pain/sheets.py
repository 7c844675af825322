"""The first sheet of an Excel file from outside, within bounds: read in memory, never unpacked to a place."""

import io
import re
import zipfile
import zlib
from functools import reduce
from pathlib import Path, PureWindowsPath
from reprlib import repr as shown

import pandas as pd
import python_calamine

from artificial_pain.errors import UserError, first_line

# What a file may hold, so that no small one fills the memory; a corpus of 100 times SAD's sentences takes half of both.
LARGEST = 2**30  # bytes: the file, and all that is packed in it
MOST_CELLS = 2**25  # of a sheet: the empty ones between the others count too
WORKBOOK = "xl/workbook.xml"  # a member of every .xlsx, which is a zip


def read(content: bytes, path: Path) -> pd.DataFrame:
    """Sheet 1 of an Excel file, alone or in a zip, every cell a text; `path` is for what is told.

    Raises UserError where it is none, or would take more memory than the bounds above.
    """
    excel = _excel_content(content, path)
    try:
        return pd.read_excel(io.BytesIO(excel), engine="calamine", dtype=str, na_filter=False)
    except (python_calamine.CalamineError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as an Excel file ({first_line(error)})") from None


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
        content = _read_member(archive, archive.getinfo(sheets[0]), path)
        archive = _open_zip(content, f"{path}: its member {shown(sheets[0])} cannot be read as an Excel file", path)
        if WORKBOOK not in archive.namelist():
            raise UserError(f"{path}: its member {shown(sheets[0])} cannot be read as an Excel file (no {WORKBOOK})")
    for member in archive.infolist():
        _require_few_cells(_read_member(archive, member, path), path)
    return content


def _open_zip(content: bytes, otherwise: str, path: Path) -> zipfile.ZipFile:
    """The zip, or UserError: `otherwise` if it is none, and where its members unpacked are more than LARGEST."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError):
        raise UserError(otherwise) from None
    size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST:
        raise UserError(f"{path}: refused, unpacked it has {size:,} bytes: expected {LARGEST:,} at most")
    return archive


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    """A member's bytes, at most as many as it declares; more of them are an error of its checksum."""
    # zipfile unpacks the other methods in steps without a bound.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{path}: its member {shown(member.filename)} cannot be read (neither stored nor deflated)")
    try:
        with archive.open(member) as file:
            return file.read(member.file_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{path}: its member {shown(member.filename)} cannot be read ({first_line(error)})") from None


def _require_few_cells(xml: bytes, path: Path) -> None:
    """Raise UserError if a sheet's last row and last column span more than MOST_CELLS, which calamine all holds."""
    by_row = re.split(rb"<(?:\w+:)?row[\s/>]", xml)
    rows, columns = len(by_row), max(len(re.findall(rb"<(?:\w+:)?c[\s/>]", row)) for row in by_row)
    letters = set()
    # r="17" of a row and r="B17" of a cell say where it is; one without follows the one before it.
    for place in re.finditer(rb"""\br\s*=\s*["']([A-Za-z]*)(\d{1,10})""", xml):
        letters.add(place[1].upper())
        rows = max(rows, int(place[2]))
    last = max(letters, key=lambda column: (len(column), column), default=b"")
    columns = max(columns, reduce(lambda number, letter: 26 * number + letter - ord("A") + 1, last[:7], 0))
    if rows * columns > MOST_CELLS:
        raise UserError(
            f"{path}: refused, its sheet of {rows:,} rows and {columns:,} columns is too large: expected "
            f"{MOST_CELLS:,} cells at most"
        )

"""SAD as a frame, from an Excel file that is read in memory and never unpacked to disk."""

import re
import zipfile
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path, PureWindowsPath
from reprlib import repr as short_repr

import pandas as pd
import python_calamine

from artificial_pain.data.cleaning import clean_label, clean_text
from artificial_pain.errors import UserError, as_user_error

MAX_BYTES = 2**30  # of a corpus file, and of what it unpacks to: SAD unpacks to 5.5 MB
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError)  # of a zip's member
WORKBOOK, SHEET = "xl/workbook.xml", "xl/worksheets/sheet1.xml"  # members of every .xlsx, which is a zip


def read_sad(content: bytes, path: Path, label_column: str) -> pd.DataFrame:
    """SAD (Mauriello et al., CHI 2021): sheet 1 of an .xlsx file, alone or in a zip; an example is a sentence.

    `path` is for the messages. Raises UserError where the content is no such file, unpacks to more than MAX_BYTES,
    lacks a column, or has a row without a text.
    """
    sheet = _read_sheet(_excel_content(content, path), path, ["sentence", label_column])
    if sheet.empty:
        raise UserError(f"{path}: the sheet has no rows")
    cells = {"text": sheet["sentence"].map(clean_text), "label_name": sheet[label_column].map(clean_label)}
    for cleaned in cells.values():
        empty = cleaned == ""
        if empty.any():
            raise UserError(f"{path}: row {empty.idxmax()} of the sheet has no text in column {cleaned.name!r}")
    return pd.DataFrame(cells).reset_index(drop=True).rename_axis("sentence_idx")


def _read_sheet(content: bytes, path: Path, columns: list[str]) -> pd.DataFrame:
    """Columns of sheet 1, every cell a text; row 1 has their names; the index is a row's number in the sheet, from 2.

    pandas.read_excel would make Python objects of all columns, and take twice the memory and time. The Excel reader
    makes all cells up to the last row and column, also the empty ones, and ends the process where the memory lacks: a
    sheet that declares a column beyond ZZ, the 702nd, is refused.
    """
    archive = _open_zip(content, path, f"{path}: cannot be read as an Excel file")
    with suppress(KeyError, *DAMAGE):  # the Excel reader tells what is missing or damaged
        if re.search(rb'<dimension ref="\w+:[A-Z]{3}\d', archive.open(SHEET).read(4096)):
            raise UserError(f"{path}: refused, its sheet reaches beyond column ZZ: remove what is far from the table")
    with as_user_error(f"{path}: cannot be read as an Excel file", python_calamine.CalamineError, ValueError):
        sheet = python_calamine.load_workbook(BytesIO(content)).get_sheet_by_index(0)
    rows = iter(sheet.iter_rows())
    header = [_cell_text(cell) for cell in next(rows, [])]
    for column in columns:
        if column not in header:
            raise UserError(f"{path}: the sheet has no column {column!r} (columns in it: {short_repr(header)})")
    places = [header.index(column) for column in columns]
    cells = [[_cell_text(row[place]) for place in places] for row in rows]
    return pd.DataFrame(cells, columns=columns, dtype=str, index=range(2, 2 + len(cells)))


def _cell_text(cell: object) -> str:
    """The cell as the sheet shows it: Excel stores whole numbers as floats."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _excel_content(content: bytes, path: Path) -> bytes:
    """The bytes of the Excel file: the content itself, or the one .xlsx member of a zip."""
    archive = _open_zip(content, path, f"{path}: is neither a zip nor an .xlsx file")
    names = archive.namelist()
    if WORKBOOK in names:
        return content
    for name in names:
        member = PureWindowsPath(name)  # which takes either slash
        if member.anchor or ".." in member.parts:
            raise UserError(f"{path}: refused, its member {short_repr(name)} would climb out of a folder")
    sheets = [name for name in names if name.endswith(".xlsx") and not name.startswith("__MACOSX/")]
    if len(sheets) != 1:
        raise UserError(f"{path}: expected one .xlsx file in the zip, found {short_repr(sheets or names)}")
    content = _unpack(archive, archive.getinfo(sheets[0]), path)
    not_excel = f"{path}: its member {short_repr(sheets[0])} cannot be read as an Excel file"
    if WORKBOOK not in _open_zip(content, path, not_excel).namelist():
        raise UserError(f"{not_excel} (no {WORKBOOK})")
    return content


def _open_zip(content: bytes, path: Path, message: str) -> zipfile.ZipFile:
    """Raises UserError with the message where the content is no zip, and where it declares more than MAX_BYTES."""
    with as_user_error(message, zipfile.BadZipFile, ValueError):
        archive = zipfile.ZipFile(BytesIO(content))
    size = sum(member.file_size for member in archive.infolist())
    if size > MAX_BYTES:
        raise UserError(f"{path}: refused, unpacked it has {size:,} bytes: expected {MAX_BYTES:,} at most")
    return archive


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    """A member's bytes, at most as many as it declares: more of them do not fit its checksum."""
    name = short_repr(member.filename)
    # zipfile unpacks other methods without a bound.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{path}: its member {name} cannot be read (neither stored nor deflated)")
    with as_user_error(f"{path}: its member {name} cannot be read", *DAMAGE), archive.open(member) as file:
        return file.read(member.file_size)  # read() without a number would unpack up to 1 GiB, whatever is declared

"""Tables of texts, as people have them: CSV with any separator, Excel, JSON lines. A cell is a text."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as short_repr

import pandas as pd
import python_calamine

from artificial_pain.data.cleaning import replace_surrogates
from artificial_pain.data.files import DAMAGE, Document, open_zip, read_documents
from artificial_pain.errors import UserError, as_user_error, first_line

csv.field_size_limit(2**31 - 1)  # a text may be of any length
SEPARATORS = ",;\t|"
NOT_JSON = (ValueError, RecursionError)  # of no JSON, numbers of thousands of digits, brackets nested without end
DIMENSION = re.compile(rb'<dimension ref="\w+:[A-Z]{3}\d')  # of a sheet that reaches beyond column ZZ, the 702nd


@dataclass
class Table:
    """A table of a file: the names of its columns, and its rows, each with its number in the file."""

    document: Document
    place: str
    unit: str  # what is counted: "row", "line" or "item"
    header: list[str]
    rows: Iterable[tuple[int, Sequence[object]]]

    def find(self, names: Sequence[str], flag: str) -> int | None:
        """The position of the column of one of these names, whatever its case and blanks; None where there is none.

        Raises UserError where there are several. `flag` names one.
        """
        found = [i for i, name in enumerate(self.header) if name in names]
        found = found or [i for i, name in enumerate(self.header) if _key(name) in map(_key, names)]
        if len(found) > 1:
            several = [self.header[i] for i in found]
            raise UserError(f"{self.place}: has the columns {several!r:.300}: keep one, or name one with {flag}")
        return found[0] if found else None

    def frame(self, positions: Sequence[int], names: Sequence[str]) -> pd.DataFrame:
        """The columns at these positions, by these names; the index is a row's number in the file."""
        # The other cells are dropped at once: a sheet's take twice the memory and time of the two that are needed.
        numbered = [(number, [row[i] for i in positions]) for number, row in self.rows]
        numbers, cells = zip(*numbered, strict=True) if numbered else ([], [])
        return pd.DataFrame(list(cells), columns=list(names), index=pd.Index(numbers, dtype=int), dtype=object)


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def cell_text(value: object) -> str:
    """The value as a sheet shows it: Excel stores whole numbers as floats. A lone surrogate of JSON is U+FFFD."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if value is None or value != value:  # JSON's null, and Python's NaN
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)


def read_table(content: bytes, place: str, columns: Mapping[str, Sequence[str]]) -> Table:
    """The table of a file, or of its sheets or packed files the one, that has the columns.

    columns: for each the flag that names it, and the names that it may have. Raises UserError in one line where no
    table has all of them, or several have.
    """

    def missing(table: Table) -> list[tuple[str, Sequence[str]]]:
        return [(flag, names) for flag, names in columns.items() if table.find(names, flag) is None]

    keys = {_key(name) for names in columns.values() for name in names}
    tables, problem = [], None
    for document in read_documents(content, place):
        try:
            tables += _tables(document, keys)
        except UserError as error:  # of a file that lies beside the table
            problem = error
    if not tables:
        raise problem
    found = [table for table in tables if not missing(table)]
    if not found:
        best = min(tables, key=lambda table: len(missing(table)))
        flag, names = missing(best)[0]
        lack = f"has no column {' or '.join(map(repr, names))} (columns in it: {best.header!r:.300})"
        raise UserError(f"{best.place}: {lack}: {flag} names it")
    if len(found) > 1:
        places = ", ".join(table.place.removeprefix(f"{place}: ") for table in found[:3])
        raise UserError(f"{place}: has several tables with these columns ({places}): give a file with one of them")
    found[0].document.tell_doubt()
    return found[0]


def _tables(document: Document, keys: set[str]) -> Iterable[Table]:
    """The tables of a document. keys: of the columns that are looked for."""
    if isinstance(document.content, bytes):
        return _sheets(document)
    return [_json_table(document) if document.content.lstrip().startswith(("[", "{")) else _csv_table(document, keys)]


def _csv_table(document: Document, keys: set[str]) -> Table:
    """The table with the separator at which most of the keys are in the header, or else most columns."""
    place, text = document.place, re.sub(r'\A"?sep=.{1,2}"?\r?\n', "\n", document.content)  # a line of Excel's
    headers = {}
    with as_user_error(f"{place}: cannot be read as CSV", csv.Error):
        for separator in SEPARATORS:
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            headers[separator] = [name.strip() for name in next(filter(any, rows), [])]
    separator = max(SEPARATORS, key=lambda each: (len(keys & set(map(_key, headers[each]))), len(headers[each])))
    return Table(document, place, "line", headers[separator], _csv_rows(text, separator, place))


def _csv_rows(text: str, separator: str, place: str) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header, with the number of their last line.

    Raises UserError where one has not as many fields as the header: pandas would cut or shift its texts in silence.
    """
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        width = len(next(filter(any, rows), []))
        for row in (row or [""] for row in rows if row or width == 1):  # an empty line is an empty text, or no row
            if len(row) != width:
                fields, remedy = f"has {len(row)} fields, and the header {width}", f"put quotes around a {separator!r}"
                raise UserError(f"{place}: line {rows.line_num}: {fields}: {remedy} in a text")
            yield rows.line_num, row
    except csv.Error as error:
        raise UserError(f"{place}: line {rows.line_num}: is no CSV ({error}): mend it") from None


def _sheets(document: Document) -> Iterator[Table]:
    """The sheets of a workbook; row 1 has the names of the columns.

    The Excel reader makes all cells up to the last row and column, also the empty ones, and ends the process where the
    memory lacks: a sheet that reaches beyond column ZZ is refused.
    """
    content, cannot = document.content, f"{document.place}: cannot be read as an Excel file"
    if content.startswith(b"PK"):
        archive = open_zip(content, document.place)
        with as_user_error(cannot, *DAMAGE):
            starts = [archive.open(name).read(4096) for name in archive.namelist() if name.startswith("xl/worksheets/")]
        if any(map(DIMENSION.search, starts)):
            raise UserError(f"{document.place}: its sheet reaches beyond column ZZ: remove what is far from the table")
    with as_user_error(cannot, python_calamine.CalamineError, ValueError):
        workbook = python_calamine.load_workbook(io.BytesIO(content))
        sheets = {name: workbook.get_sheet_by_name(name) for name in workbook.sheet_names}
    for name, sheet in sheets.items():
        rows = iter(sheet.iter_rows())
        header = [cell_text(cell).strip() for cell in next(rows, [])]
        place = document.place if len(sheets) == 1 else f"{document.place}: its sheet {short_repr(name)}"
        yield Table(document, place, "row", header, enumerate(rows, start=2))


def _json_table(document: Document) -> Table:
    """JSON lines of objects, or a list of them. A value that is no text stays as it is."""
    items = read_json(document)
    if others := [item for item in items if not isinstance(item, dict)]:
        raise UserError(f"{document.place}: expected rows as JSON objects, found {short_repr(others[0])}")
    names = list(dict.fromkeys(name for item in items for name in item))
    if "dialog" in names:
        raise UserError(f"{document.place}: has dialogues, and no table: --dataset_name ESConv reads them")
    rows = ((i, [item.get(name) for name in names]) for i, item in enumerate(items))
    return Table(document, document.place, "item", list(map(cell_text, names)), rows)


def read_json(document: Document) -> list:
    """The items of a JSON list or of JSON lines. Raises UserError with the line where it is no JSON."""
    text, what = document.content, "cannot be read as JSON in UTF-8"
    try:
        items = json.loads(text)
        if isinstance(items, dict) and len(items) == 1 and isinstance(*items.values(), list):
            (items,) = items.values()
        items = items if isinstance(items, list) else [items]
    except NOT_JSON as error_of_file:
        items = []
        for number, line in enumerate(text.split("\n"), start=1):
            try:
                items += [json.loads(line)] if line.strip() else []
            except NOT_JSON as error:  # of the first line: these are no JSON lines
                place, error = (f"line {number}: ", error) if items else ("", error_of_file)
                raise UserError(f"{document.place}: {place}{what} ({first_line(error)})") from None
    return items

"""Tables of text that people bring or correct: CSV files, read with the line of whatever is wrong
in them.
"""

import codecs
import csv
import io
import os
import re
from collections import Counter
from collections.abc import Sequence

from atri_lib import storage
from atri_lib.data.dataset import text_fault

# how a cell begins that a spreadsheet executes (Japanese ones also by wide signs), or one made
# harmless
FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")
SHOWN = 200  # characters of a header in a message


class CsvError(ValueError):
    """A CSV file that does not hold what it should; the message begins with file:line."""


def csv_rows(
    path: str | os.PathLike, columns: Sequence[str], filled: Sequence[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of a UTF-8 CSV file with a header that has at least `columns`; cells are
    stripped.

    Raises CsvError, beginning with file:line, for a missing column or one that comes twice, a row
    of another length, a cell that is too long, an empty one of a column in `filled`, or text that
    is not UTF-8; FileNotFoundError when there is no such file, OSError for what is no regular file.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    begins = 1  # the line on which a row begins: where a quote was opened that is not closed
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header, columns)
        begins = reader.line_num + 1
        for row in reader:
            if row:
                place = f"{path}:{reader.line_num}"
                rows.append((reader.line_num, _cells(row, header, filled, place)))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise CsvError(f"{path}:{begins}: {error}; look for a quote that is not closed") from error
    return rows


def harmless(text: str) -> str:
    """A cell with an apostrophe where a spreadsheet would execute it; csv_rows takes it away."""
    return f"'{text}" if FORMULA.match(text) else text


def _text(path: str | os.PathLike) -> str:
    """The text of a file, with or without a byte order mark."""
    content = storage.regular(path).read_bytes().removeprefix(codecs.BOM_UTF8)
    fault = "holds the character NUL, as UTF-16 does"
    place = content.find(b"\0")
    if place < 0:
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            fault = f"not UTF-8 text ({error.reason})"
            place = error.start
    line = content.count(b"\n", 0, place) + 1
    raise CsvError(f"{path}:{line}: {fault}; save the table as UTF-8")


def _check_header(path: str | os.PathLike, header: list[str], columns: Sequence[str]) -> None:
    for name, count in Counter(header).items():
        if count > 1:
            said = f"{path}:1: two columns are called {name[:SHOWN]!r}"
            raise CsvError(f"{said}; rename or remove one")
    if lacking := [name for name in columns if name not in header]:
        found = ", ".join(header)[:SHOWN] or "nothing"
        advice = "; separate the columns by commas" if re.search("[;\t|]", found) else ""
        raise CsvError(f"{path}:1: no column {', '.join(lacking)}; found {found}{advice}")


def _cells(row: list[str], header: list[str], filled: Sequence[str], place: str) -> dict[str, str]:
    """The cells of a row by column, without what made them harmless."""
    if len(row) != len(header):
        raise CsvError(f"{place}: {len(row)} fields, but the header has {len(header)}")
    cells = {}
    for name, cell in zip(header, row, strict=True):
        if cell.startswith("'") and FORMULA.match(cell):
            cell = cell[1:]
        cells[name] = cell.strip()
        fault = text_fault(cells[name])
        if fault and (cells[name] or name in filled):
            raise CsvError(f"{place}: {name} {fault}")
    return cells

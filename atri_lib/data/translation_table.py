"""Tables of text that people bring or correct: CSV files, read with the line of whatever is wrong
in them.
"""

import csv
import os
import re
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
    rows = []
    begins = 1  # the line on which a row begins: where a quote was opened that is not closed
    # What is not UTF-8 becomes halves of characters, which `text_fault` finds.
    reading = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    with open(storage.regular(path), **reading) as stream:
        reader = csv.reader(stream, strict=True)
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
            said = f"{path}:{begins}: {error}; look for a quote that is not closed"
            raise CsvError(said) from error
    return rows


def harmless(text: str) -> str:
    """A cell with an apostrophe where a spreadsheet would execute it; csv_rows takes it away."""
    return f"'{text}" if FORMULA.match(text) else text


def _check_header(path: str | os.PathLike, header: list[str], columns: Sequence[str]) -> None:
    for name in columns:
        if header.count(name) != 1:
            said = f"{header.count(name)} columns are called {name!r}, 1 is expected"
            found = f"found {','.join(header)[:SHOWN]!r}"
            advice = "separate columns by commas and save the table as UTF-8"
            raise CsvError(f"{path}:1: {said}; {found}; {advice}")


def _cells(row: list[str], header: list[str], filled: Sequence[str], place: str) -> dict[str, str]:
    """The cells of a row by column, without what made them harmless."""
    if len(row) != len(header):
        raise CsvError(f"{place}: {len(row)} fields, but the header has {len(header)}")
    cells = {}
    for name, cell in zip(header, row, strict=True):
        if cell.startswith("'") and FORMULA.match(cell):
            cell = cell[1:]
        cells[name] = cell.strip()
        if "\0" in cell:
            raise CsvError(f"{place}: {name} holds a NUL; write the text without it")
        fault = text_fault(cells[name])
        if fault and (cells[name] or name in filled):
            raise CsvError(f"{place}: {name} {fault}")
    return cells

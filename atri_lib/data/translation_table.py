"""Tables of text that people bring or correct: CSV files, read with the row of whatever is wrong
in them.
"""

import csv
import os
import re
from collections.abc import Sequence

import pandas as pd

from atri_lib import storage
from atri_lib.data.dataset import text_fault

# how a cell begins that a spreadsheet executes (Japanese ones also by wide signs), or one made
# harmless
FORMULA = re.compile(r"'*[=+\-@\t\r＝＋－＠]")


class CsvError(ValueError):
    """A CSV file that does not hold what it should; the message begins with the file."""


def read_table(
    path: str | os.PathLike, columns: Sequence[str], filled: bool = True
) -> pd.DataFrame:
    """A UTF-8 CSV file with a header that has at least `columns`; cells are stripped, the index
    counts rows as spreadsheets do (the header is row 1).

    Raises CsvError for a column that is missing or comes twice, a row of another length, a quote
    that is not closed, and for a cell of `columns` that is no text (`text_fault`), where `filled`
    also for an empty one; FileNotFoundError when there is no such file, OSError for what is no
    regular file.
    """
    rows = []
    # what is not UTF-8 becomes halves of characters, which `text_fault` finds
    reading = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}
    try:
        with open(storage.regular(path), **reading) as stream:
            for row in csv.reader(stream, strict=True):
                rows.append([_cell(text) for text in row])
    except csv.Error as error:
        said = f"row {len(rows) + 1}: {error}; look for a quote that is not closed"
        raise CsvError(f"{path}: {said}") from error
    header = rows[0] if rows else []
    for name in columns:
        if header.count(name) != 1:
            said = f"{header.count(name)} columns are called {name!r}, 1 is expected"
            advice = "separate columns by commas and save the table as UTF-8"
            raise CsvError(f"{path}: {said}; found {','.join(header)[:200]!r}; {advice}")
    numbered = {number: row for number, row in enumerate(rows[1:], start=2) if row}
    for number, row in numbered.items():
        if len(row) != len(header):
            said = f"{len(row)} fields, but the header has {len(header)}"
            raise CsvError(f"{path}: row {number}: {said}")
    table = pd.DataFrame.from_dict(numbered, "index", columns=header)
    for (number, name), text in table[[*columns]].stack().items():
        fault = text_fault(text) if text or filled else None
        if "\0" in text:
            fault = "holds a NUL; write the text without it"
        if fault:
            raise CsvError(f"{path}: row {number}: {name} {fault}")
    return table


def _cell(text: str) -> str:
    """A cell without what made it harmless."""
    return (text.removeprefix("'") if FORMULA.match(text) else text).strip()


def harmless(text: str) -> str:
    """A cell with an apostrophe where a spreadsheet would execute it; read_table takes it away."""
    return f"'{text}" if FORMULA.match(text) else text

"""Tables of text that people bring or correct: CSV files, read with the row of whatever is wrong
in them.
"""

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

    Raises CsvError for a column that is missing or comes twice, a row that is too long, and for a
    cell of `columns` that is no text (`text_fault`), where `filled` also for an empty one;
    FileNotFoundError when there is no such file, OSError for what is no regular file.
    """
    try:
        table = pd.read_csv(
            storage.regular(path),
            header=None,
            dtype=object,
            keep_default_na=False,
            encoding="utf-8-sig",
            encoding_errors="surrogateescape",  # found by `text_fault`
            skip_blank_lines=False,
            engine="python",  # the one that is strict
        )
    except ValueError as error:
        raise CsvError(f"{path}: {error}; mend that line, or close a quote") from error
    table.index += 1
    table = table.dropna(how="all").fillna("").map(_cell)
    header = table.head(1).values.ravel().tolist()
    for name in columns:
        if header.count(name) != 1:
            said = f"{header.count(name)} columns are called {name!r}, 1 is expected"
            advice = "separate columns by commas and save the table as UTF-8"
            raise CsvError(f"{path}: {said}; found {','.join(header)[:200]!r}; {advice}")
    table = table.iloc[1:].set_axis(header, axis=1)
    cells = table[[*columns]].stack()
    faults = cells[(cells != "") | filled].map(text_fault).dropna()
    for (row, name), fault in faults.items():
        raise CsvError(f"{path}: row {row}: {name} {fault}")
    return table


def _cell(text: str) -> str:
    """A cell without what made it harmless."""
    return (text.removeprefix("'") if FORMULA.match(text) else text).strip()


def harmless(text: str) -> str:
    """A cell with an apostrophe where a spreadsheet would execute it; read_table takes it away."""
    return f"'{text}" if FORMULA.match(text) else text

"""nbval with `--kept`: a chapter that `make book` has executed from the same cells, code and data
is compared with its committed outputs as it was kept, without a kernel. Others are executed as
ever.
"""

import collections
import functools
import pathlib
import sys

import nbformat
import pytest
from nbval.plugin import IPyNbFile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MESSAGES = {"stream": ("name", "text"), "error": ("ename", "evalue", "traceback")}
SHOWN = ("data", "metadata", "execution_count")  # of what is displayed


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("nbval").addoption(
        "--kept", action="store_true", help="compare what `make book` has executed, without kernels"
    )


class KeptKernel:
    """Answers as nbval's RunningKernel does, with the outputs of an executed notebook."""

    def __init__(self, notebook: nbformat.NotebookNode) -> None:
        self.cells = collections.deque(cell for cell in notebook.cells if cell.cell_type == "code")
        self.messages: collections.deque[dict] = collections.deque()

    def is_alive(self) -> bool:
        return True

    def execute_cell_input(self, source: str, allow_stdin: bool | None = None) -> str:
        """The messages of the next cell are those that follow. Raises RuntimeError where it is
        another cell.
        """
        cell = self.cells.popleft()
        if cell.source != source:
            raise RuntimeError("the executed chapter has other cells: make book")
        identity = f"cell {len(self.cells)}"
        for output in cell.outputs:
            content = {name: output.get(name) for name in MESSAGES.get(output.output_type, SHOWN)}
            self._send(identity, output.output_type, content)
        self._send(identity, "status", {"execution_state": "idle"})
        return identity

    def _send(self, identity: str, kind: str, content: dict) -> None:
        message = {"msg_type": kind, "content": content, "parent_header": {"msg_id": identity}}
        self.messages.append(message)

    def get_message(self, stream: str, timeout: float | None = None) -> dict:
        return self.messages.popleft()

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        pass

    await_idle = await_reply

    def stop(self) -> None:
        pass


@functools.cache
def _planned() -> dict[pathlib.Path, pathlib.Path]:
    """Where `make book` keeps every chapter once it is executed; nothing in another profile, whose
    numbers are not the committed ones.
    """
    sys.path.insert(0, str(ROOT / "book"))  # the build's scripts
    import tasks

    return {} if tasks.GIVEN else tasks.planned()


_setup = IPyNbFile.setup


def _with_kept(file: IPyNbFile) -> None:
    """A chapter's kernel, or what was kept of it."""
    kept = _planned().get(file.path) if file.config.option.kept else None
    if kept is None or not kept.exists():
        _setup(file)
        return
    file.kernel = KeptKernel(nbformat.read(kept, as_version=4))
    file.setup_sanitize_files()


IPyNbFile.setup = _with_kept

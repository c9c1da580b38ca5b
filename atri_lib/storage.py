"""Files that survive a kill: one cache folder, atomic writes, checksums of content and of code."""

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import numpy as np


def cache_dir(*parts: str) -> pathlib.Path:
    """A folder below the cache root ($ATRI_CACHE, else $XDG_CACHE_HOME/atri_lib, else ~/.cache/atri_lib), made."""
    root = os.environ.get("ATRI_CACHE")
    if not root:
        root = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "atri_lib"
    folder = pathlib.Path(root, *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike, *, folder: bool = False, replace: bool = False) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `target`; on success it replaces `target`, on any error it is removed.

    With folder=True the temporary path is an existing empty folder. A folder that another process put in place
    meanwhile is kept (its content has the same key) and ours is dropped, unless replace=True: then the old one goes.
    """
    target = pathlib.Path(os.path.abspath(target))  # so that "." and "a/.." have a name
    target.parent.mkdir(parents=True, exist_ok=True)
    holder = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    partial = holder / target.name
    try:
        if folder:
            partial.mkdir()
        yield partial
        if folder and target.exists():
            if not replace:
                return
            with contextlib.suppress(FileNotFoundError):  # another process has moved it away just now
                os.replace(target, holder / "replaced")
        try:
            os.replace(partial, target)
        except OSError:
            if not (folder and target.exists()):
                raise
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def write_text(target: str | os.PathLike, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike, value) -> None:
    """Write JSON atomically, keys in the order given."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sha256_file(path: str | os.PathLike) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def checksum(*values) -> str:
    """Hex SHA-256 (first 16 digits) of bytes, arrays (dtype, shape and values) and JSON-like values, in order."""
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).data)
        elif isinstance(value, bytes):
            digest.update(value)
        else:
            digest.update(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())
        digest.update(b"\x00")
    return digest.hexdigest()[:16]


def code_hash(*modules: str) -> str:
    """Checksum of the named modules' code; a package counts with every module below it.

    It is taken of the syntax tree: comments, docstrings and layout do not change it, another version of Python may.
    Raises ModuleNotFoundError.
    """
    sources = []
    for name in sorted(modules):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"code_hash: no module named {name!r}")
        origin = pathlib.Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
        sources += [_syntax(file.read_bytes()) for file in files]
    return checksum(*sources)


@functools.cache
def _syntax(source: bytes) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if documented and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()

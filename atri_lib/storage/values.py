"""JSON files, written whole, sealed by a checksum, read with every fault named. Checksums of
values, of files, and of code by what it does.
"""

import ast
import functools
import hashlib
import json
import math
import os
import pathlib

import numpy as np

from atri_lib.storage.atomic import write_text

LARGEST_JSON = 2**26  # bytes that are read as JSON


def write_json(target: str | os.PathLike, value) -> None:
    """Write JSON atomically, keys in the order given. Raises ValueError for NaN and infinity."""
    write_text(target, _json_text(value))


def write_sealed(target: str | os.PathLike, values: dict) -> None:
    """Write a JSON object atomically, with a checksum of its values as the last one."""
    write_json(target, values | {"checksum": checksum(values)})


def read_sealed(path: str | os.PathLike) -> dict:
    """What write_sealed wrote. Raises ValueError naming the file where a single byte differs."""
    values = read_json(path)
    values.pop("checksum", None)
    sealed = values | {"checksum": checksum(values)}
    if pathlib.Path(path).read_bytes() != _json_text(sealed).encode():
        raise ValueError(f"{path}: not what was written: its checksum differs")
    return sealed


def read_json(path: str | os.PathLike) -> dict:
    """An object from a JSON file.

    Raises ValueError naming the file for anything else, also for NaN, for infinity (1e999 is one)
    and for a key that comes twice; OSError for what is no regular file.
    """
    try:
        if regular(path).stat().st_size > LARGEST_JSON:
            raise ValueError(f"it has more than {LARGEST_JSON} bytes")
        text = pathlib.Path(path).read_bytes().decode()
        value = json.loads(
            text, object_pairs_hook=unrepeated, parse_constant=_finite, parse_float=_finite
        )
    except RecursionError as error:
        raise ValueError(f"{path}: not JSON (it is nested too deeply)") from error
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: a JSON object is expected, not {type(value).__name__}")
    return value


def _json_text(value) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def unrepeated(pairs: list[tuple[str, object]]) -> dict:
    """For `json.loads`: raises ValueError for a key that comes twice."""
    values: dict = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the key {name[:40]!r} comes twice")
        values[name] = value
    return values


def checksum(*values) -> str:
    """Hex SHA-256 (first 16 digits) of bytes, arrays (dtype, shape and values) and JSON-like
    values, in order.
    """
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


def regular(path: str | os.PathLike) -> pathlib.Path:
    """The path of a file that can be read to its end. Raises OSError for a pipe, a device or a
    folder.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"{path}: not a regular file")
    return path


def sha256_file(path: str | os.PathLike) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(regular(path), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.cache
def syntax_hash(source: bytes) -> str:
    """Checksum of Python code; comments, docstrings and layout do not enter."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()

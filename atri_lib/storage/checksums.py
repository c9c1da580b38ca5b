"""Checksums of values, of files, and of code by what it does."""

import ast
import functools
import hashlib
import json
import os
import pathlib

import numpy as np


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

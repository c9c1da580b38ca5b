"""Files that survive a kill: one cache folder, atomic writes, locks, checksums."""

from atri_lib.storage.atomic import (
    PARTIAL,
    DiskFull,
    atomic_path,
    settle,
    settle_folder,
    temporary_folder,
    write_error,
    write_text,
)
from atri_lib.storage.checksums import checksum, regular, sha256_file, syntax_hash
from atri_lib.storage.json_files import (
    read_json,
    read_sealed,
    unrepeated,
    write_json,
    write_sealed,
)
from atri_lib.storage.locks import clean_leftovers, lock_file, locked, only_begun
from atri_lib.storage.places import cache_dir, expanded, offline, switched_on

__all__ = [
    "PARTIAL",
    "DiskFull",
    "atomic_path",
    "cache_dir",
    "checksum",
    "clean_leftovers",
    "expanded",
    "lock_file",
    "locked",
    "offline",
    "only_begun",
    "read_json",
    "read_sealed",
    "regular",
    "settle",
    "settle_folder",
    "sha256_file",
    "switched_on",
    "syntax_hash",
    "temporary_folder",
    "unrepeated",
    "write_error",
    "write_json",
    "write_sealed",
    "write_text",
]

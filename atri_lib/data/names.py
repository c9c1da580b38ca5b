"""File names for what data names: the one place where a name from data becomes a part of a path."""

import hashlib

LONGEST = 180  # bytes; a file system allows 255, and a suffix and a temporary name come on top
FORBIDDEN = '/\\:*?"<>|'  # separators, and what Windows does not take


def safe_name(text: str) -> str:
    """A file name, without suffix, that stays in its folder: the text itself where it is one
    already.

    Separators, control characters and a leading dot become "_", a long text is cut; what was
    changed so ends in eight digits of its checksum, and different texts get different names.
    """
    allowed = [c if c.isprintable() and c not in FORBIDDEN else "_" for c in text]
    if not allowed or allowed[0] == ".":
        allowed[:1] = ["_"]
    safe = "".join(allowed).encode()[:LONGEST].decode(errors="ignore")
    if safe == text:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{safe}-{digest[:8]}"

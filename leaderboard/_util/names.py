"""Names that are safe in a path and in a link."""

from __future__ import annotations

import hashlib
import re

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")


def safe_name(name: str) -> str:
    """The name itself where it is safe in a path and in a link, else its safe characters and a digest."""
    if SAFE_NAME.fullmatch(name) and len(name) <= 100:
        return name
    short = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[:40]}-{short}".lstrip("-")

"""Names that fit a path and a link."""

from __future__ import annotations

import hashlib
import re

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")


def safe_name(name: str) -> str:
    """A name that fits a path and a link: itself where it does, else what fits of it, and a digest."""
    if SAFE_NAME.fullmatch(name) and len(name) <= 100:
        return name
    short = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[:40]}-{short}".lstrip("-")

"""Names that are safe in a path and in a link, and strangers' words that are safe on a terminal and on a page."""

from __future__ import annotations

import hashlib
import re
import unicodedata

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")


def safe_name(name: str) -> str:
    """The name itself where it is safe in a path and in a link, else its safe characters and a digest."""
    if SAFE_NAME.fullmatch(name) and len(name) <= 100:
        return name
    short = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[:40]}-{short}".lstrip("-")


def printable(text: str) -> str:
    """The text with U+FFFD for all that is not seen as itself: controls, escapes, bidi marks, halves of characters.

    Line breaks and tabs stay; other spaces become plain ones.
    """
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _visible(c) for c in text)


def one_line(text: str) -> str:
    """The printable text, in one line."""
    return " ".join(printable(text).split())


def markdown_text(text: str) -> str:
    """The printable text in one line as Markdown that shows it as it is: no markup, link or HTML in it has effect."""
    return _MARKUP.sub(r"\\\g<0>", one_line(text))


def figure_words(text: str) -> str:
    """The printable text in one line that matplotlib draws as it is, and does not read as a formula."""
    return one_line(text).replace("$", r"\$")


_MARKUP = re.compile(r"[\\`*<>\[\]~$|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def _visible(character: str) -> str:
    return " " if unicodedata.category(character) == "Zs" else "\ufffd"

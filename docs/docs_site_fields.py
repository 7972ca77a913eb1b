"""An extension of griffe: what the docstrings of this project say of fields, in a form that mkdocstrings shows.

A field may be described at the end of its line, `seed: int = 0  # of the draw`, or in the docstring of its class, by its
name in one line and an indented text below. The former becomes the docstring of the field, the latter a list.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Attribute, Docstring, Extension, Object

COMMENT = re.compile(r"^[^#\"']*?  # (.+)$")
HEADING = re.compile(r"^Parameters\n-+\n", re.MULTILINE)  # what follows says enough
DESCRIBED = re.compile(r"^(\w+(?:, \w+)*)\n((?: {4}.+\n?)+)", re.MULTILINE)


class FieldDescriptions(Extension):
    """Describe fields by the comments and docstrings of this project."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object; griffe calls this for each that it has read."""
        if isinstance(obj, Attribute) and obj.docstring is None and obj.lineno == obj.endlineno:
            if obj.lines and (comment := COMMENT.match(obj.lines[0])):
                words = comment[1].strip()
                obj.docstring = Docstring(f"{words[0].upper()}{words[1:]}.", lineno=obj.lineno, parent=obj)
        elif obj.docstring is not None:
            obj.docstring.value = list_fields(obj.docstring.value)


def list_fields(docstring: str) -> str:
    """Turn names with an indented text below them into a list of definitions in Markdown."""

    def entry(match: re.Match[str]) -> str:
        names = ", ".join(f"`{name}`" for name in match[1].split(", "))
        return f"{names}\n:   {match[2].strip()}\n\n"

    return DESCRIBED.sub(entry, HEADING.sub("", f"{docstring}\n")).rstrip()

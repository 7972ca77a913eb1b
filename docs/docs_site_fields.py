"""An extension of griffe: what the docstrings of this project say of fields, in a form that mkdocstrings shows.

A field is described at the end of its line, `seed: int = 0  # of the draw`, or in the docstring of its class, by its
name in one line and an indented text below. Both become lists of definitions in the docstring of the class.
"""

from __future__ import annotations

import io
import re
import tokenize
from contextlib import suppress
from typing import Any

from griffe import Attribute, Class, Docstring, Extension, Object

HEADING = re.compile(r"^Parameters\n-+\n", re.MULTILINE)  # what follows says enough
DESCRIBED = re.compile(r"^(\w+(?:, \w+)*)\n((?: {4}.+\n?)+)", re.MULTILINE)


class FieldDescriptions(Extension):
    """Describe fields by the comments and docstrings of this project."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object; griffe calls this for each that it has read."""
        text = list_fields(obj.docstring.value) if obj.docstring else ""
        if isinstance(obj, Class) and "dataclass" in obj.labels:
            notes = {name: comment for name, field in obj.attributes.items() if (comment := field_comment(field))}
            text += "\n\n" + "".join(define([name], comment) for name, comment in notes.items())
        if text.strip():
            obj.docstring = Docstring(text.strip(), lineno=obj.lineno, parent=obj)


def field_comment(field: Attribute) -> str:
    """The comment at the end of the line of a field that begins there; empty without one."""
    if field.is_private or field.docstring or not field.lines:
        return ""
    with suppress(tokenize.TokenError, IndentationError):
        for token in tokenize.generate_tokens(io.StringIO(field.lines[0].strip()).readline):
            if token.type == tokenize.COMMENT:
                words = token.string.lstrip("# ")
                return "" if words.startswith(("noqa", "type:")) else words
    return ""


def list_fields(docstring: str) -> str:
    """Turn names with an indented text below them into a list of definitions in Markdown."""
    return DESCRIBED.sub(
        lambda match: define(match[1].split(", "), match[2].strip()), HEADING.sub("", f"{docstring}\n")
    ).rstrip()


def define(names: list[str], text: str) -> str:
    """An entry of a list of definitions."""
    return f"{', '.join(f'`{name}`' for name in names)}\n:   {text}\n\n"

"""Read a large JSON file item by item, so that memory does not grow with it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from asugnn.limits import DOCUMENT_BYTES, STREAM_BYTES, check_limit

CHUNK = 2**20  # characters
AFTER_VALUE = frozenset(" \t\r\n,:]}")


def stream_json(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Yield what a JSON object or list holds: the name and value of each entry, of a list each item under its name.

    The items of a list at the top have an empty name. To be called within `reading`; raises `ValueError` where the
    JSON is damaged, and `LimitError`.
    """
    text = _Text(stream)
    if text.peek() == "[":
        yield from (("", item) for item in text.items())
    else:
        text.take("{")
        while text.peek() != "}":
            name = text.value()
            text.take(":")
            if text.peek() == "[":
                yield from ((name, item) for item in text.items())
            else:
                yield name, text.value()
            if text.peek() != "}":
                text.take(",")
        text.take("}")
    if text.peek():
        raise ValueError("something follows after its end")


class _Text:
    """The text of a stream from the place up to which it was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = io.TextIOWrapper(stream, encoding="utf-8")
        self.decoder = json.JSONDecoder()
        self.text, self.position, self.total, self.ended = "", 0, 0, False

    def read_more(self) -> None:
        chunk = self.stream.read(CHUNK)
        self.text, self.position = self.text[self.position :] + chunk, 0
        self.total, self.ended = self.total + len(chunk), not chunk
        check_limit(len(self.text), DOCUMENT_BYTES + CHUNK, "characters in one item")
        check_limit(self.total, STREAM_BYTES, "unpacked characters")

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self.position < len(self.text):
                if not self.text[self.position].isspace():
                    return self.text[self.position]
                self.position += 1
            if self.ended:
                return ""
            self.read_more()

    def take(self, expected: str) -> None:
        if (found := self.peek()) != expected:
            raise ValueError(f"there is '{found}' where '{expected}' belongs" if found else "it ends too early")
        self.position += 1

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                found, end = self.decoder.raw_decode(self.text, self.position)
            except json.JSONDecodeError:
                if self.ended:
                    raise ValueError("it ends too early, or is no JSON") from None
            else:
                if self.text[end : end + 1] in AFTER_VALUE or self.ended:  # else a number could go on
                    self.position = end
                    return found
            self.read_more()

    def items(self) -> Iterator[Any]:
        self.take("[")
        while self.peek() != "]":
            yield self.value()
            if self.peek() != "]":
                self.take(",")
        self.take("]")

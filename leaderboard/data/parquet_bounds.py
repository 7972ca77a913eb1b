"""Measure a Parquet file before it is decoded: a few kilobytes of it can stand for billions of values.

The footer lists the chunks of the columns, and each page in them says how many values and bytes it holds. Both are
written in Thrift's compact protocol (apache/parquet-format, parquet.thrift), of which this reads what it needs.
"""

from __future__ import annotations

from typing import Any

from asugnn.limits import PARQUET_COLUMNS, PARQUET_UNPACKED_BYTES, PARQUET_VALUES, check_limit

MOST_NESTED = 20  # structs in one another
Struct = dict[int, Any]  # by number of the field


def check_parquet(content: bytes) -> None:
    """Raise `InputError` or another exception for a file that exceeds the limits or is damaged."""
    if len(content) < 12 or content[:4] != b"PAR1" or content[-4:] != b"PAR1":
        raise ValueError("it does not begin and end as Parquet does")
    length = int.from_bytes(content[-8:-4], "little")
    if length > len(content) - 12:
        raise ValueError("its footer is longer than the file")
    footer = _Thrift(content, len(content) - 8 - length).read_struct()  # FileMetaData
    rows, groups = footer.get(3, 0), footer.get(4, [])
    check_limit(len(footer.get(2, [])), 4 * PARQUET_COLUMNS, "parts of columns")
    check_limit(rows, PARQUET_VALUES, "rows")
    values = unpacked = 0
    for group in groups:
        check_limit(len(group[1]), PARQUET_COLUMNS, "columns")
        for chunk in group[1]:
            for count, size in _measure_pages(content, chunk[3]):  # ColumnMetaData
                values, unpacked = values + count, unpacked + size
                check_limit(values, PARQUET_VALUES, "values")
                check_limit(unpacked, PARQUET_UNPACKED_BYTES, "unpacked bytes")


def _measure_pages(content: bytes, column: Struct) -> list[tuple[int, int]]:
    """Number of values and of unpacked bytes of each page of the chunk of a column."""
    starts = [column[field] for field in (9, 11) if field in column]  # of its data, of its dictionary
    position, end = min(starts), min(starts) + column[7]
    if not 4 <= position <= end <= len(content):
        raise ValueError("a column lies outside the file")
    pages = []
    while position < end:
        thrift = _Thrift(content, position)
        header = thrift.read_struct()  # PageHeader
        counts = [header[field][1] for field in (5, 7, 8) if field in header]  # data, dictionary, data of version 2
        size, packed = header[2], header[3]
        if min(size, packed, *counts, 0) < 0:
            raise ValueError("a page of it has a negative size")
        pages.append((sum(counts), size))
        position = thrift.position + packed
    return pages


class _Thrift:
    """A reader of Thrift's compact protocol in `content` from `position`."""

    def __init__(self, content: bytes, position: int) -> None:
        self.content, self.position = content, position

    def read_struct(self, nested: int = 0) -> Struct:
        if nested > MOST_NESTED:
            raise ValueError("it is nested too deeply")
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            fields[number] = self._value(head & 15, nested)
        return fields

    def _byte(self) -> int:
        byte = self.content[self.position]  # an IndexError where the file ends
        self.position += 1
        return byte

    def _unsigned(self) -> int:
        total = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            total |= (byte & 127) << shift
            if byte < 128:
                return total
        raise ValueError("it has a number without an end")

    def _integer(self) -> int:
        zigzag = self._unsigned()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def _value(self, kind: int, nested: int) -> Any:
        if kind in {1, 2}:  # true, false
            return kind == 1
        if kind in {4, 5, 6}:  # whole numbers
            return self._integer()
        if kind in {9, 10}:  # a list, a set
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._unsigned()
            if count > len(self.content) - self.position:
                raise ValueError("it has a list that is longer than the file")
            inner = head & 15 if head & 15 > 2 else 3  # in a list, a truth value takes a byte
            return [self._value(inner, nested + 1) for _ in range(count)]
        if kind == 12:
            return self.read_struct(nested + 1)
        if kind not in {3, 7, 8}:
            raise ValueError(f"it has a field of unknown kind {kind}")
        length = {3: 1, 7: 8}.get(kind) or self._unsigned()  # a byte, a float, or text, whose values are not needed
        self.position += length
        return None

"""Parse the text of a CIF into data blocks: values by tag, as CIF 1.1 and CIF 2.0 define them.

Save frames, which dictionaries use, hold no items of their block.

Sources: Hall & McMahon, International Tables for Crystallography G (2005), chapter 2.2; for CIF 2.0, Bernstein et al.,
J. Appl. Cryst. 49, 277 (2016).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from asugnn.errors import InputError
from asugnn.limits import CIF_BLOCK_BYTES, check_limit

UNKNOWN = ("?", ".", "")  # values that stand for none
SHOWN = 60  # characters of a value in a message
ATOMS_TAG = re.compile(r"_atom_site[_.](fract|cartn|label)", re.IGNORECASE)


@dataclass
class CifBlock:
    """A data block: the values of each tag, a list also for a tag outside a loop.

    Tags are in lower case and with `_` in place of the dots of CIF 2.0, so that `_cell.length_a` is `_cell_length_a`.
    """

    name: str
    line: int  # where it begins in the file, counted from 1
    values: dict[str, list[str]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)  # sentences about tags whose values cannot be used
    atoms_in_frame: str = ""  # the first save frame with atoms

    def column(self, *tags: str) -> list[str]:
        """Return the values of the first of these tags that has any, else an empty list."""
        for tag in map(str.lower, tags):
            if tag in self.faults:
                raise InputError(self.faults[tag])
            if values := self.values.get(tag):
                return values
        return []

    def text(self, *tags: str) -> str | None:
        """Return the one value of the first of these tags that is known, or None."""
        for tag in tags:
            known = {" ".join(value.split()) for value in self.column(tag)} - set(UNKNOWN)
            if len(known) > 1:
                raise InputError(f"{tag} has {len(known)} values: it must have one")
            if known:
                return known.pop()
        return None

    def has_prefix(self, *prefixes: str) -> str | None:
        """Return a tag with one of these beginnings and at least one known value, or None."""
        for tag, values in self.values.items():
            if tag.startswith(prefixes) and not set(values) <= set(UNKNOWN):
                return tag
        return None


@dataclass(frozen=True)
class Token:
    """A word of a CIF. A bare word may be a tag or a keyword; a quoted one is always a value."""

    text: str
    line: int
    bare: bool

    def is_keyword(self, word: str) -> bool:
        return self.bare and self.text.lower().startswith(word)


def split_cif(text: str) -> Iterator[CifBlock]:
    """Parse the data blocks with atoms one after the other; a line `data_` inside a text field begins none.

    Raises `InputError` for a block whose only atoms are in a save frame.
    """
    cif2 = text.startswith("#\\#CIF_2.0")
    starts = [*_find_block_starts(text, cif2), len(text)]
    line, counted = 1, 0
    for start, end in pairwise(starts):
        line, counted = line + text.count("\n", counted, start), start
        # The word may also stand in a comment or a text field: the tags of the block decide.
        if ATOMS_TAG.search(body := text[start:end]):
            check_limit(len(body), CIF_BLOCK_BYTES, "bytes in one data block")
            block = _parse_block(body, line, cif2)
            if any(ATOMS_TAG.match(tag) for tag in [*block.values, *block.faults]):
                yield block
            elif block.atoms_in_frame:
                raise InputError(
                    f"data_{block.name[:SHOWN]} has atoms only in its save frame {block.atoms_in_frame[:SHOWN]}, as a "
                    "dictionary has its definitions: only what stands in a data block itself is read"
                )


def _find_block_starts(text: str, cif2: bool) -> list[int]:
    """Find where lines begin with `data_`, outside text fields and, in CIF 2.0, triple quotes."""
    starts = []
    position, end = 0, ""
    marks = re.compile(r"^(?:;|[ \t]*(data_))" + ("|'''|\"\"\"" if cif2 else ""), re.MULTILINE | re.IGNORECASE)
    while mark := marks.search(text, position):
        position = mark.end()
        if mark[1]:
            starts.append(mark.start(1))
            continue
        end = "\n;" if mark[0] == ";" else mark[0]
        if (closed := text.find(end, position)) < 0:
            break
        position = closed + len(end)
    return starts


def _parse_block(text: str, line: int, cif2: bool) -> CifBlock:
    tokens = list(_merge_lists(_tokenise(text, line, cif2)) if cif2 else _tokenise(text, line, cif2))
    block = CifBlock(tokens[0].text[5:], line)
    position = 1
    while position < len(tokens):
        token = tokens[position]
        if token.is_keyword("loop_"):
            position = _parse_loop(block, tokens, position)
        elif token.is_keyword("_"):
            following = tokens[position + 1] if position + 1 < len(tokens) else None
            missing = following is None or _ends_values(following)
            _store(block, token, [] if missing or following is None else [following.text])
            position += 1 if missing else 2
        elif token.is_keyword("save_") and len(token.text) > len("save_"):
            position = _skip_frame(block, tokens, position)
        else:
            raise InputError(f"line {token.line}: the text '{token.text[:SHOWN]}' belongs to no tag")
    return block


def _skip_frame(block: CifBlock, tokens: list[Token], start: int) -> int:
    """Return where the save frame that begins at `start` ends, behind its `save_`."""
    position = start + 1
    while position < len(tokens) and not tokens[position].is_keyword("save_"):
        if tokens[position].bare and ATOMS_TAG.match(tokens[position].text):
            block.atoms_in_frame = block.atoms_in_frame or tokens[start].text
        position += 1
    if position == len(tokens) or len(tokens[position].text) > len("save_"):
        raise InputError(f"line {tokens[start].line}: the save frame that begins here is not closed by save_")
    return position + 1


def _parse_loop(block: CifBlock, tokens: list[Token], start: int) -> int:
    """Store the columns of the loop that begins at `start`; return where it ends."""
    position = start + 1
    while position < len(tokens) and tokens[position].is_keyword("_"):
        position += 1
    tags = tokens[start + 1 : position]
    first = position
    while position < len(tokens) and not _ends_values(tokens[position]):
        position += 1
    values = [token.text for token in tokens[first:position]]
    if not tags:
        raise InputError(f"line {tokens[start].line}: the loop_ has no tags")
    for column, tag in enumerate(tags):
        _store(block, tag, values[column :: len(tags)])
        if left := len(values) % len(tags):
            block.faults[_normalise(tag.text)] = (
                f"the loop_ in line {tokens[start].line} is incomplete: of its {len(tags)} tags, the last row has "
                f"{left} (lines {tokens[first].line} to {tokens[position - 1].line})"
            )
    return position


def _store(block: CifBlock, tag: Token, values: list[str]) -> None:
    name = _normalise(tag.text)
    if block.values.get(name) and values and block.values[name] != values:
        block.faults[name] = f"line {tag.line}: {tag.text[:SHOWN]} is given a second time, with other values"
    elif values or name not in block.values:
        block.values[name] = values


def _normalise(tag: str) -> str:
    return tag.lower().replace(".", "_")


def _ends_values(token: Token) -> bool:
    return any(map(token.is_keyword, ("_", "loop_", "data_", "save_")))


def _tokenise(text: str, line: int, cif2: bool) -> Iterator[Token]:
    """Yield the words of a block; a quote that is not closed ends with its line."""
    position = counted = 0
    space, word = re.compile(r"\s*"), re.compile(r"\S+")
    while True:
        position = space.match(text, position).end()  # type: ignore[union-attr]  # it matches everywhere
        if position == len(text):
            return
        line, counted = line + text.count("\n", counted, position), position
        character = text[position]
        if character == "#":
            position = _end_of_line(text, position)
            continue
        if character == ";" and (position == 0 or text[position - 1] == "\n"):
            end = _find_end(text, "\n;", position, f"line {line}: the text field that begins here is not closed")
            yield Token(text[position + 1 : end], line, False)
            position = end + 2
        elif cif2 and (quotes := text[position : position + 3]) in {"'''", '"""'}:
            end = _find_end(text, quotes, position + 3, f"line {line}: the quotes {quotes} are not closed")
            yield Token(text[position + 3 : end], line, False)
            position = end + 3
        elif character in "'\"":
            limit = _end_of_line(text, position)
            closing = re.compile(rf"{character}(?=\s|\Z)").search(text, position + 1, limit)
            end = closing.start() if closing else limit
            yield Token(text[position + 1 : end], line, False)
            position = end + bool(closing)
        else:
            found = word.match(text, position)
            yield Token(found[0], line, True)  # type: ignore[index]  # no space stands here
            position = found.end()  # type: ignore[union-attr]


def _merge_lists(tokens: Iterator[Token]) -> Iterator[Token]:
    """Join the words of a list or table of CIF 2.0, `[1 2]` or `{'a':1}`, into one value."""
    depth, parts, first = 0, [], 0
    for token in tokens:
        if depth == 0 and not (token.bare and token.text[0] in "[{"):
            yield token
            continue
        first = first if depth else token.line
        depth += sum(token.text.count(c) for c in "[{") - sum(token.text.count(c) for c in "]}")
        parts.append(token.text)
        if depth <= 0:
            yield Token(" ".join(parts), first, False)
            depth, parts = 0, []
    if depth:
        raise InputError(f"line {first}: the list that begins here is not closed")


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _find_end(text: str, mark: str, position: int, sentence: str) -> int:
    if (end := text.find(mark, position)) < 0:
        raise InputError(sentence)
    return end

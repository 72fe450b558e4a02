"""The names of the classes that a network tells apart, from a file in the order of its logits."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from convscope.data.labels import taxonomy

IMAGENET = "imagenet"
ACCEPTED = (
    "It is imagenet, or a file: a text with a name a line, a JSON list of names, a JSON object"
    ' {"0": name, ...}, or a CSV with the columns index and name'
)


def read(path: str | Path) -> tuple[str, ...]:
    """Return the classes in a file, in the order of a network's logits.

    Args:
        path: a text with a name a line, a JSON list of names, a JSON object {"0": name} or
            {"0": [synset, name]}, whose synset counts, or a CSV with the columns index and name;
            or the word imagenet for its thousand synsets.

    Raises:
        ValueError: the file cannot be read, or does not give each class one name of its own.
    """
    if str(path) == IMAGENET:
        return taxonomy().classes
    file = Path(path).expanduser()
    text = _text(file)
    suffix = file.suffix.lower()
    if suffix == ".json":
        found = _json(file, text)
    elif suffix == ".csv":
        found = _csv(file, text)
    else:
        found = [line.strip() for line in text.rstrip().splitlines()]
    return _checked(file, found)


def numbered(count: int) -> tuple[str, ...]:
    """Return names for classes that nobody named."""
    return tuple(f"class {index}" for index in range(count))


def _text(file: Path) -> str:
    """Return the text of a file.

    Raises:
        ValueError: it cannot be read, is empty, or is no UTF-8.
    """
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(file, f"is not UTF-8: byte {error.start} cannot be read") from error
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise _error(file, f"cannot be read: {why}") from error
    if not text.strip():
        raise _error(file, "is empty")
    return text


def _json(file: Path, text: str) -> list[str]:
    """Return the names in a JSON list or object.

    Raises:
        ValueError: it is neither, or holds something else than names.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _error(file, f"is no JSON: {error}") from error
    if isinstance(content, list):
        return [_name(file, name) for name in content]
    if isinstance(content, dict):
        return _in_order(file, ((key, _name(file, name)) for key, name in content.items()))
    raise _error(file, f"holds {str(content)[:40]!r}, no list and no object")


def _name(file: Path, entry: Any) -> str:
    """Return the class of one entry of a JSON file: a name, or the synset of a pair.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(entry, list) and len(entry) == 2:
        entry = entry[0]
    if not isinstance(entry, str):
        raise _error(file, f"holds {str(entry)[:40]!r} where a name should be")
    return entry.strip()


def _csv(file: Path, text: str) -> list[str]:
    """Return the names in a CSV.

    Raises:
        ValueError: it lacks a column.
    """
    lines = text.splitlines()
    try:
        header, *rows = csv.reader(lines, delimiter=max(",;\t", key=lines[0].count), strict=True)
    except (csv.Error, ValueError) as error:
        raise _error(file, f"is no CSV: {error}") from error
    titles = [title.strip().lower() for title in header]
    missing = [title for title in ("index", "name") if title not in titles]
    if missing:
        raise _error(file, f"has no column {missing[0]}, only {', '.join(titles)!a}")
    index, name = titles.index("index"), titles.index("name")
    full = [row for row in rows if any(cell.strip() for cell in row)]
    short = next((row for row in full if len(row) <= max(index, name)), None)
    if short is not None:
        raise _error(file, f"has the row {','.join(short)!a}, which is too short")
    return _in_order(file, ((row[index], row[name].strip()) for row in full))


def _in_order(file: Path, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return names in the order of their numbers.

    Raises:
        ValueError: a number is none, missing, or there twice.
    """
    found: dict[int, str] = {}
    for key, name in pairs:
        digits = key.strip()
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
            raise _error(file, f"has the number {key[:40]!a}; classes count from 0")
        if int(digits) in found:
            raise _error(file, f"has class {int(digits)} twice")
        found[int(digits)] = name
    gap = next((number for number in range(len(found)) if number not in found), None)
    if gap is not None:
        raise _error(file, f"has no class {gap}, but {max(found)}; classes count from 0")
    return [found[number] for number in range(len(found))]


def _checked(file: Path, found: list[str]) -> tuple[str, ...]:
    """Return the names if there are any, and each is one of its own.

    Raises:
        ValueError: they are not.
    """
    if not found:
        raise _error(file, "holds no names")
    if "" in found:
        raise _error(file, f"has no name for class {found.index('')}")
    name, times = Counter(found).most_common(1)[0]
    if times > 1:
        first = found.index(name)
        raise _error(
            file, f"calls both class {first} and class {found.index(name, first + 1)} {name[:40]!a}"
        )
    return tuple(found)


def _error(file: Path, problem: str) -> ValueError:
    """Return the error for a file of names."""
    return ValueError(f"model.classes={file} {problem}. {ACCEPTED}.")

"""A table of labels: the class of each photograph, by its path, its file's name or its stem."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

# The columns that a table of labels may have, the best first. ImageId and PredictionString are
# those of ILSVRC's own table of its validation photographs.
FILE_COLUMNS = ("image", "file", "filename", "path", "name", "imageid", "id")
CLASS_COLUMNS = ("wnid", "synset", "label", "class", "predictionstring")
ACCEPTED = (
    "The first row names the columns: one of image, file, filename, path, name, ImageId and id for"
    " the file, and one of wnid, synset, label, class and PredictionString for its class"
)

Parts = Sequence[str]  # of a path: folders, then the file's name

SYNSET = re.compile(r"(?<![0-9A-Za-z])n\d{8}(?!\d)")


def classes(table: Path, inside: Sequence[Parts]) -> tuple[str | None, ...]:
    """Return the class that a table gives each photograph: a synset, a plain name, or None.

    Args:
        table: a CSV with a column for the file and one for its class.
        inside: the photographs, as parts of their paths below the root.

    Raises:
        ValueError: the table cannot be read, lacks a column, or does not say clearly which class a
            photograph has.
    """
    return _look_up(inside, _rows(table), table)


def stem(name: str) -> str:
    """Return a file's name without its ending."""
    return name.rpartition(".")[0] or name


def utf8(text: str) -> str:
    """Return a name in which bytes that are no UTF-8 are escaped."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _rows(table: Path) -> list[tuple[Parts, str]]:
    """Return the (file, class) pairs of a table, those without a class left out.

    Raises:
        ValueError: it cannot be read, or lacks a column.
    """
    try:
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = file.readline()
            file.seek(0)
            header, *rows = csv.reader(file, delimiter=max(",;\t", key=first.count), strict=True)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ValueError(f"images.labels={table} cannot be read: {reason}. {ACCEPTED}.") from error
    except csv.Error as error:
        raise ValueError(f"images.labels={table} is no CSV: {error}. {ACCEPTED}.") from error
    except ValueError as error:  # not even a header
        raise ValueError(f"images.labels={table} is empty. {ACCEPTED}.") from error
    file_at = _column(header, FILE_COLUMNS, "file", table)
    class_at = _column(header, CLASS_COLUMNS, "class", table)
    pairs: list[tuple[Parts, str]] = []
    for row in rows:
        if len(row) > max(file_at, class_at) and row[file_at].strip() and row[class_at].strip():
            match = SYNSET.search(row[class_at])
            steps = row[file_at].strip().replace("\\", "/").split("/")
            parts = [step for step in steps if step not in ("", ".")]
            pairs.append((parts, match[0] if match else utf8(row[class_at].strip())))
    return pairs


def _column(header: Sequence[str], known: Sequence[str], what: str, table: Path) -> int:
    """Return where the best column for the file or the class stands.

    Raises:
        ValueError: there is none.
    """
    titles = [title.strip().lower() for title in header]
    there = [titles.index(title) for title in known if title in titles]
    if not there:
        given = ", ".join(filter(None, (title.strip() for title in header)))
        raise ValueError(
            f"images.labels={table} has no column for the {what}, only {given!a}. {ACCEPTED}."
        )
    return there[0]


def _look_up(
    inside: Sequence[Parts], rows: Sequence[tuple[Parts, str]], table: Path
) -> tuple[str | None, ...]:
    """Return each photograph's class: of its path, else of its file's name, else of its stem.

    Raises:
        ValueError: two rows give one photograph different classes, one row fits several
            photographs, or none fits any.
    """
    keys: list[str | None] = [None] * len(inside)
    waiting, left = list(range(len(inside))), rows
    for part in ("/".join, lambda parts: parts[-1], lambda parts: stem(parts[-1])):
        given: dict[str, str | None] = {}
        for parts, key in left:
            name = part(parts)
            given[name] = key if given.get(name, key) == key else None
        many = Counter(part(inside[place]) for place in waiting)
        for place in waiting:
            name = part(inside[place])
            if name in given and (given[name] is None or many[name] > 1):
                what = "has one row for several" if given[name] else "gives two classes to"
                raise ValueError(
                    f"images.labels={table} {what} {name!a}. Give each photograph one row,"
                    " with its path below images.root."
                )
            keys[place] = given.get(name)
        left = [row for row in left if part(row[0]) not in many]
        waiting = [place for place in waiting if keys[place] is None]
    if inside and not any(keys):
        raise ValueError(
            f"images.labels={table} names none of the {len(inside)} photographs. Its rows give the"
            " path below images.root, the file's name, or its name without the ending."
        )
    return tuple(keys)

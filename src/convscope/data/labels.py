"""The classes that photographs belong to, and WordNet's groups above those of ImageNet."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.data.wordnet import taxonomy

# "n02130308_cheetah" and "n01440764_10026", as ILSVRC names its photographs; "n02130308" alone.
NAMED = re.compile(r"(n\d{8})(?:[_-](.*))?", re.DOTALL)


@dataclass(frozen=True)
class Labels:
    """What class each photograph of a set belongs to.

    Attributes:
        keys: one for each photograph: a synset like n02130308, a plain name, or None.
        names: {key: the name that is shown}.
        source: where the keys come from: "file names", "folders", a table's path, or "none".
    """

    keys: tuple[str | None, ...]
    names: Mapping[str, str]
    source: str


def of(paths: Sequence[Path], root: Path | None, table: Path | None = None) -> Labels:
    """Return the classes of a set of photographs, all from one source.

    Without a table that is the first of these that names at least half of the photographs, or else
    the first that names any: ILSVRC's file names, the nearest folder that is named after a synset,
    the folder right below `root` if there are several.

    Args:
        paths: the photographs.
        root: the folder they lie in; None looks at their own names only.
        table: a CSV with a class for each file, which alone counts then.

    Raises:
        ValueError: the table cannot be read, lacks a column, or does not say clearly which class a
            photograph has.
    """
    inside = _below(paths, root)
    if table is not None:
        keys = classes(table, inside)
        return Labels(keys, _names(keys, {}), str(table))
    home = [root.name] if root else []
    ways: tuple[tuple[str, Callable[[Parts], str | None]], ...] = (
        ("file names", lambda parts: _synset(stem(parts[-1]))),
        ("folders", lambda parts: _nearest([*home, *parts[:-1]])),
        ("folders", _plain_folder(inside if root else [])),
    )
    best: tuple[tuple[str | None, ...], str] = (None,) * len(paths), "none"
    for source, way in ways:
        keys = tuple(map(way, inside))
        enough = 2 * sum(key is not None for key in keys) >= max(len(paths), 1)
        if enough or (any(keys) and best[1] == "none"):
            best = keys, source
        if enough:
            break
    keys, source = best
    strange = {key for key in keys if key and key not in taxonomy().words}
    return Labels(keys, _names(keys, _words(inside) if strange else {}), source)


def _below(paths: Iterable[Path], root: Path | None) -> list[Parts]:
    """Return the parts of each path below `root`, or its name alone."""
    # Text, since a million paths would take half a minute to be asked one by one.
    start = str(root / "x")[:-1] if root else None
    found: list[Parts] = []
    for path in paths:
        inside = start is not None and str(path).startswith(start)
        below = str(path)[len(start or "") :] if inside else path.name
        found.append(below.replace(os.sep, "/").split("/"))
    return found


def _synset(name: str) -> str | None:
    """Return the synset that a file or folder is named after."""
    match = NAMED.fullmatch(name)
    return match[1] if match else None


def _nearest(folders: Parts) -> str | None:
    """Return the synset that the innermost of some folders is named after."""
    return next(filter(None, map(_synset, reversed(folders))), None)


def _plain_folder(inside: Iterable[Parts]) -> Callable[[Parts], str | None]:
    """Return what names the outermost folder of a photograph, if there are several."""
    names = {parts[0]: utf8(parts[0]) for parts in inside if len(parts) > 1}
    return lambda parts: names[parts[0]] if len(names) > 1 and len(parts) > 1 else None


def _words(inside: Iterable[Parts]) -> dict[str, str]:
    """Return the words that stand behind synsets in the names of files and folders."""
    found: dict[str, str] = {}
    for parts in inside:
        for name in (stem(parts[-1]), *reversed(parts[:-1])):
            match = NAMED.fullmatch(name)
            if match and match[2] and not re.fullmatch(r"[\d_]*", match[2]):
                found.setdefault(match[1], utf8(match[2].replace("_", " ")))
    return found


def _names(keys: Iterable[str | None], words: Mapping[str, str]) -> dict[str, str]:
    """Return the name that is shown for each key: WordNet's, the files' own, or the key."""
    known = taxonomy()
    return {
        key: known.name(key) if key in known.words else " ".join(words.get(key, key).split())
        for key in sorted({key for key in keys if key is not None})
    }


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


IMAGENET = "imagenet"
ACCEPTED_NAMES = (
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
    return ValueError(f"model.classes={file} {problem}. {ACCEPTED_NAMES}.")

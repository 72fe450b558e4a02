"""The classes that photographs belong to, and WordNet's groups above those of ImageNet."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convscope.data.wordnet import taxonomy
from convscope.settings import located

# "n02130308_cheetah" and "n01440764_10026", as ILSVRC names its photographs; "n02130308" alone.
NAMED = re.compile(r"(n\d{8})(?:[_-](.*))?", re.DOTALL)


LARGEST_TABLE = 2**29  # bytes; a row for each of ImageNet's photographs takes a tenth of it


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


def named(keys: Sequence[str | None], source: str) -> Labels:
    """Return the classes of photographs where they are known, with the names that are shown."""
    return Labels(tuple(keys), _names(keys, {}), source)


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
# What a file must be that a setting names.
ACCEPTED = {
    "images.labels": (
        "The first row names the columns: one of image, file, filename, path, name, ImageId and id"
        " for the file, and one of wnid, synset, label, class and PredictionString for its class"
    ),
    "model.labels": (
        "It is imagenet, or a file: a text with a name a line, a JSON list of names, a JSON object"
        ' {"0": name, ...}, or a CSV with the columns index and name'
    ),
}

Parts = Sequence[str]  # of a path: folders, then the file's name

SYNSET = re.compile(r"(?<![0-9A-Za-z])n\d{8}(?!\d)")


def classes(table: Path, inside: Sequence[Parts]) -> tuple[str | None, ...]:
    """Return the class that a table gives each photograph: a synset, a plain name, or None.

    A row counts for the photograph of its path, else of its file's name, else of its stem.

    Args:
        table: a CSV with a column for the file and one for its class.
        inside: the photographs, as parts of their paths below the root.

    Raises:
        ValueError: the table cannot be read, lacks a column, or does not say clearly which class a
            photograph has: two rows give one photograph different classes, one row fits several
            photographs, or none fits any.
    """
    keys: list[str | None] = [None] * len(inside)
    waiting, left = list(range(len(inside))), _rows(table)
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


def stem(name: str) -> str:
    """Return a file's name without its ending."""
    return name.rpartition(".")[0] or name


def utf8(text: str) -> str:
    """Return a name in which bytes that are no UTF-8 are escaped."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _rows(table: Path) -> list[tuple[Parts, str]]:
    """Return the (file, class) pairs of a table, those without a class left out."""
    text = _text("images.labels", table, "surrogateescape")
    header, rows = _csv("images.labels", table, text)
    file_at, class_at = (
        _column("images.labels", table, header, known, f"for the {what}")
        for known, what in ((FILE_COLUMNS, "file"), (CLASS_COLUMNS, "class"))
    )
    pairs: list[tuple[Parts, str]] = []
    for row in rows:
        if len(row) > max(file_at, class_at) and row[file_at].strip() and row[class_at].strip():
            match = SYNSET.search(row[class_at])
            steps = row[file_at].strip().replace("\\", "/").split("/")
            parts = [step for step in steps if step not in ("", ".")]
            pairs.append((parts, match[0] if match else utf8(row[class_at].strip())))
    return pairs


IMAGENET = "imagenet"


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
    file = located("model.labels", str(path))
    text, suffix = _text("model.labels", file), file.suffix.lower()
    how = {".json": _json_names, ".csv": _csv_names}.get(suffix)
    names = how(file, text) if how else [line.strip() for line in text.rstrip().splitlines()]
    if not names:
        raise _error("model.labels", file, "holds no names")
    if "" in names:
        raise _error("model.labels", file, f"has no name for class {names.index('')}")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        first = names.index(name)
        both = f"both class {first} and class {names.index(name, first + 1)}"
        raise _error("model.labels", file, f"calls {both} {name[:40]!a}")
    return tuple(names)


def numbered(count: int) -> tuple[str, ...]:
    """Return names for classes that nobody named."""
    return tuple(f"class {index}" for index in range(count))


def _json_names(file: Path, text: str) -> list[str]:
    """Return the names in a JSON list or object, of a pair the synset."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _error("model.labels", file, f"is no JSON: {error}") from error
    if not isinstance(content, list | dict):
        problem = f"holds {str(content)[:40]!r}, no list and no object"
        raise _error("model.labels", file, problem)
    names = []
    for entry in content if isinstance(content, list) else content.values():
        name = entry[0] if isinstance(entry, list) and len(entry) == 2 else entry
        if not isinstance(name, str):
            problem = f"holds {str(name)[:40]!r} where a name should be"
            raise _error("model.labels", file, problem)
        names.append(name.strip())
    return names if isinstance(content, list) else _in_order(file, zip(content, names, strict=True))


def _csv_names(file: Path, text: str) -> list[str]:
    """Return the names in a CSV."""
    header, rows = _csv("model.labels", file, text)
    index, name = (
        _column("model.labels", file, header, (title,), title) for title in ("index", "name")
    )
    full = [row for row in rows if any(cell.strip() for cell in row)]
    for row in full:
        if len(row) <= max(index, name):
            problem = f"has the row {','.join(row)!a}, which is too short"
            raise _error("model.labels", file, problem)
    return _in_order(file, ((row[index], row[name].strip()) for row in full))


def _in_order(file: Path, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return names in the order of their numbers, of which none is missing or there twice."""
    found: dict[int, str] = {}
    for key, name in pairs:
        digits = key.strip()
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
            problem = f"has the number {key[:40]!a}; classes count from 0"
            raise _error("model.labels", file, problem)
        if int(digits) in found:
            raise _error("model.labels", file, f"has class {int(digits)} twice")
        found[int(digits)] = name
    for number in range(len(found)):
        if number not in found:
            problem = f"has no class {number}, but {max(found)}; classes count from 0"
            raise _error("model.labels", file, problem)
    return [found[number] for number in range(len(found))]


def _text(setting: str, file: Path, errors: str = "strict") -> str:
    """Return the text of the file that a setting names.

    Raises:
        ValueError: it cannot be read, is too large, is empty, or is no UTF-8.
    """
    try:
        # A pipe would keep its reader waiting for ever, and a device fill the memory.
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise _error(setting, file, "is no regular file")
        if status.st_size > LARGEST_TABLE:
            raise _error(setting, file, f"is too large: {status.st_size:,} bytes")
        text = file.read_text("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8: byte {error.start} cannot be read"
        raise _error(setting, file, problem) from error
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise _error(setting, file, f"cannot be read: {why}") from error
    if not text.strip():
        raise _error(setting, file, "is empty")
    return text


def _csv(setting: str, file: Path, text: str) -> tuple[list[str], list[list[str]]]:
    """Return the titles and the rows of a CSV, its cells parted by the commonest of three marks."""
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        header, *rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise _error(setting, file, f"is no CSV: {error}") from error
    return [title.strip() for title in header], rows


def _column(setting: str, file: Path, header: list[str], known: Sequence[str], what: str) -> int:
    """Return where the best of the known columns stands.

    Raises:
        ValueError: there is none.
    """
    titles = [title.lower() for title in header]
    there = [titles.index(title) for title in known if title in titles]
    if not there:
        given = ", ".join(filter(None, header))
        raise _error(setting, file, f"has no column {what}, only {given!a}")
    return there[0]


def _error(setting: str, file: Path, problem: str) -> ValueError:
    """Return the error for a file that a setting names."""
    return ValueError(f"{setting}={file} {problem}. {ACCEPTED[setting]}.")

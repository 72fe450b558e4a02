"""The classes that photographs belong to, and WordNet's groups above those of ImageNet."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

from convscope.data import label_table
from convscope.data.label_table import Parts, stem, utf8

# "n02130308_cheetah" and "n01440764_10026", as ILSVRC names its photographs; "n02130308" alone.
NAMED = re.compile(r"(n\d{8})(?:[_-](.*))?", re.DOTALL)


@dataclass(frozen=True)
class Taxonomy:
    """ImageNet's classes and WordNet above them, as a graph without cycles.

    Attributes:
        classes: the synsets of ImageNet's 1000 classes, in the order of its logits.
        words: {synset: its words, the usual one first}.
        hypernyms: {synset: those right above it}.
    """

    classes: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    hypernyms: Mapping[str, tuple[str, ...]]

    def name(self, wnid: str) -> str:
        """Return a synset's first word; where another has the same, with what it is a kind of."""
        word = self.words[wnid][0]
        if self._shared[word] == 1:
            return word
        return f"{word} ({self.words[self.hypernyms[wnid][0]][0]})"

    def leaves(self, wnid: str) -> frozenset[str]:
        """Return the classes of ImageNet at or below a synset."""
        return self._leaves[wnid]

    def groups(
        self, present: Collection[str], least: int = 8, share: float = 0.4
    ) -> dict[str, frozenset[str]]:
        """Return the present classes below each synset, the largest groups first.

        Synsets with the same present classes are one group, named by the most specific of them:
        the one with the fewest classes of ImageNet, then the deepest. A synset that holds all
        present classes is none: nothing is left to compare it with.

        Args:
            present: synsets of classes; others than ImageNet's count for nothing.
            least: classes of ImageNet that a synset must have.
            share: the largest share of ImageNet's classes that it may have.
        """
        here = frozenset(present) & frozenset(self.classes)
        most = share * len(self.classes)
        best: dict[frozenset[str], str] = {}
        for wnid in sorted(self.words, key=self._vagueness):
            below = self.leaves(wnid)
            inside = below & here
            if least <= len(below) <= most and inside and inside != here:
                best.setdefault(inside, wnid)
        ordered = sorted(best.items(), key=lambda group: (-len(group[0]), group[1]))
        return {wnid: inside for inside, wnid in ordered}

    @cached_property
    def _leaves(self) -> dict[str, frozenset[str]]:
        """The classes at or below each synset."""
        below: dict[str, set[str]] = {wnid: set() for wnid in self.words}
        for leaf in self.classes:
            for wnid in self._above(leaf):
                below[wnid].add(leaf)
        return {wnid: frozenset(leaves) for wnid, leaves in below.items()}

    @cached_property
    def _shared(self) -> Counter[str]:
        """How many synsets have each first word."""
        return Counter(words[0] for words in self.words.values())

    @cached_property
    def _depths(self) -> dict[str, int]:
        """The most steps from the root to each synset."""
        depths: dict[str, int] = {}

        def depth(wnid: str) -> int:
            if wnid not in depths:
                depths[wnid] = 1 + max(map(depth, self.hypernyms[wnid]), default=-1)
            return depths[wnid]

        for wnid in self.words:
            depth(wnid)
        return depths

    def _above(self, wnid: str) -> set[str]:
        """Return a synset and all that stand above it."""
        found, waiting = set(), [wnid]
        while waiting:
            if (here := waiting.pop()) not in found:
                found.add(here)
                waiting += self.hypernyms[here]
        return found

    def _vagueness(self, wnid: str) -> tuple[int, int, str]:
        """Return what sorts the most specific synset first."""
        return len(self.leaves(wnid)), -self._depths[wnid], wnid


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


@cache
def taxonomy() -> Taxonomy:
    """Return ImageNet's classes and WordNet 3.0 above them, from the table in the package."""
    text = (files("convscope") / "data" / "imagenet_wordnet.json").read_text("utf-8")
    table = json.loads(text)
    synsets: dict[str, dict[str, list[str]]] = table["synsets"]
    return Taxonomy(
        classes=tuple(table["classes"]),
        words={wnid: tuple(entry["words"]) for wnid, entry in synsets.items()},
        hypernyms={wnid: tuple(entry["hypernyms"]) for wnid, entry in synsets.items()},
    )


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
        keys = label_table.classes(table, inside)
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

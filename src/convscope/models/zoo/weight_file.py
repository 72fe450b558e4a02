"""Files of weights as Keras writes them: what is in them, and how a model takes them over."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convscope.models.backend import keras

Shape = tuple[int, ...]

# The first bytes of every HDF5 file.
SIGNATURE = b"\x89HDF\r\n\x1a\n"
WEIGHTS = "model.weights.h5"  # inside a .keras file
ACCEPTED = "Give an .h5, .weights.h5 or .keras file that Keras wrote"


@dataclass(frozen=True)
class Contents:
    """What a file of weights says it holds; no array of it is read yet.

    Attributes:
        path: the file.
        layers: how many layers the model had that was written, those without weights included.
        shapes: {the array's path inside the file: its shape}; in the model's order if `ordered`.
        ordered: whether it is of the old format, which gives the arrays of each layer in order.
    """

    path: Path
    layers: int
    shapes: Mapping[str, Shape]
    ordered: bool


def contents(path: Path) -> Contents:
    """Return what a file of weights holds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file of weights, or is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The weight file {path} does not exist. {ACCEPTED}.")
    with _open(path) as file:
        home = file.get("model_weights", file)
        if _names(home, "layer_names"):
            shapes = {name: array.shape for name, array in _ordered(home, path)}
            return Contents(path, len(_names(home, "layer_names")), shapes, ordered=True)
        found: dict[str, Shape] = {}

        def note(name: str, item: Any) -> None:
            state = name.startswith(("optimizer", "metrics")) or "seed_generator/" in name
            if isinstance(item, h5py.Dataset) and not state:
                found[name] = item.shape

        home.visititems(note)
        if not found:
            raise ValueError(f"The weight file {path} holds no weights. {ACCEPTED}.")
        return Contents(path, len(home.get("layers", ())), found, ordered=False)


def misfit(model: keras.Model, file: Contents) -> str:
    """Return in words what a model and a file do not share, "" if they fit."""
    if file.ordered:
        wanted = ((weight.path, tuple(weight.shape)) for weight in _in_order(model))
        for ours, theirs in zip_longest(wanted, file.shapes.items()):
            if ours is None or theirs is None:
                return _unshared(*(ours or ("", ())), *(theirs or ("", ())))
            if ours[1] != theirs[1]:
                return f"its {theirs[0]} is {theirs[1]} where {ours[0]} is {ours[1]}"
        return ""
    asked, given = Counter(shapes(model).values()), Counter(file.shapes.values())
    return _unshared(*_first(shapes(model), asked - given), *_first(file.shapes, given - asked))


def shapes(model: keras.Model) -> dict[str, Shape]:
    """Return {the path of each weight: its shape} of a model."""
    return {weight.path: tuple(weight.shape) for weight in model.weights}


def fill(model: keras.Model, file: Contents, name: str) -> None:
    """Give a model all its weights from a file.

    Args:
        model: the model; after an error it is in no state to be used.
        file: what the file holds.
        name: what to call the network in errors.

    Raises:
        ValueError: an array is missing, has another shape, or is damaged.
    """
    try:
        _fill(model, file)
    except _MisfitError as error:
        raise ValueError(
            f"The weight file {file.path} does not fit {name}: {error}. {ACCEPTED} for it."
        ) from error


class _MisfitError(Exception):
    """What a file and a model do not share, in words."""


def _fill(model: keras.Model, file: Contents) -> None:
    """Give a model all its weights from a file."""
    if complaint := misfit(model, file):
        raise _MisfitError(complaint)
    for weight in _numbers(model):
        weight.assign(np.full(weight.shape, np.nan, weight.dtype))
    if file.ordered:
        _fill_in_order(model, file)
    else:
        _fill_by_path(model, file)
    for weight in _numbers(model):
        # What the file did not reach is still no number.
        if keras.ops.any(keras.ops.isnan(weight)):
            raise _MisfitError(f"it leaves {weight.path} without numbers")


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def reason(error: BaseException) -> str:
    """Return what an error of Keras says first, in one line without a full stop."""
    # Keras wraps an error in others, which repeat all that was to be built.
    text = str(error).rpartition("Exception encountered: ")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = " ".join(lines[: 2 if lines[0].endswith(":") else 1]) if lines else type(error).__name__
    return (said if len(said) <= 300 else f"{said[:300]}...").rstrip(".")


def _in_order(model: keras.Model) -> list[keras.Variable]:
    """Return the weights of a model in the order of the old format."""
    return [
        weight
        for layer in model.layers
        for weight in layer.trainable_weights + layer.non_trainable_weights
    ]


def _fill_in_order(model: keras.Model, file: Contents) -> None:
    """Take over the arrays of each layer in turn, as the old format wants it."""
    with _open(file.path) as stored:
        arrays = _ordered(stored.get("model_weights", stored), file.path)
        for weight, (_, array) in zip(_in_order(model), arrays, strict=True):
            weight.assign(array[()])


def _fill_by_path(model: keras.Model, file: Contents) -> None:
    """Let Keras match the arrays with the layers, which it wants a file's ending for."""
    if not file.path.name.endswith((".keras", ".weights.h5")):
        raise ValueError(
            f"The weight file {file.path} has the format of .weights.h5. Rename it so that it ends"
            " in .weights.h5."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(file.path)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise _MisfitError(f"Keras says: {reason(error)}") from error


def _numbers(model: keras.Model) -> list[keras.Variable]:
    """Return the weights of a model that are fractions."""
    return [weight for weight in model.weights if "float" in weight.dtype]


def _first(named: Mapping[str, Shape], wanted: Counter[Shape]) -> tuple[str, Shape]:
    """Return the name and shape of the first array of a wanted shape, "" if there is none."""
    return next(((name, shape) for name, shape in named.items() if wanted[shape]), ("", ()))


def _unshared(missing: str, its: Shape, extra: str, other: Shape) -> str:
    """Return in words what only one of a model and a file has."""
    said = [f"it lacks {missing} {its}"] if missing else []
    said += [f"it has {extra} {other} that the network does not know"] if extra else []
    return " and ".join(said)


def _broken(path: Path, error: BaseException) -> str:
    """Return the line for a file that stops being one."""
    return f"The weight file {path} is truncated or damaged: {reason(error)}. {ACCEPTED}."


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open the HDF5 file at `path`, or inside a .keras file there.

    Raises:
        ValueError: it is none, or is damaged.
    """
    with path.open("rb") as raw:
        start = raw.read(len(SIGNATURE))
    source: Any = path
    try:
        if start[:2] == b"PK":
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read(WEIGHTS))
        elif start != SIGNATURE:
            raise ValueError(f"The weight file {path} is no HDF5 file. {ACCEPTED}.")
        with h5py.File(source, "r") as file:
            yield file
    except KeyError as error:
        raise ValueError(f"The weight file {path} lacks a part: {reason(error)}.") from error
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(_broken(path, error)) from error


def _names(group: Any, attribute: str) -> list[str]:
    """Return a list of names in an attribute, which is spread over several where it is long."""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    found = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def _ordered(home: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (path, array) of the old format, in order.

    Raises:
        ValueError: the file lists an array that it does not hold.
    """
    for layer in _names(home, "layer_names"):
        group = home.get(layer)
        for name in _names(group, "weight_names") if group is not None else [""]:
            array = group.get(name) if group is not None else None
            if not isinstance(array, h5py.Dataset):
                raise ValueError(f"The weight file {path} lists {layer}/{name} without holding it.")
            yield f"{layer}/{name}", array

"""Photographs of noise, a made-up layer's maps of them, and the responses that both give."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from indices import histogram
from pictures import saved

from convscope.activations import index as indexs
from convscope.activations.index import ActivationIndex, Manifest, create
from convscope.activations.shard import Draft, Layout
from convscope.activations.statistics import Peaks
from convscope.data import dataset, labels, photograph
from convscope.models.receptive_field import Axis, ReceptiveField
from convscope.units.responses import Responses

SIZE, ROWS, COLUMNS = 33, 8, 6
# The outermost positions reach beyond the square, and neither axis is like the other.
FIELD = ReceptiveField(Axis(9, 4, 2), Axis(13, 5, 4))
DOGS = {"n02085620": "Chihuahua", "n02088364": "beagle"}
BIRDS = {"n01530575": "brambling", "n01531178": "goldfinch"}


def noise(path: Path, number: int) -> Path:
    """Write a photograph of an odd size; every other one belongs to the discovery half."""
    random = np.random.default_rng(number)
    shape = 35 + 2 * (number % 4), 51 - 4 * (number % 5), 3
    while True:
        saved(path, random.integers(0, 256, shape, np.uint8))
        if hashlib.sha256(path.read_bytes()).digest()[0] % 2 == number % 2:
            return path


def photographs(folder: Path, names: Sequence[str], broken: Sequence[int] = ()) -> list[Path]:
    """Write photographs in this order; those at the places `broken` are empty files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [noise(folder / name, number) for number, name in enumerate(names)]
    for place in broken:
        paths[place].write_bytes(b"")
    return paths


def labelled(folder: Path, each: int, broken: Sequence[int] = ()) -> list[Path]:
    """Write `each` photographs of two dogs and two birds, class after class."""
    names = [f"{wnid}_{number}.png" for wnid in (*DOGS, *BIRDS) for number in range(each)]
    return photographs(folder, names, broken)


def activations(count: int, filters: int = 3, seed: int = 0) -> np.ndarray:
    """Return maps `(photographs, rows, columns, filters)` of quarters, which float16 can hold."""
    random = np.random.default_rng(seed)
    return random.integers(-40, 41, (count, ROWS, COLUMNS, filters)).astype(np.float32) / 4


def written(
    home: Path, paths: Sequence[Path], maps: np.ndarray, field: ReceptiveField | None, fit: Any
) -> ActivationIndex:
    """Return the index of these maps, complete; what cannot be read is set aside."""
    files = indexs.listing(paths, paths[0].parent)
    request = indexs.request(
        model="tiny", weights="0123", preprocess="none", layer="conv", size=SIZE, fit=fit,
        files=files,
    )  # fmt: skip
    _, rows, columns, filters = maps.shape
    index = create(home, Manifest(request, filters, rows, columns, field, "abacus"), files)
    for number in range(index.shards):
        draft = Draft(index.layout(number))
        for place in places(index.layout(number)):
            try:
                picture, digest = photograph.read(paths[place])
            except ValueError as error:
                draft.skip(place, str(error))
                continue
            flat = maps[place].reshape(-1, maps.shape[3])
            peak = flat.argmax(axis=0)
            peaks = Peaks(
                values=flat.max(axis=0)[None],
                rows=peak[None] // maps.shape[2],
                columns=peak[None] % maps.shape[2],
                means=flat.mean(axis=0)[None],
                histogram=np.stack([histogram(np.clip(one, -65504, 65504)) for one in flat.T]),
            )
            draft.add([place], peaks, [digest], [picture.size[::-1]])
        draft.write(index.path(number))
    return index


def places(layout: Layout) -> range:
    """Return the places of a shard's photographs."""
    return range(layout.first, layout.first + layout.count)


def responses_of(
    home: Path,
    paths: Sequence[Path],
    maps: np.ndarray,
    field: ReceptiveField | None = FIELD,
    fit: str = "crop",
    **given: Any,
) -> Responses:
    """Return what these photographs say, with labels from their names."""
    how = {"score": "peak", "min_images": 6, "permutations": 199, "seed": 3} | given
    index = written(home, paths, maps, field, fit)
    return Responses(index, paths, labels.of(paths, paths[0].parent), **how)


def pixels(path: Path) -> np.ndarray:
    """Return a photograph as the network's view is made of it, upright."""
    return np.asarray(photograph.load(path))


def seen(path: Path, fit: Any = "crop") -> dataset.View:
    """Return how a photograph is shown."""
    height, width = pixels(path).shape[:2]
    return dataset.view(height, width, SIZE, fit)

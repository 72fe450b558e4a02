"""Small activation indices of a made-up layer, written without a network."""

import hashlib

import numpy as np

from convscope.activations.index import Manifest, Request, create
from convscope.activations.shard import Draft
from convscope.activations.statistics import Peaks
from convscope.models.receptive_field import Axis, ReceptiveField

FIELD = ReceptiveField(Axis(9, 2, 4), Axis(13, 4, 6))
FILTERS, ROWS, COLUMNS = 5, 11, 17


def asked(count, **others):
    """A request for `count` photographs, and their listing."""
    files = "".join(f'["{number}.jpg",{number},7]\n' for number in range(count)).encode()
    digest = hashlib.sha256(files).hexdigest()
    values = {
        "model": "tiny", "weights": "0123", "preprocess": "none", "layer": "conv",
        "sides": (33, 33), "fit": "crop",
    }  # fmt: skip
    return Request(**values | {"files": digest, "count": count, "versions": {}} | others), files


def begun(home, count, filters=FILTERS, rows=ROWS, columns=COLUMNS):
    how, files = asked(count)
    return create(home, Manifest(how, filters, rows, columns, FIELD, "abacus"), files)


def values(layout, seed=0):
    """What photographs did, unit-major nowhere."""
    random = np.random.default_rng([seed, layout.number])
    shape = (layout.count, layout.filters)
    return {
        "peak": random.normal(0, 9, shape).astype(np.float32),
        "mean": random.normal(-1, 1, shape).astype(np.float32),
        "row": random.integers(0, layout.rows, shape),
        "column": random.integers(0, layout.columns, shape),
        "histogram": random.integers(0, 99, (layout.filters, 512)),
        "digests": [random.bytes(32) for _ in range(layout.count)],
        "sizes": [tuple(map(int, random.integers(1, 5000, 2))) for _ in range(layout.count)],
    }


def given(layout, seed=0, **others):
    """The same as `Draft.add` takes it, with other values for some."""
    found = values(layout, seed) | others
    arrays = [found[name] for name in ("peak", "row", "column", "mean", "histogram")]
    return Peaks(*arrays), found["digests"], found["sizes"]


def write(index, number, seed=0):
    layout = index.layout(number)
    draft = Draft(layout)
    draft.add(range(layout.first, layout.first + layout.count), *given(layout, seed))
    return draft.write(index.path(number))


def filled(home, count, **shape):
    index = begun(home, count, **shape)
    for number in index.missing():
        write(index, number)
    return index


def joined(index, name):
    """What was put into all shards together."""
    return np.concatenate([values(index.layout(number))[name] for number in range(index.shards)])


def tree(folder):
    """Every file below a folder and its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def flipped(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0b100
    path.write_bytes(content)


def histogram(values: np.ndarray) -> np.ndarray:
    """Return the counts of the upper 9 bits of float16 patterns; zero counts as below zero."""
    half = np.asarray(values, np.float16)
    patterns = (half.view(np.uint16) >> 7) | np.where(half > 0, 0, 256).astype(np.uint16)
    return np.bincount(patterns, minlength=512).astype(np.uint32)


def preactivations(count: int = 20_000, seed: int = 0) -> np.ndarray:
    """Return values with a long tail to the right, most of them below zero."""
    generator = np.random.default_rng(seed)
    return generator.normal(-8, 10, count) + generator.exponential(4, count)

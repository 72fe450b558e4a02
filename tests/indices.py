"""Small activation indices of a made-up layer, written without a network."""

import hashlib

import numpy as np

from convscope.activations.index import Request, create
from convscope.models.receptive_field import Axis, ReceptiveField

FIELD = ReceptiveField(Axis(9, 2, 4), Axis(13, 4, 6))
FILTERS, ROWS, COLUMNS = 5, 11, 17


def asked(count, **others):
    """A request for `count` photographs, and their listing."""
    files = "".join(f'["{number}.jpg",{number},7]\n' for number in range(count)).encode()
    digest = hashlib.sha256(files).hexdigest()
    values = {
        "model": "tiny", "weights": "0123", "preprocess": "none", "layer": "conv", "size": 33,
        "fit": "crop",
    }  # fmt: skip
    return Request(**values | {"files": digest, "count": count, "versions": {}} | others), files


def begun(home, count, filters=FILTERS, rows=ROWS, columns=COLUMNS):
    how, files = asked(count)
    return create(
        home, how, files,
        filters=filters, rows=rows, columns=columns, field=FIELD, device="abacus",
    )  # fmt: skip


def values(layout, seed=0):
    """What photographs did, as `Draft.add` takes it, unit-major nowhere."""
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


def write(index, number, seed=0):
    draft = index.begin(number)
    first = draft.layout.first
    draft.add(range(first, first + draft.layout.count), **values(draft.layout, seed))
    return index.write(draft)


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

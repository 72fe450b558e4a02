"""The pass over the photographs that fills an activation index, shard by shard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.activations import index as indices
from convscope.activations.index import ActivationIndex, Manifest, Request
from convscope.activations.recorder import summarizer
from convscope.activations.shard import Draft
from convscope.activations.statistics import Peaks
from convscope.data import dataset
from convscope.data.dataset import Batch
from convscope.models.backend import keras
from convscope.models.network import Network, look, preactivation
from convscope.models.position import receptive_field
from convscope.models.precision import device


@dataclass(frozen=True)
class Progress:
    """How far a pass has come.

    Attributes:
        done: photographs looked at in this pass, those set aside included.
        total: photographs that this pass has to look at, unless other jobs are faster.
        skipped: of those done, set aside.
        shard: number of the shard that was finished with this batch; None: none was.
    """

    done: int
    total: int
    skipped: int
    shard: int | None


def begin(home: Path, request: Request, files: bytes, network: Network) -> ActivationIndex:
    """Return the index for a request, begun now if it was not before.

    Args:
        home: where indices lie.
        request: what decides the content.
        files: the listing that belongs to it.
        network: the network that the request names, in float32.

    Raises:
        ValueError: the request is of another network, or what lies in its place is damaged.
    """
    _check(request, network)
    rows, columns, filters = shape(network, request.layer, request.size)
    field = receptive_field(network, request.layer, (request.size, request.size))
    manifest = Manifest(request, filters, rows, columns, field, device())
    return indices.create(home, manifest, files)


def survey(
    index: ActivationIndex,
    network: Network,
    paths: Sequence[Path],
    batch: int,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Progress]:
    """Show photographs to a network, write the missing shards and yield after each batch.

    A shard's batches begin at its first photograph, so it is the same, bit for bit, wherever an
    earlier pass stopped. What other jobs finish in the meantime is left out.

    Args:
        index: where the shards are written.
        network: the network of its request, in float32.
        paths: the photographs of its request, in order; slices of them are asked for.
        batch: photographs at a time.
        part: (k, n): of the shards, those whose number leaves k when divided by n.

    Raises:
        ValueError: the photographs or the network are not those of the index, the part is none,
            or the network's activations are no finite numbers.
    """
    request, (mine, parts) = index.manifest.request, part
    _check(request, network)
    if len(paths) != index.count:
        raise ValueError(
            f"{len(paths)} photographs were given for an index of {index.count}. Build an index"
            " of their own for them."
        )
    if not (batch >= 1 and 0 <= mine < parts):
        raise ValueError(
            f"Part {mine} of {parts} in batches of {batch} is no part of a pass. Parts are counted"
            " from 0, and a batch holds at least one photograph."
        )
    numbers = [number for number in index.missing() if number % parts == mine]
    total = sum(index.layout(number).count for number in numbers)
    plan: deque[tuple[int, int]] = deque()  # shard and first place of the batches being decoded

    def slices() -> Iterator[Sequence[Path]]:
        for number in numbers:
            if index.path(number).is_dir():
                continue
            layout = index.layout(number)
            end = layout.first + layout.count
            for start in range(layout.first, end, batch):
                plan.append((number, start))
                yield paths[start : min(start + batch, end)]

    summarize = summarizer(network, request.layer)
    draft: Draft | None = None
    done = skipped = 0
    with closing(dataset.stream(slices(), request.size, request.fit)) as stream:
        for seen in stream:
            number, start = plan.popleft()
            if draft is None or draft.layout.number != number:
                draft = Draft(index.layout(number))
            length = len(seen.places) + len(seen.skipped)
            _take(draft, start, seen, summarize)
            done, skipped = done + length, skipped + len(seen.skipped)
            ended = start + length == draft.layout.first + draft.layout.count
            if ended:
                draft.write(index.path(number))
            yield Progress(done, total, skipped, number if ended else None)


def _take(draft: Draft, start: int, seen: Batch, summarize: Callable[[np.ndarray], Peaks]) -> None:
    """Enter a batch of photographs, of which the first stands at `start`, into a shard."""
    good = [start + place for place in seen.places]
    length = len(seen.places) + len(seen.skipped)
    bad = sorted(set(range(start, start + length)).difference(good))
    for place, (_, reason) in zip(bad, seen.skipped, strict=True):
        draft.skip(place, reason)
    if good:
        sizes = [view.size for view in seen.views]
        draft.add(good, summarize(seen.pixels), seen.digests, sizes)


def shape(network: Network, layer: str, size: int) -> tuple[int, int, int]:
    """Return rows, columns and filters of a layer's map for a square image of `size` pixels."""
    model = look(network, {layer: preactivation(network.find(layer))})
    found = model(keras.KerasTensor((1, size, size, 3)))[layer].shape
    return (found[1], found[2], found[3]) if len(found) == 4 else (1, 1, found[1])


def _check(request: Request, network: Network) -> None:
    """Raise ValueError unless a request is of this network, in float32."""
    wanted = (request.model, request.weights, "float32")
    given = (network.name, network.weights.sha256, network.dtype)
    if wanted != given:
        raise ValueError(
            f"The index is of {wanted[0]} with weights {wanted[1][:12]} in {wanted[2]}, the network"
            f" given is {given[0]} with weights {given[1][:12]} in {given[2]}."
        )

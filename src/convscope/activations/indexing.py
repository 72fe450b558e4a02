"""The pass over the photographs that fills an activation index, shard by shard."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from convscope.activations import index as indices
from convscope.activations.index import ActivationIndex, Manifest, Request
from convscope.activations.recorder import summarizer
from convscope.activations.shard import Draft, Layout
from convscope.data import dataset
from convscope.data.views import Sides
from convscope.models.backend import keras
from convscope.models.network import Network, look, preactivation
from convscope.models.position import verified
from convscope.models.precision import device


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
    wanted = (request.model, request.weights, "float32")
    given = (network.name, network.weights.sha256, network.dtype)
    if wanted != given:
        raise ValueError(
            f"The index is of {wanted[0]} with weights {wanted[1][:12]} in {wanted[2]}, the network"
            f" given is {given[0]} with weights {given[1][:12]} in {given[2]}."
        )
    rows, columns, filters = shape(network, request.layer, request.sides)
    field, _ = verified(network, request.layer, request.sides)
    manifest = Manifest(request, filters, rows, columns, field, device())
    return indices.create(home, manifest, files)


def survey(
    index: ActivationIndex,
    network: Network,
    paths: Sequence[Path],
    batch: int,
    part: tuple[int, int] = (0, 1),
) -> Iterator[tuple[int, int]]:
    """Show photographs to a network, write the missing shards and yield after each batch.

    A shard's batches begin at its first photograph, so it is the same, bit for bit, wherever an
    earlier pass stopped. What other jobs finish in the meantime is left out.

    Args:
        index: where the shards are written.
        network: the network of its request, as `begin` got it.
        paths: the photographs of its request, in order; slices of them are asked for.
        batch: photographs at a time.
        part: (k, n): of the shards, those whose number leaves k when divided by n.

    Yields:
        How many photographs this pass has looked at, and how many of those it has set aside.

    Raises:
        ValueError: the network's activations are no finite numbers.
    """
    request, (mine, parts) = index.manifest.request, part
    layouts = [index.layout(number) for number in index.missing() if number % parts == mine]
    plan: deque[tuple[Layout, int]] = deque()  # shard and first place of the batches being decoded

    def slices() -> Iterator[Sequence[Path]]:
        for layout in layouts:
            if index.path(layout.number).is_dir():
                continue
            end = layout.first + layout.count
            for start in range(layout.first, end, batch):
                plan.append((layout, start))
                yield paths[start : min(start + batch, end)]

    summarize = summarizer(network, request.layer)
    done = skipped = 0
    with closing(dataset.stream(slices(), request.sides, request.fit)) as stream:
        for seen in stream:
            layout, start = plan.popleft()
            if start == layout.first:
                draft = Draft(layout)
            end = start + len(seen.places) + len(seen.skipped)
            good = [start + place for place in seen.places]
            bad = sorted(set(range(start, end)).difference(good))
            for place, (_, reason) in zip(bad, seen.skipped, strict=True):
                draft.skip(place, reason)
            if good:
                sizes = [view.size for view in seen.views]
                draft.add(good, summarize(seen.pixels), seen.digests, sizes)
            if end == layout.first + layout.count:
                draft.write(index.path(layout.number))
            done, skipped = done + end - start, skipped + len(bad)
            yield done, skipped


def shape(network: Network, layer: str, sides: Sides) -> tuple[int, int, int]:
    """Return rows, columns and filters of a layer's map for an image of this size."""
    model = look(network, {layer: preactivation(network.find(layer))})
    found = model(keras.KerasTensor((1, *sides, 3)))[layer].shape
    return (found[1], found[2], found[3]) if len(found) == 4 else (1, 1, found[1])

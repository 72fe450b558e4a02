"""Receptive fields: the box of image pixels that a position of a layer can see."""

from __future__ import annotations

from convscope.models.backend import keras
from convscope.models.flow import Sizes, sizes, window
from convscope.models.graph import before
from convscope.models.network import Network
from convscope.models.receptive_field import Axis, ReceptiveField


def receptive_field(
    network: Network, name: str, size: tuple[int, int] | None = None
) -> ReceptiveField | None:
    """Return the receptive field of a layer's positions; None: each sees all of the image.

    Where ways back divide, the field is the smallest box that holds what is seen through each of
    them. Where one of them goes through all of the image, as in squeeze-and-excitation, the field
    names the layer in `whole`, and the box is that of the other ways.

    Args:
        network: the network.
        name: the layer.
        size: rows and columns of the image. Where a layer strides with "same" padding, they decide
            where its field begins. None takes sides that all strides divide.

    Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill, 2019.
    """
    graph = network.until(name)
    given = None if size is None else sizes(graph, size)
    fields: dict[str, tuple[Axis, Axis]] = {name: (Axis(), Axis())}
    whole: list[str] = []
    for operation in reversed(graph.values()):
        if operation.name not in fields:  # behind one that sees all of the image
            continue
        if isinstance(operation, keras.layers.InputLayer):
            return ReceptiveField(*fields[operation.name], tuple(whole))
        found = _through(operation, fields.pop(operation.name), given)
        if found is None or isinstance(operation, keras.layers.GroupNormalization):
            whole.append(operation.name)
        if found is None:
            continue
        for source in before(operation):
            already = fields.get(source.name, found)
            try:
                rows, columns = (ours.hull(its) for ours, its in zip(already, found, strict=True))
                fields[source.name] = rows, columns
            except ValueError:  # a way that lies askew: through an image made smaller and larger
                whole.append(operation.name)
    return None


def _through(
    operation: keras.Operation, field: tuple[Axis, Axis], given: Sizes | None
) -> tuple[Axis, Axis] | None:
    """Return a field seen through one operation more; None where that sees all of its input."""
    seen = window(operation)
    if seen is None:
        return None
    if seen.padding == "same" and given is None:
        # Sides that the stride divides have as few zeros as can be.
        starts = [max(e - s, 0) // 2 for e, s in zip(seen.extents, seen.strides, strict=True)]
    elif given is None:
        starts = [0, 0] if isinstance(seen.padding, str) else [pair[0] for pair in seen.padding]
    else:
        size = max(given[source.name] for source in before(operation))
        starts = [start for _, start, _ in seen.spans(size)]
    rows, columns = (
        axis.behind(extent, stride, start)
        for axis, extent, stride, start in zip(
            field, seen.extents, seen.strides, starts, strict=True
        )
    )
    return rows, columns

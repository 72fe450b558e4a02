"""The layers of a network that one may ask about, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any

from convscope.models.graph import Window, before, concatenates, kind_of, sums, transposed, window
from convscope.models.linear import obstacle
from convscope.models.network import Network, classifier, inputs_of, layers
from convscope.models.position import receptive_field
from convscope.report.html import flat, render
from convscope.text import sized
from convscope.unit import COLOURS, IMAGE, Unit

KINDS = {
    "DepthwiseConv2D": "depthwise convolution",
    "SeparableConv2D": "separable convolution",
    "Dense": "dense",
    "Multiply": "product",
    "LayerNormalization": "layer norm",
    "GroupNormalization": "group norm",
}
"""What layers do in words, by the name of their class."""


@dataclass(frozen=True)
class Entry:
    """One layer.

    Attributes:
        layer: its name.
        kind: what it does, in words.
        filters: its output channels.
        kernel: rows and columns of its kernel, like 3x3; "" where it has none.
        stride: input positions between its own, like 2x2; "" where it has no window.
        field: pixels of the image that a position sees, like 92x92; "all" of the image.
        apart: pixels between neighbouring positions, like 8x8; "" where there is but one.
        whole: layers through which all of the image counts besides the field.
        inputs: the layers that make its input channels, in their order.
        channels: how many input channels those are.
        circuit: whether a kernel over the inputs says what feeds it, as stage=circuit needs it.
        size: the only size of images it can be asked about, like 64 or 64x96; None: any.
    """

    layer: str
    kind: str
    filters: int
    kernel: str
    stride: str
    field: str
    apart: str
    whole: str
    inputs: str
    channels: int
    circuit: bool
    size: str | None


COLUMNS = tuple(field.name for field in fields(Entry))


def inventory(network: Network) -> list[Entry]:
    """Return every layer of a network that one may ask about, in the network's order."""
    last = classifier(network)
    return [entry(network, name, filters, last) for name, filters in layers(network).items()]


def entry(network: Network, name: str, filters: int, last: str | None) -> Entry:
    """Return one layer as it stands in the table; `last` is the classifier."""
    layer = network.find(name)
    field, seen = receptive_field(network, name), window(layer)
    units, demanded = inputs_of(network, name), network.demands(name)
    kernel = seen is not None and not obstacle(layer)
    return Entry(
        layer=name,
        kind="classifier" if name == last else kind(layer),
        filters=filters,
        kernel=_pair(seen.taps) if seen and kernel else "",
        stride=_pair(_strides(layer, seen)) if seen and kernel else "",
        field=_pair((field.rows.pixels, field.columns.pixels)) if field else "all",
        apart=_pair((field.rows.stride, field.columns.stride)) if field else "",
        whole=", ".join(field.whole) if field else "",
        inputs=", ".join(sources(units)),
        channels=len(units),
        circuit=not obstacle(layer),
        size=sized(demanded) if demanded else None,
    )


def _strides(layer: Any, seen: Window) -> tuple[object, object]:
    """Return how many positions of its input lie between those of a layer."""
    (source,) = before(layer)
    if not transposed(layer):
        return seen.strides
    return Fraction(1, source.size[0]), Fraction(1, source.size[1])


def kind(layer: Any) -> str:
    """Return in words what a layer does."""
    name = type(layer).__name__
    if transposed(layer):
        return "transposed convolution"
    if name == "Conv2D":
        return "convolution" if layer.groups == 1 else f"convolution in {layer.groups} groups"
    if name == "Dense" and len(layer.output.shape) == 4:
        return "convolution"  # of one tap
    if sums(layer):
        return "sum"
    if concatenates(layer):
        return "concatenation"
    return KINDS.get(name, kind_of(layer))


def sources(units: Sequence[Unit]) -> list[str]:
    """Return the layers that make some channels, with their count where there are several."""
    counts = Counter(COLOURS[unit.filter] if unit.layer == IMAGE else unit.layer for unit in units)
    if len(counts) == 1 or all(name in COLOURS for name in counts):
        return list(counts)
    return [f"{name} ({count})" for name, count in counts.items()]


def rows(entries: Sequence[Entry]) -> list[list[object]]:
    """Return the rows of `layers.csv`, in the order of `COLUMNS`."""
    return [list(asdict(entry).values()) for entry in entries]


def lines(entries: Sequence[Entry], width: int = 60) -> list[str]:
    """Return the table for a terminal, a line for each layer; long lists of inputs are cut short.

    Args:
        entries: the layers.
        width: letters at most for the inputs.
    """
    table = [("layer", "kind", "filters", "kernel", "stride", "field", "apart", "inputs")]
    for one in entries:
        field = f"{one.field}*" if one.whole else one.field
        inputs = one.inputs
        if len(inputs) > width:
            inputs = f"{inputs[:width].rpartition(',')[0]}, ... {one.channels} channels"
        size = one.kernel, one.stride, field, one.apart
        table.append((one.layer, one.kind, str(one.filters), *size, inputs))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    found = [
        "  ".join(
            f"{cell:{side}{width}}"
            for cell, side, width in zip(line, "<<>>>>><", widths, strict=True)
        ).rstrip()
        for line in table
    ]
    if any(one.whole for one in entries):
        found.append("* besides, all of the image counts, through what gates it")
    return found


def _pair(values: tuple[object, object]) -> str:
    return f"{values[0]}x{values[1]}"


FIRST = 40  # layers that are shown before all are asked for

# Columns: key of an entry, title, explanation, and kind: words or plain numbers.
PAGE_COLUMNS = (
    ("layer", "layer", "Its name, as layer= takes it", "words"),
    ("kind", "kind", "What it does", "words"),
    ("filters", "filters", "Output channels, counted from 0", ""),
    ("kernel", "kernel", "Rows and columns of a filter's kernel", "small"),
    ("stride", "stride", "Positions of its input between its own", "small"),
    ("field", "field", "Pixels of the image that a position sees", "small"),
    ("apart", "apart", "Pixels between neighbouring positions", "small"),
    ("inputs", "inputs", "The layers that make its input channels", "words"),
)


def layers_page(
    entries: Sequence[Entry],
    facts: Mapping[str, str],
    kinds: Mapping[str, int],
    asked: Sequence[str],
    settings: Mapping[str, object],
) -> str:
    """Return the layers of a network as one HTML page that makes no network request.

    Args:
        entries: the layers, in the network's order.
        facts: what the head of the page states, label to value.
        kinds: how many layers there are of each kind.
        asked: what a command says to choose the network.
        settings: the settings of the run; groups may be nested.

    Raises:
        ValueError: there are no layers.
    """
    if not entries:
        raise ValueError("A page of layers needs one at least.")
    example = next((entry for entry in entries[len(entries) // 2 :] if entry.circuit), entries[-1])
    return render(
        "layers.html",
        entries=entries,
        columns=PAGE_COLUMNS,
        first=FIRST,
        facts=facts,
        kinds=[counted(kind, count) for kind, count in kinds.items()],
        gated=any(entry.whole for entry in entries),
        sized=any(entry.size for entry in entries),
        command=" ".join(
            ["python run.py stage=circuit", *asked, f"layer={example.layer}", "filter=0"]
        ),
        settings=flat(settings),
    )


def counted(kind: str, count: int) -> str:
    """Return in words how many layers of a kind there are: `3 convolutions`, `1 dense layer`."""
    first, *more = kind.split(" in ")
    many = "" if count == 1 else "s"
    name = f"{first} layer{many}" if first == "dense" else f"{first}{many}"
    return " in ".join([f"{count} {name}", *more])

"""The page that lists the layers of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convscope.report.html import flat, render
from convscope.report.layers import Entry

FIRST = 40  # layers that are shown before all are asked for

# Columns: key of an entry, title, explanation, and kind: words or plain numbers.
COLUMNS = (
    ("layer", "layer", "Its name, as layer= takes it", "words"),
    ("kind", "kind", "What it does", "words"),
    ("filters", "filters", "Output channels, counted from 0", ""),
    ("kernel", "kernel", "Rows and columns of a filter's kernel", "small"),
    ("stride", "stride", "Positions of its input between its own", "small"),
    ("field", "field", "Pixels of the image that a position sees", "small"),
    ("apart", "apart", "Pixels between neighbouring positions", "small"),
    ("inputs", "inputs", "The layers that make its input channels", "words"),
)


def directory_page(
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
        columns=COLUMNS,
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

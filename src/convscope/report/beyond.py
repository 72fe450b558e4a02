"""What a unit's hops show, in words, as a table and as a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from convscope.circuits.clients import Client
from convscope.circuits.edges import Circuit
from convscope.circuits.multihop import FIRST, Hops, Path
from convscope.report.figures.canvas import fixed, number
from convscope.report.figures.diagram import Arrow, Column, Node, diagram
from convscope.report.html import picture
from convscope.unit import Unit

DRAWN = 3  # paths into each input that the graph shows
NAMED = 6  # sources whose weights mislead that are named
SIDE = 1560  # pixels of the graph on the page
UNEXPLAINED = 0.01  # of the rise, above which the remainder is mentioned


def section(found: Hops, circuit: Circuit, drawing: np.ndarray) -> dict[str, object]:
    """Return what the report says beyond the inputs.

    Args:
        found: what lies there.
        circuit: the unit with its inputs.
        drawing: the graph.
    """
    first = found.clients.found[:FIRST]
    return {
        "depth": max((path.depth for path in found.paths), default=1),
        "graph": picture(drawing, SIDE),
        "clients": [_client(client) for client in first],
        "limit": max((float(np.abs(client.kernel).max()) for client in first), default=0.0),
        "reading": _reading(found),
        "carried": _carried(found, circuit),
        "trust": _trust(found),
        "paths": [_path(found, path) for path in found.paths],
    }


def graph(
    found: Hops, circuit: Circuit, optima: Mapping[Unit, np.ndarray], source: str
) -> np.ndarray:
    """Return the drawing of a unit with its paths, inputs and clients, uint8 RGB.

    Args:
        found: what lies beyond the inputs.
        circuit: the unit with its inputs.
        optima: the image that excites each unit most; units without one are missing.
        source: the weights it is of.
    """
    root = str(circuit.root)
    paths = [path for path in found.paths if path.depth == 2 and path.rank <= DRAWN]
    behind = dict.fromkeys(path.source for path in paths)
    inputs = tuple(
        Node(str(edge.source), optima.get(edge.source), edge.kernel,
             f"{number(edge.top_shift, signed=True)} at strong responses")
        for edge in circuit.edges
    )  # fmt: skip
    clients = found.clients.found[:FIRST]
    after = tuple(
        Node(str(client.unit), None, client.kernel, f"sum {number(client.sum, signed=True)}")
        for client in clients
    )
    reads = tuple(Arrow(root, str(it.unit), it.l2 if it.sum >= 0 else -it.l2) for it in clients)
    feeds = tuple(Arrow(str(edge.source), root, edge.top_shift) for edge in circuit.edges)
    columns = [
        Column("inputs of the inputs", tuple(Node(str(unit)) for unit in behind),
               tuple(Arrow(str(it.source), str(it.through), it.shift) for it in paths), True),
        Column("inputs", inputs, feeds),
        Column("unit", (Node(root, optima.get(circuit.root)),), reads),
        Column("read by", after),
    ]  # fmt: skip
    how = "arrows as wide as what flows to strong responses beyond the average"
    return diagram(
        columns,
        f"What leads to {root} and where it leads",
        f"{source}; red raises, blue lowers; {how}; to readers as wide as their kernel (L2)",
    )


def _client(client: Client) -> dict[str, object]:
    return {
        "name": str(client.unit),
        "kernel": client.kernel,
        "l2": number(client.l2),
        "sum": number(client.sum, signed=True),
        "sign": fixed(client.sign_index),
        "label": client.label,
        "share": _percent(client.share),
        "via": ", ".join(client.reading.via),
    }


def _reading(found: Hops) -> str:
    """Return who reads the unit, in a sentence or two."""
    clients = found.clients
    words = (
        f"Behind {', '.join(clients.ends)} the way on is not linear, so that no kernel reads it."
    )
    more = f" {words}" if clients.ends else ""
    if not clients.found:
        return f"No linear layer of this network reads {found.root}.{more}"
    count = len(clients.found)
    filters = f"{count} filter{'s' * (count != 1)}"
    return f"{found.root} is read by {filters} of {_listed(clients.layers)}.{more}"


def _carried(found: Hops, circuit: Circuit) -> str:
    """Return how much the paths that are kept carry, in a sentence."""
    if not found.rest:  # not asked for
        return ""
    if found.reach is None:
        return (
            "Behind these inputs lies no layer that is linear in its own inputs: no path to show."
        )
    figures = found.reach.scalars
    number_of = len(found.reach.truth.strong)
    paths = f"{len(found.paths)} path{'s' * (len(found.paths) != 1)}"
    return (
        f"The network run with these {paths} alone, all else held at its mean, recovers "
        f"{_percent(figures['paths_recovery'])} [{_percent(figures['paths_recovery_low'])}, "
        f"{_percent(figures['paths_recovery_high'])}] of a strong activation; with all that feeds "
        f"the {len(circuit.edges)} inputs {_percent(figures['paths_whole'])}, with as many random "
        f"paths {_percent(figures['paths_random'])}, with none {_percent(figures['paths_none'])} "
        f"({number_of} photographs)."
    )


def _trust(found: Hops) -> str:
    """Return where the expanded weights mislead, and what no path explains."""
    if not found.paths:
        return ""
    said = []
    wrong = {str(path.source): path.misleads for path in found.paths if path.misleads}
    two = {str(path.source) for path in found.paths if path.depth == 2}
    if wrong:
        few = "; ".join(f"{name}: {why}" for name, why in list(wrong.items())[:NAMED])
        more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        said.append(
            f"Multiplied out over two hops, the weights alone mislead for {len(wrong)} of "
            f"{len(two)} sources ({few}{more})."
        )
    elif any(np.isfinite(path.cancellation) for path in found.paths):
        said.append("Multiplied out over two hops, the weights alone agree with what they do.")
    left = max(map(abs, found.remainder)) / abs(found.rise) if found.rise else 0.0
    if left > UNEXPLAINED:
        said.append(
            f"{_percent(left)} of the rise is explained neither by paths nor by biases: a layer "
            "between is not piecewise linear, or shifts what passes it."
        )
    return " ".join(said)


def _path(found: Hops, path: Path) -> dict[str, object]:
    return {
        "depth": path.depth,
        "name": str(path.source),
        "through": str(path.through),
        "side": "excitatory" if path.shift > 0 else "inhibitory",
        "shift": number(path.shift, signed=True),
        "mean": number(path.mean, signed=True),
        "share": _percent(path.shift / found.rise if found.rise else float("nan")),
        "static": number(path.static, signed=True),
        "data": number(path.data, signed=True),
        "cancellation": number(path.cancellation, digits=2),
        "correlation": number(path.correlation, digits=2),
        "misleads": path.misleads,
    }


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _percent(value: float) -> str:
    """Return a share in percent, which never breaks from its sign."""
    if not np.isfinite(value):
        return "\N{EN DASH}"
    decimals = 0 if abs(value) >= 0.0995 else 1
    words = f"{100 * value:.{decimals}f}\N{NO-BREAK SPACE}%"
    return words.replace("-", "\N{MINUS SIGN}")

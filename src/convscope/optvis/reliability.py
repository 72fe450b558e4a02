"""Is an optimum evidence of what its unit does on photographs?

An image made by ascent can excite a unit in a way that no photograph does. It counts only if it
excites the unit as strongly as the strongest photographs do, and through the same channels.

Source: Geirhos, Zimmermann, Bilodeau, Brendel and Kim, Don't trust your eyes: on the
(un)reliability of feature visualizations, 2023.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from convscope.activations.dataset_examples import window
from convscope.activations.recorder import Recording, summarizer
from convscope.data import dataset
from convscope.models.network import Network, layers, mapped, tap
from convscope.models.position import receptive_field
from convscope.models.receptive_field import Axis
from convscope.optvis.ascent import Optimum
from convscope.text import number
from convscope.unit import IMAGE, Unit

QUANTILE = 0.999
"""The share of positions of photographs that an optimum must exceed."""
WAY = 4
"""Layers on the way that are compared, the last ones: to the first all photographs are alike."""
SIMILARITY = 0.5
"""How alike it must be to exemplars at the layer below: 0 for any photograph, 1 for an exemplar."""


EXEMPLARS, OTHERS = 20, 40  # photographs that an optimum is compared with, the best and any
LEAST = 6  # of either: with fewer, likeness says nothing
BATCH = 4  # images that pass through the network at a time


@dataclass(frozen=True)
class Reliability:
    """An optimum, and what speaks for and against it.

    Attributes:
        unit: whose optimum it is.
        activation: its preactivation.
        below: the share of positions of photographs with a lower one.
        layers: on the way from the image to the unit.
        similarity: to the exemplars at each of them `(layers,)`, 0 for any photograph and 1 for
            another exemplar; NaN where exemplars are no more alike than any photographs.
    """

    unit: Unit
    activation: float
    below: float
    layers: tuple[str, ...]
    similarity: np.ndarray

    @property
    def strong(self) -> bool:
        """Whether it excites the unit as strongly as the strongest photographs do."""
        return self.below >= QUANTILE

    @property
    def alike(self) -> bool:
        """Whether it excites it through the channels that photographs do; true without any."""
        return not len(self.similarity) or bool(self.similarity[-1] >= SIMILARITY)

    @property
    def evidence(self) -> bool:
        """Whether it may stand in an argument on what the unit does on photographs."""
        return self.strong and self.alike

    @property
    def verdict(self) -> str:
        """Whether it is evidence, in two words at most."""
        return "evidence" if self.evidence else "no evidence"

    @property
    def reason(self) -> str:
        """Why, in one sentence."""
        share = f"{100 * self.below:.4g} % of positions on photographs"
        if not self.strong:
            return f"It exceeds {share}, less than {100 * QUANTILE:g} %."
        if not self.layers:
            return f"It exceeds {share}; no layer lies between it and the image."
        last = float(self.similarity[-1])
        if math.isnan(last):
            return f"At {self.layers[-1]} exemplars are no more alike than any photographs."
        same = f"its similarity to exemplars at {self.layers[-1]} is {number(last, digits=2)}"
        return f"It exceeds {share}, and {same}{'' if self.alike else f', below {SIMILARITY:g}'}."

    @property
    def row(self) -> dict[str, object]:
        """The row of the table of optima as evidence; the similarity is at the layer below."""
        last = float(self.similarity[-1]) if len(self.similarity) else None
        return {
            "layer": self.unit.layer, "filter": self.unit.filter, "activation": self.activation,
            "below": self.below, "similarity": last, "verdict": self.verdict,
            "reason": self.reason,
        }  # fmt: skip


def way(network: Network, layer: str) -> tuple[str, ...]:
    """Return the last `WAY` layers before a layer that make channels of their own, in order."""
    spatial = [name for name, made in network.until(layer).items() if len(made.output.shape) == 4]
    own = layers(network)
    return tuple(name for name in spatial if name in own and name != layer)[-WAY:]


def profiles(
    network: Network, layer: str, pixels: np.ndarray, places: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the mean activation of all channels within what a position of a layer is fed by.

    Args:
        network: the network, in float32.
        layer: the layer of the position.
        pixels: images in [0, 1] `(n, height, width, 3)`.
        places: the position in each, (row, column) of the layer's map `(n, 2)`.

    Returns:
        {each layer on the way: `(n, channels)`}.
    """
    names = way(network, layer)
    if not names:
        return {}
    model, size = tap(network, names), pixels.shape[1:3]
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    fields = {name: receptive_field(network, name, (size[0], size[1])) for name in (*names, layer)}
    for start in range(0, len(pixels), BATCH):
        maps = model(pixels[start : start + BATCH])
        for name in names:
            values, ours, its = mapped(maps[name]).numpy(), fields[layer], fields[name]
            for one, (row, column) in zip(values, places[start:], strict=False):
                if ours and its:
                    rows = _feeding(ours.rows, its.rows, int(row), one.shape[0])
                    columns = _feeding(ours.columns, its.columns, int(column), one.shape[1])
                    one = one[rows, columns]
                found[name].append(one.mean(axis=(0, 1)))
    return {name: np.stack(vectors) for name, vectors in found.items()}


def similarity(optimum: np.ndarray, exemplars: np.ndarray, others: np.ndarray) -> float:
    """Return how alike an optimum and exemplars are, in Spearman's correlation over channels.

    It is 0 if the optimum is no more like them than any photographs are, 1 if it is as much as they
    are like each other, NaN if those two are the same.

    Args:
        optimum: activations of the channels `(C,)`.
        exemplars: `(m, C)`, of two or more photographs that excite the unit most.
        others: `(r, C)`, of any photographs.
    """
    one, best, any = (_ranked(values) for values in (optimum[None], exemplars, others))
    among = best @ best.T
    high = (among.sum() - np.trace(among)) / (len(best) * (len(best) - 1))
    low = (any @ best.T).mean()
    if high - low <= 1e-9:
        return math.nan
    return float(((one @ best.T).mean() - low) / (high - low))


def examine(
    network: Network,
    unit: Unit,
    image: np.ndarray,
    exemplars: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
    below: float,
) -> Reliability:
    """Return whether an optimum is evidence.

    Args:
        network: the network, in float32.
        unit: the unit.
        image: its optimum, uint8 `(height, width, 3)`.
        exemplars: the `profiles` of photographs that excite it most.
        others: those of any photographs at any positions of its layer.
        below: the share of positions of photographs at which the unit is less active.
    """
    pixels = image[None].astype(np.float32) / 255
    peaks = summarizer(network, unit.layer)(pixels)
    place = (int(peaks.rows[0, unit.filter]), int(peaks.columns[0, unit.filter]))
    own = profiles(network, unit.layer, pixels, np.array([place]))
    found = [similarity(own[name][0], exemplars[name], others[name]) for name in own]
    activation = float(peaks.values[0, unit.filter])
    return Reliability(unit, activation, below, tuple(own), np.array(found))


def _feeding(ours: Axis, its: Axis, place: int, size: int) -> slice:
    """Return the positions of an earlier layer whose fields lie within that of a position."""
    start = ours.stride * place - ours.padding + its.padding
    first = -(-start // its.stride)
    last = (start + ours.size - its.size) // its.stride
    first = min(max(first, 0), size - 1)
    return slice(first, max(first, min(last, size - 1)) + 1)


def _ranked(values: np.ndarray) -> np.ndarray:
    """Return ranks of each row, centred and of length 1; rows of equal values are zeros."""
    ranks = stats.rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)


def reliabilities(
    network: Network, recording: Recording, optima: Mapping[Unit, Optimum], seed: int
) -> dict[Unit, Reliability]:
    """Return of each optimum that is alive whether it is evidence.

    Args:
        network: the network, in float32.
        recording: the photographs and what they did.
        optima: the images.
        seed: of the photographs and positions that stand for any.
    """
    found: dict[Unit, Reliability] = {}
    usual: dict[str, Mapping[str, np.ndarray]] = {}
    if (count := len(recording.paths)) < 2 * LEAST:
        return found
    for unit, best in optima.items():
        layer, observed = unit.layer, recording.observation
        below = observed.below(unit, best.activation)
        if not best.alive or below is None or layer == IMAGE:
            continue
        peaks, size = observed.peaks[layer], best.image.shape[:2]
        if layer not in usual:
            generator, some = np.random.default_rng(seed), min(OTHERS, count)
            chosen = generator.choice(count, some, replace=False)
            # The peaks of any filters lie where something is, as those of this one do.
            places = peaks.positions(chosen, generator.integers(0, peaks.rows.shape[1], some))
            usual[layer] = _profiles(network, layer, recording, chosen, places, size)
        chosen = peaks.strongest(unit.filter, min(EXEMPLARS, count // 2))
        places = peaks.positions(chosen, unit.filter)
        exemplars = _profiles(network, layer, recording, chosen, places, size)
        if exemplars and usual[layer]:
            found[unit] = examine(network, unit, best.image, exemplars, usual[layer], below)
    return found


def _profiles(
    network: Network,
    layer: str,
    recording: Recording,
    chosen: np.ndarray,
    places: np.ndarray,
    size: Sequence[int],
) -> dict[str, np.ndarray]:
    """Return the `profiles` of photographs seen as an optimum is: on a canvas, in its middle.

    They begin whole strides away from where the photograph does, so that their maps are those of
    the photograph but for what lies beyond the part. Where a photograph is gone by now, there are
    none.

    Args:
        network: the network.
        layer: of the positions.
        recording: the photographs.
        chosen: which of them.
        places: (row, column) of the layer's map, for each of those.
        size: (height, width) of the canvas.
    """
    paths, sides = [recording.paths[index] for index in chosen], recording.sides
    (batch,) = dataset.batches(paths, sides, len(paths), recording.fit)
    if len(batch.paths) < len(paths):
        return {}
    field = receptive_field(network, layer, sides)
    if field is None or not (field.rows.whole and field.columns.whole):
        return profiles(network, layer, batch.pixels, places)
    strides = np.array([field.rows.stride, field.columns.stride])
    middle = np.array(size) // strides // 2
    firsts = (strides * (places - middle)).tolist()
    pixels = [window(view, first, size) for view, first in zip(batch.pixels, firsts, strict=True)]
    return profiles(network, layer, np.stack(pixels), np.tile(middle, (len(pixels), 1)))

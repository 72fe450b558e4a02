"""The network with few of its paths left, really run: how much of a unit do they carry?

All inputs but those shown are held at their mean, and each of these is computed with all of its
own inputs but a few held at theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.circuits.paths import Upstream, single
from convscope.models.backend import keras, tf
from convscope.models.linear import linear
from convscope.models.network import Network, look, mapped
from convscope.stats import bootstrap
from convscope.unit import Unit

Kept = Mapping[tuple[int, Unit], Sequence[int] | np.ndarray]
"""Which channels each unit keeps of what its layer is given, by hop."""

Means = Mapping[str, np.ndarray]
"""{maker: the mean of each of its input channels `(channels,)`}."""


@dataclass
class InputMeans:
    """Means of what the makers read, over photographs that come in batches."""

    upstream: Upstream
    photographs: int = 0
    sums: dict[str, Any] = field(default_factory=lambda: defaultdict(float))

    def add(self, values: Mapping[str, tf.Tensor]) -> None:
        """Take in what `upstream.body` gives for some photographs."""
        self.photographs += len(values[self.upstream.read])
        reads = {name: its for hop in self.upstream.hops for name, its in hop.reads.items()}
        for name, sources in reads.items():
            each = [tf.reduce_mean(mapped(values[source]), (1, 2)) for source in sources]
            self.sums[name] += np.concatenate([it.numpy().sum(0, np.float64) for it in each])

    def means(self) -> Means:
        """Return the means."""
        return {name: total / self.photographs for name, total in self.sums.items()}


def reduced(
    upstream: Upstream,
    values: Mapping[str, tf.Tensor],
    means: Means,
    inputs: Sequence[int],
    kept: Kept,
) -> np.ndarray:
    """Return the unit's preactivation in the reduced network `(photographs, rows, columns)`.

    What the inputs that are left out add, their mean contributions, is still to be added.

    Args:
        upstream: the unit with the hops behind it.
        values: what `upstream.body` gives for the photographs.
        means: what is held in the place of what is left out.
        inputs: the channels of the unit's layer's input that are kept.
        kept: which channels each unit behind them keeps; one that is not named is left as it is.
    """
    read = dict(values)  # what is read where the hops behind it are reduced
    for at, hop in reversed(list(enumerate(upstream.hops))):
        made = dict(values)
        for maker in hop.makers:
            alike = {
                unit.filter: channels
                for (level, unit), channels in kept.items()
                if (level, unit.layer) == (at, maker.name)
            }
            if not alike:
                continue
            output = made[maker.name].numpy().copy()
            whole = [read[name] for name in hop.reads[maker.name]]
            for filter, channels in alike.items():
                given = _held(whole, means[maker.name], channels)
                output[..., filter] = single(maker, filter, given).numpy()[..., 0]
            made[maker.name] = tf.constant(output)
        read = dict(zip(hop.targets, hop.onward(made), strict=True))
    last = read[upstream.read]
    (given,) = _held([last], np.zeros(last.shape[-1]), inputs)
    answer: np.ndarray = upstream.answer(given).numpy()
    return answer


def _held(
    tensors: Sequence[tf.Tensor], means: np.ndarray, kept: Sequence[int] | np.ndarray
) -> list[tf.Tensor]:
    """Return tensors with all channels but some at their mean, counted over all the tensors."""
    stay = np.isin(np.arange(len(means)), kept).astype(np.float32)
    ends = np.cumsum([tensor.shape[-1] for tensor in tensors])[:-1]
    parts = np.split(stay, ends), np.split(means.astype(np.float32), ends)
    return [
        tensor * own + mean * (1 - own) for tensor, own, mean in zip(tensors, *parts, strict=True)
    ]


@dataclass
class Reduction:
    """What a reduced network gives, beside what the whole one does, photograph by photograph.

    Attributes:
        base: the mean preactivation of the whole one on the photographs that are measured.
        sums: of each photograph the summed preactivation of both networks at strong responses and
            how many there are; squared differences, and squares around the base; silent positions,
            and those at which the reduced one fires.
    """

    base: float
    sums: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, whole: np.ndarray, found: np.ndarray, threshold: float) -> None:
        """Take in photographs: preactivations `(photographs, positions)` of both networks."""
        for z, other in zip(whole.astype(np.float64), found.astype(np.float64), strict=True):
            top, silent = z >= threshold, z <= 0
            errors = ((z - other) ** 2).sum(), ((z - self.base) ** 2).sum()
            fires = silent.sum(), (other[silent] > 0).sum()
            self.sums.append((z[top].sum(), other[top].sum(), top.sum(), *errors, *fires))

    def recovery(self, weights: np.ndarray) -> tuple[float, float, float]:
        """Return what the reduced one rises by at strong responses over what the whole one does.

        Args:
            weights: how often each draw takes each photograph `(draws, photographs)`.

        Returns:
            The share and its 95 % interval; both rise from the whole one's mean, so that a network
            of which nothing is left recovers nothing.
        """
        strong = np.array(self.sums)[:, :3]

        def share(sums: np.ndarray) -> np.ndarray:
            base = self.base * sums[..., 2]
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray((sums[..., 1] - base) / (sums[..., 0] - base))

        low, high = bootstrap.interval(share(weights @ strong))
        return float(share(strong.sum(axis=0))), float(low), float(high)

    @property
    def r2(self) -> float:
        """Explained variance over all positions."""
        apart, size = np.sum(self.sums, axis=0)[3:5]
        return float(1 - apart / size) if size else float("nan")

    @property
    def false_fire(self) -> float:
        """The share of silent positions at which the reduced one fires."""
        silent, fires = np.sum(self.sums, axis=0)[5:]
        return float(fires / silent) if silent else float("nan")


def masked(
    network: Network, layer: str, filter: int, mean: np.ndarray, channels: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from photographs to a filter's map in a network with masked weights.

    The layer's copy has no weights from these inputs to the filter, and their mean contribution in
    the filter's bias; the network itself is left as it is.

    Args:
        network: the network, in float32.
        layer: a convolution or dense layer; a grouped or separable one has no weight to mask.
        filter: its filter.
        mean: each input's mean contribution `(C,)`.
        channels: the inputs that are held at it.

    Returns:
        `(photographs, height, width, 3)` in [0, 1] -> preactivations `(photographs, ...)`.

    Raises:
        ValueError: the layer's weights are shared between filters.
    """
    original = network.find(layer)
    found = linear(original, filter)
    if type(original) not in (keras.layers.Conv2D, keras.layers.Dense):
        raise ValueError(
            f"{layer} ({type(original).__name__}) shares its weights between filters, so that none"
            " can be masked for one. Ask for a Conv2D or Dense layer."
        )
    changed = {"use_bias": True, "name": f"{layer}_masked", "activation": "linear"}
    copy = type(original).from_config(original.get_config() | changed)
    model = look(network, {"masked": copy(original.input)})
    kernel = np.asarray(original.kernel).copy()
    kernel[..., channels, filter] = 0
    bias = np.zeros(kernel.shape[-1], np.float32)  # the other filters are not looked at
    bias[filter] = found.bias + np.sum(mean[channels])
    copy.set_weights([kernel, bias])
    return lambda pixels: model(pixels)["masked"].numpy()[..., filter]

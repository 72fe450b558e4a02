"""The network with few of its paths left, really run: how much of a unit do they carry?

All inputs but those shown are held at their mean, and each of these is computed with all of its
own inputs but a few held at theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.circuits.paths import Upstream, single
from convscope.models.backend import keras, tf
from convscope.models.linear import linear
from convscope.models.network import Network, look, preactivation
from convscope.stats import bootstrap
from convscope.unit import Unit

Kept = Mapping[tuple[int, Unit], np.ndarray]
"""Which channels each unit keeps of what its layer is given, by hop."""

Means = Sequence[Mapping[str, np.ndarray]]
"""For each hop {maker: the mean of each of its input channels `(channels,)`}."""


@dataclass
class InputMeans:
    """Means of what the makers read, over photographs that come in batches."""

    upstream: Upstream
    photographs: int = 0

    def __post_init__(self) -> None:
        """Begin with nothing summed up."""
        self._sums: list[dict[str, np.ndarray]] = [{} for _ in self.upstream.hops]

    def add(self, values: Mapping[str, tf.Tensor]) -> None:
        """Take in what `upstream.body` gives for some photographs."""
        self.photographs += len(values["read"])
        for at, known in enumerate(self._sums):
            for name, tensors in self.upstream.read(values, at).items():
                each = [tf.reduce_mean(it, list(range(1, len(it.shape) - 1))) for it in tensors]
                total = [it.numpy().astype(np.float64).sum(axis=0) for it in each]
                known[name] = known.get(name, 0.0) + np.concatenate(total)

    def means(self) -> Means:
        """Return the means."""
        return [
            {name: total / self.photographs for name, total in known.items()}
            for known in self._sums
        ]


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
    deeper: list[tf.Tensor] = []
    for at in reversed(range(len(upstream.hops))):
        hop, made, read = upstream.hops[at], upstream.made(values, at), upstream.read(values, at)
        if deeper:  # what the hop behind it gives instead
            targets = upstream.hops[at + 1].targets
            known = {id(it): new for it, new in zip(targets, deeper, strict=True)}
            read = {name: [known[id(it)] for it in its] for name, its in hop.reads.items()}
        for maker in hop.makers:
            alike = {
                unit.filter: channels
                for (level, unit), channels in kept.items()
                if (level, unit.layer) == (at, maker.name) and maker.name in read
            }
            if not alike:
                continue
            output = made[maker.name].numpy().copy()
            for filter, channels in alike.items():
                given = _held(read[maker.name], means[at][maker.name], channels)
                output[..., filter] = single(maker, filter, given).numpy()[..., 0]
            made[maker.name] = tf.constant(output)
        deeper = hop.onward(made)
    (last,) = deeper or [values["read"]]
    (given,) = _held([last], np.zeros(last.shape[-1]), np.asarray(inputs, int))
    answer: np.ndarray = upstream.answer(given).numpy()
    return answer


def _held(tensors: Sequence[tf.Tensor], means: np.ndarray, kept: np.ndarray) -> list[tf.Tensor]:
    """Return tensors with all channels but some at their mean, counted over all the tensors."""
    found, start = [], 0
    for tensor in tensors:
        stay = np.zeros(tensor.shape[-1], np.float32)
        own = kept[(kept >= start) & (kept < start + len(stay))] - start
        stay[own] = 1
        mean = means[start : start + len(stay)].astype(np.float32)
        found.append(tensor * stay + mean * (1 - stay))
        start += len(stay)
    return found


@dataclass
class Reduction:
    """What a reduced network gives, beside what the whole one does, photograph by photograph.

    Attributes:
        base: the mean preactivation of the whole one on the photographs that are measured.
    """

    base: float

    def __post_init__(self) -> None:
        """Begin with no photograph."""
        # The summed preactivation at strong responses of both networks, and how many there are.
        self._strong: list[tuple[float, float, int]] = []
        self._error = np.zeros(2)  # squared differences, and squares around the base
        self._silent = np.zeros(2)  # silent positions, and those at which the reduced one fires

    def add(self, whole: np.ndarray, found: np.ndarray, threshold: float) -> None:
        """Take in photographs: preactivations `(photographs, positions)` of both networks."""
        for z, other in zip(whole.astype(np.float64), found.astype(np.float64), strict=True):
            top, silent = z >= threshold, z <= 0
            self._strong.append((z[top].sum(), other[top].sum(), int(top.sum())))
            self._error += ((z - other) ** 2).sum(), ((z - self.base) ** 2).sum()
            self._silent += silent.sum(), (other[silent] > 0).sum()

    def recovery(self, weights: np.ndarray) -> tuple[float, float, float]:
        """Return what the reduced one rises by at strong responses over what the whole one does.

        Args:
            weights: how often each draw takes each photograph `(draws, photographs)`.

        Returns:
            The share and its 95 % interval; both rise from the whole one's mean, so that a network
            of which nothing is left recovers nothing.
        """
        strong = np.array(self._strong)

        def share(sums: np.ndarray) -> np.ndarray:
            base = self.base * sums[..., 2]
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray((sums[..., 1] - base) / (sums[..., 0] - base))

        low, high = bootstrap.interval(share(weights @ strong))
        return float(share(strong.sum(axis=0))), float(low), float(high)

    @property
    def r2(self) -> float:
        """Explained variance over all positions."""
        apart, size = self._error
        return float(1 - apart / size) if size else float("nan")

    @property
    def false_fire(self) -> float:
        """The share of silent positions at which the reduced one fires."""
        silent, fires = self._silent
        return float(fires / silent) if silent else float("nan")


def change(
    u: np.ndarray, z: np.ndarray, mean: np.ndarray, channels: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Return how much the activation changes at each position `(n,)`, exactly, by algebra.

    Args:
        u: contributions of all inputs `(n, C)`.
        z: preactivations `(n,)`.
        mean: each input's mean contribution `(C,)`.
        channels: the inputs that are held at it.
    """
    held = np.sum(mean[channels] - u[:, channels], axis=1, dtype=np.float64)
    return np.maximum(z + held, 0) - np.maximum(z, 0)


def masked(
    network: Network, layer: str, filter: int, mean: np.ndarray, channels: Sequence[int]
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
    original, held = network.find(layer), np.asarray(channels, int)
    found = linear(original, filter)
    if type(original) not in (keras.layers.Conv2D, keras.layers.Dense):
        raise ValueError(
            f"{layer} ({type(original).__name__}) shares its weights between filters, so that none"
            " can be masked for one. Ask for a Conv2D or Dense layer."
        )
    options = original.get_config() | {"use_bias": True, "name": f"{layer}_masked"}
    copy = type(original).from_config(options | {"activation": "linear"})
    output = copy(original.input)
    kernel = np.asarray(original.kernel).copy()
    bias = np.zeros(kernel.shape[-1], np.float32)
    if original.use_bias:
        bias += np.asarray(original.bias)
    kernel[..., held, filter] = 0
    bias[filter] = found.bias + np.sum(mean[held])
    copy.set_weights([kernel, bias])
    model = look(network, {"masked": output, "whole": preactivation(original)})

    def run(pixels: np.ndarray) -> np.ndarray:
        values: np.ndarray = model(pixels)["masked"].numpy()[..., filter]
        return values

    return run

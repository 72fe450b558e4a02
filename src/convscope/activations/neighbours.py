"""Do a network's features tell photographs apart? Which are nearest to each, and what they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convscope.data.wordnet import taxonomy
from convscope.models.backend import tf
from convscope.models.network import Network, layers, look
from convscope.stats import bootstrap

FEW = 8
"""Numbers below which the end of a network is no description of a photograph."""

BROADEST = 120
"""Classes of ImageNet, of a thousand, that a group holds at most for its members to be of a kind:
dogs are, and birds, but not all animals."""

DRAWS = 999
BLOCK = 1024  # photographs whose neighbours are looked for at once


def features_of(network: Network) -> str:
    """Return the layer whose features describe a photograph: the network's end.

    Where that has fewer than eight numbers, as of a network that draws masks, it is the layer with
    the most filters, the last of them.
    """
    ends = (network.fixed or network.model).outputs
    chosen = network.output or ends[-1]._keras_history.operation.name
    if (network.find(chosen).output.shape[-1] or 0) >= FEW:
        return chosen
    known = layers(network)
    return max(reversed(known), key=lambda name: known[name])


def pooler(network: Network, layer: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from photographs in [0, 1] to the features of a layer.

    `(photographs, height, width, 3)` float32 gives `(photographs, filters)` float32, each the mean
    over the positions of the layer's map.

    Args:
        network: the network, in any number format.
        layer: the layer.
    """
    model = look(network, {"features": network.find(layer).output})

    @tf.function(input_signature=[tf.TensorSpec(model.inputs[0].shape, tf.float32)])
    def pooled(pixels: tf.Tensor) -> tf.Tensor:
        values = model(pixels)["features"]
        rows = tf.reshape(values, (tf.shape(values)[0], -1, values.shape[-1]))
        return tf.reduce_mean(rows, axis=1)

    return lambda pixels: pooled(tf.constant(pixels)).numpy()


def nearest(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest others of each photograph, and the cosines to them, both `(N, count)`.

    Fewer than `count` where there are not so many others. Of equally near ones the earlier stands
    first. Of each feature the root is taken, its sign kept, so that a few large ones do not decide.

    Source: Perronnin et al., "Improving the Fisher Kernel for Large-Scale Image Classification",
    2010, for the roots.

    Args:
        features: `(N, C)`.
        count: neighbours of each.
    """
    roots = np.sign(features) * np.sqrt(np.abs(features))
    lengths = np.linalg.norm(roots, axis=1, keepdims=True)
    rows = np.divide(roots, lengths, out=np.zeros_like(roots), where=lengths > 0)
    count = min(count, len(rows) - 1)
    places, cosines = [], []
    for start in range(0, len(rows), BLOCK):
        alike = rows[start : start + BLOCK] @ rows.T
        alike[np.arange(len(alike)), start + np.arange(len(alike))] = -np.inf
        order = np.argsort(-alike, axis=1, kind="stable")[:, :count]
        places.append(order)
        cosines.append(np.take_along_axis(alike, order, axis=1))
    return np.concatenate(places), np.concatenate(cosines)


def same_kind(keys: Sequence[str]) -> np.ndarray:
    """Return which classes are of a kind, bool `(classes, classes)`.

    They are where both are one, or lie below a group of WordNet that has at most 120 of
    ImageNet's classes.

    Args:
        keys: the classes, synsets or plain names.
    """
    known = taxonomy()
    narrow = [
        {one for one in known.above.get(key, ()) if len(known.leaves(one)) <= BROADEST}
        for key in keys
    ]
    same = np.eye(len(keys), dtype=bool)
    for at, mine in enumerate(narrow):
        same[at] |= [bool(mine & theirs) for theirs in narrow]
    return same


@dataclass(frozen=True)
class Agreement:
    """How often the nearest photographs show the same.

    Attributes:
        what: "class" or "kind".
        count: neighbours of each photograph that are looked at.
        photographs: those of which another one shows the same.
        share: the share of their neighbours that show the same.
        low, high: 95 % of bootstrap samples of photographs.
        chance: the share where labels are exchanged at random.
        p: the chance that so large a share comes from such an exchange.
        control: the share with random weights; None: not measured.
        p_control: the chance of so large a rise above that, were both alike.
    """

    what: str
    count: int
    photographs: int
    share: float
    low: float
    high: float
    chance: float
    p: float
    control: float | None
    p_control: float | None

    @property
    def few(self) -> bool:
        """Whether there are too few photographs for anything but a large effect to show."""
        return self.photographs < 30

    @property
    def clear(self) -> bool:
        """Whether it is more than chance gives, and more than random weights do."""
        return max(self.p, self.p_control or 0.0) < 0.05


def agreement(
    what: str,
    same: np.ndarray,
    codes: np.ndarray,
    neighbours: np.ndarray,
    control: np.ndarray | None,
    seed: int = 0,
) -> Agreement | None:
    """Return how often neighbours show the same; None where no two photographs do.

    Args:
        what: the name of what is the same.
        same: which classes are `(classes, classes)`.
        codes: the class of each photograph `(N,)`.
        neighbours: of each, nearest first `(N, count)`.
        control: the same by features of random weights.
        seed: of the draws.
    """
    sizes = np.bincount(codes, minlength=len(same))
    others = same @ sizes - 1 > 0  # classes of which a photograph has another one that is the same
    chosen = others[codes]
    if not chosen.any():
        return None

    def hits(codes: np.ndarray, places: np.ndarray) -> np.ndarray:
        found: np.ndarray = same[codes[:, None], codes[places]].mean(axis=1)[others[codes]]
        return found

    random, mine = np.random.default_rng(seed), hits(codes, neighbours)
    drawn = [hits(random.permutation(codes), neighbours).mean() for _ in range(DRAWS)]
    weights = bootstrap.draws(len(mine), seed)
    low, high = bootstrap.interval(weights @ mine / weights.sum(axis=1))
    beside, p_beside = None, None
    if control is not None:
        rise = mine - (theirs := hits(codes, control))
        signs = random.choice((-1, 1), (DRAWS, len(rise)))
        beside, p_beside = float(theirs.mean()), _p(rise.mean(), (signs * rise).mean(axis=1))
    return Agreement(
        what, neighbours.shape[1], len(mine), float(mine.mean()), float(low), float(high),
        float(np.mean(drawn)), _p(mine.mean(), np.array(drawn)), beside, p_beside,
    )  # fmt: skip


def _p(found: float, drawn: np.ndarray) -> float:
    """Return the share of draws that are as large, the found one among them."""
    return float((1 + np.sum(drawn >= found - 1e-12)) / (1 + len(drawn)))

"""Exact contributions two hops back and further: what each input's inputs add to a unit.

On one photograph a network of ReLUs, max-pools, sums and convolutions is affine. With its own
gates, z = sum over m, c of U_mc + rest, where U_mc is what channel m of a layer's input adds to the
unit through filter c of that layer, and the rest is what the biases add. U_mc is the sum over taps
of a weight times the gradient of z for that weight, since z is linear in the weights between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convscope.circuits.cascade import Cascade, called
from convscope.models.backend import keras, tf
from convscope.models.flow import sums

L = keras.layers


@dataclass
class Tally:
    """Contributions summed over positions, each with a weight.

    Attributes:
        edges: for each hop {maker: what each of its input channels adds through each of its
            filters, float64 `(channels, filters)`}.
        biases: for each hop what the biases of its makers add.
        total: the unit's preactivation, summed likewise.
        own: the part of it that is the unit's own bias.
    """

    edges: list[dict[str, np.ndarray]] = field(default_factory=list)
    biases: list[float] = field(default_factory=list)
    total: float = 0.0
    own: float = 0.0

    def add(self, other: Tally) -> None:
        """Take in the sums over further positions."""
        if not self.edges:
            self.edges = [{name: 0.0 * it for name, it in hop.items()} for hop in other.edges]
            self.biases = [0.0] * len(other.biases)
        for ours, its in zip(self.edges, other.edges, strict=True):
            for name, values in its.items():
                ours[name] += values
        self.biases = [one + more for one, more in zip(self.biases, other.biases, strict=True)]
        self.total, self.own = self.total + other.total, self.own + other.own

    def rest(self, at: int) -> float:
        """Return what remains beside the contributions of a hop: the biases from there on."""
        return self.total - sum(float(values.sum()) for values in self.edges[at].values())

    def remainder(self, at: int) -> float:
        """Return what neither contributions nor biases explain; 0 where a network is affine.

        It holds the bends of activations that are not piecewise linear, the offsets of a BatchNorm
        on the way, and what comes through a maker that is not linear in its inputs.
        """
        return self.rest(at) - self.own - sum(self.biases[: at + 1])


def tally(cascade: Cascade, values: Mapping[str, tf.Tensor], weights: np.ndarray) -> Tally:
    """Return what flows along each edge of each hop, summed over positions.

    Args:
        cascade: the unit with the hops behind it.
        values: what `cascade.body` gives for some photographs.
        weights: of each position of the unit's map `(photographs, rows, columns)`.
    """
    found = Tally(own=cascade.linear.bias * float(weights.sum(dtype=np.float64)))
    wanted: list[tf.Tensor] = []
    for at, hop in enumerate(cascade.hops):
        made, read = cascade.made(values, at), cascade.read(values, at)
        gradients, total = _back(cascade, at, made, weights, wanted)
        if not at:
            found.total = total
        edges, biases, deeper = {}, 0.0, at + 1 < len(cascade.hops)
        wanted_by: dict[int, tf.Tensor] = {}
        for name, tensors in hop.reads.items():
            maker = next(it for it in hop.makers if it.name == name)
            edges[name], bias, pulled = _edges(maker, read[name], gradients[name], deeper=deeper)
            biases += bias
            for tensor, it in zip(tensors, pulled, strict=False):  # no gradients at the last hop
                already = wanted_by.get(id(tensor))
                wanted_by[id(tensor)] = it if already is None else already + it
        found.edges.append(edges)
        found.biases.append(biases)
        if deeper:
            wanted = [wanted_by[id(target)] for target in cascade.hops[at + 1].targets]
    return found


def fields(
    cascade: Cascade, values: Mapping[str, tf.Tensor], weights: np.ndarray
) -> dict[str, list[np.ndarray]]:
    """Return the gradient of the unit for what the makers of the first hop read, by their names.

    Args:
        cascade: the unit with the hops behind it.
        values: what `cascade.body` gives for some photographs.
        weights: of each position of the unit's map `(photographs, rows, columns)`.
    """
    hop = cascade.hops[0]
    made, read = cascade.made(values, 0), cascade.read(values, 0)
    gradients, _ = _back(cascade, 0, made, weights, [])
    return {
        maker.name: [it.numpy() for it in _pulled(maker, read[maker.name], gradients[maker.name])]
        for maker in hop.makers
        if maker.name in hop.reads
    }


def _back(
    cascade: Cascade,
    at: int,
    made: Mapping[str, tf.Tensor],
    weights: np.ndarray,
    wanted: Sequence[tf.Tensor],
) -> tuple[dict[str, tf.Tensor], float]:
    """Return the gradient for what the makers of a hop give, and at the first hop the sum."""
    with tf.GradientTape() as tape:
        tape.watch(made)
        ends = cascade.hops[at].onward(made)
        if not at:
            ends = [tf.reduce_sum(cascade.answer(ends[0]) * weights)]
    given = None if not at else list(wanted)
    total = float(ends[0]) if not at else 0.0
    found = tape.gradient(
        ends, made, output_gradients=given, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return found, total


def _edges(
    maker: Any, given: Sequence[tf.Tensor], gradient: tf.Tensor, *, deeper: bool
) -> tuple[np.ndarray, float, list[tf.Tensor]]:
    """Return what flows from each input channel through each filter, the bias's part, gradients.

    The gradients are those for what the maker is given, none unless something is `deeper`.
    """
    pulled = _pulled(maker, given, gradient) if deeper or sums(maker) else []
    if sums(maker):
        flows = [
            tf.reduce_sum(tf.reshape(it * more, (-1, it.shape[-1])), 0).numpy().astype(np.float64)
            for it, more in zip(given, pulled, strict=True)
        ]
        return np.concatenate([np.diag(flow) for flow in flows]), 0.0, pulled
    separable = isinstance(maker, L.SeparableConv2D)
    weight = (maker.pointwise_kernel if separable else maker.kernel).value
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weight)
        made = called(maker, given)
    slope = tape.gradient(made, weight, output_gradients=gradient)
    flow = (weight * tf.convert_to_tensor(slope)).numpy().astype(np.float64)
    bias = 0.0
    if maker.use_bias:
        over = tf.reduce_sum(tf.reshape(gradient, (-1, gradient.shape[-1])), 0).numpy()
        bias = float(np.dot(np.asarray(maker.bias, np.float64), over))
    return _placed(maker, flow), bias, pulled


def _pulled(maker: Any, given: Sequence[tf.Tensor], gradient: tf.Tensor) -> list[tf.Tensor]:
    """Return the gradient for what a maker is given."""
    with tf.GradientTape() as tape:
        own = [tf.identity(it) for it in given]  # one tensor may be given twice
        tape.watch(own)
        made = called(maker, own)
    return list(tape.gradient(made, own, output_gradients=gradient))


def _placed(maker: Any, flow: np.ndarray) -> np.ndarray:
    """Return flows in the shape of a layer's weights as `(channels, filters)`."""
    if isinstance(maker, L.Dense):
        return flow
    flow = flow.sum(axis=(0, 1))
    if isinstance(maker, L.SeparableConv2D):
        return flow.reshape(-1, maker.depth_multiplier, flow.shape[-1]).sum(axis=1)
    if isinstance(maker, L.DepthwiseConv2D):
        channels, copies = flow.shape
        found = np.zeros((channels, channels * copies))
        found[np.repeat(np.arange(channels), copies), np.arange(channels * copies)] = flow.ravel()
        return found
    each, filters = flow.shape[0], flow.shape[1] // maker.groups
    found = np.zeros((each * maker.groups, flow.shape[1]))
    for group in range(maker.groups):
        across = slice(group * filters, (group + 1) * filters)
        found[group * each : (group + 1) * each, across] = flow[:, across]
    return found

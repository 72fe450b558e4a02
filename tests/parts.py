"""What a filter gets from its inputs, made up by hand or at random."""

import numpy as np

from convscope.circuits import attribution
from convscope.circuits.attribution import Part
from convscope.models.linear import Linear


def contributions(inputs: np.ndarray, linear: Linear) -> np.ndarray:
    """Contributions at every position `(photographs, rows, columns, C)`."""
    (rows, *_), (columns, *_) = linear.window.spans(inputs.shape[1:3])
    places = np.indices((len(inputs), rows, columns)).reshape(3, -1)
    return attribution.contributions(inputs, linear, *places).reshape(
        -1, rows, columns, len(linear.channels)
    )


def part(u: object, bias: float = 0.0, of: object = None, threshold: float | None = None) -> Part:
    """Contributions `(n, C)` at all positions of photographs that have equally many."""
    values = np.asarray(u, np.float32)
    number = np.arange(len(values)) if of is None else np.asarray(of)
    photographs = number[-1] + 1
    z = bias + values.sum(axis=1, dtype=np.float64)
    limit = float(z.max() if threshold is None else threshold)
    top = z >= limit
    mean = values.astype(np.float64).reshape(photographs, -1, values.shape[1]).mean(axis=1)
    return Part(
        bias, limit, mean, z.reshape(photographs, -1), values, number, values[top], number[top]
    )


def random_part(
    photographs: int = 20, positions: int = 30, inputs: int = 40, seed: int = 0, share: float = 0.05
) -> Part:
    """Contributions with some inputs that matter, correlated within photographs."""
    generator = np.random.default_rng(seed)
    scale = generator.gamma(0.7, 1, inputs) * np.sign(generator.normal(size=inputs))
    common = generator.normal(size=(photographs, 1, inputs))
    active = np.maximum(common + generator.normal(size=(photographs, positions, inputs)), 0)
    u = (active * scale).reshape(-1, inputs)
    z = u.sum(axis=1)
    of = np.repeat(np.arange(photographs), positions)
    return part(u, 0.5, of, float(np.quantile(z, 1 - share)) + 0.5)

"""The kernel slices of one filter: how strong each input is, and whether it excites or inhibits."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

EXCITATORY, INHIBITORY, MIXED, NEGLIGIBLE = "excitatory", "inhibitory", "mixed", "negligible"


@dataclass(frozen=True)
class Kernels:
    """What the weights alone say about each of the C inputs of a filter; arrays `(C,)`.

    Attributes:
        l2: square root of the summed squares of the slice.
        l1: sum of the magnitudes.
        sum: sum of the weights; times the input's mean activation, the expected contribution.
        positive: sum of the positive weights.
        negative: sum of the magnitudes of the negative weights.
        sign_index: (positive - negative) / (positive + negative), from -1 to 1; 0 for no weights.
        label: excitatory, inhibitory, mixed or negligible.
        majority: share of the weights that are positive.
        share: squared L2 over the sum of all inputs' squared L2.
        rank_l2: 1 for the largest L2; ties go to the lower channel.
    """

    l2: np.ndarray
    l1: np.ndarray
    sum: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    sign_index: np.ndarray
    label: np.ndarray
    majority: np.ndarray
    share: np.ndarray
    rank_l2: np.ndarray

    @property
    def mostly(self) -> list[str]:
        """The plain words for each input, by the sign of its index even where that is small."""
        words = {1: "mostly excitatory", -1: "mostly inhibitory", 0: "neither"}
        return [words[int(sign)] for sign in np.sign(self.sign_index)]

    def strongest(self, count: int) -> np.ndarray:
        """Return the channels of the `count` largest L2 norms, strongest first."""
        return np.argsort(self.rank_l2)[:count]


def measure(kernel: np.ndarray, mixed: float, negligible: float) -> Kernels:
    """Return the table of one filter's kernel slices.

    Args:
        kernel: weights `(height, width, C)`, in the order Keras stores them (cross-correlation).
        mixed: |sign index| below this is neither excitatory nor inhibitory.
        negligible: L2 below this share of the largest is negligible, whatever its sign.
    """
    taps = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    l2 = np.sqrt(np.sum(taps**2, axis=0))
    positive = np.sum(np.maximum(taps, 0), axis=0)
    negative = np.sum(np.maximum(-taps, 0), axis=0)
    l1 = positive + negative
    sign_index = np.divide(positive - negative, l1, out=np.zeros_like(l1), where=l1 > 0)
    label = np.select(
        [l2 <= negligible * l2.max() if negligible else l2 == 0, np.abs(sign_index) < mixed],
        [NEGLIGIBLE, MIXED],
        np.where(sign_index > 0, EXCITATORY, INHIBITORY),
    )
    rank = np.empty(len(l2), int)
    rank[np.argsort(-l2, kind="stable")] = np.arange(1, len(l2) + 1)
    total = np.sum(l2**2)
    return Kernels(
        l2=l2,
        l1=l1,
        sum=np.sum(taps, axis=0),
        positive=positive,
        negative=negative,
        sign_index=sign_index,
        label=label,
        majority=np.mean(taps > 0, axis=0),
        share=l2**2 / total if total else np.zeros_like(l2),
        rank_l2=rank,
    )


MEASURES = tuple(field.name for field in fields(Kernels))

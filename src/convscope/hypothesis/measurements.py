"""What photographs gave to test claims with: plain arrays, whoever measured them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from convscope.stats import resampling


@dataclass(frozen=True)
class Photographs:
    """Scores and classes of the photographs that confirm.

    Attributes:
        scores: what stands for each `(N,)`; NaN is left out.
        keys: the class of each; None: unlabelled, left out.
    """

    scores: np.ndarray
    keys: Sequence[str | None]


@dataclass(frozen=True)
class Positions:
    """Contributions at positions of the photographs that confirm.

    Attributes:
        u: contributions of the C inputs `(n, C)`.
        z: preactivations `(n,)`.
        images: the photograph of each position `(n,)`, any whole numbers.
        threshold: the preactivation above which a response is strong, from the discovery half.
        mean: each input's mean contribution on the discovery half `(C,)`.
        keys: {photograph: its class}; None: unlabelled.
    """

    u: np.ndarray
    z: np.ndarray
    images: np.ndarray
    threshold: float
    mean: np.ndarray
    keys: Mapping[int, str | None] = field(default_factory=dict)

    @cached_property
    def top(self) -> np.ndarray:
        """Where the response is strong, bool `(n,)`."""
        return self.z >= self.threshold

    @cached_property
    def strong(self) -> int:
        """The photographs with a strong response."""
        return len(np.unique(self.images[self.top]))

    @cached_property
    def _codes(self) -> np.ndarray:
        return np.unique(self.images, return_inverse=True)[1]

    def means(self, values: np.ndarray, chosen: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return means over chosen positions when photographs count as often as `counts` says.

        Args:
            values: `(n, K)`.
            chosen: bool `(n,)`.
            counts: `(rows, photographs)`.

        Returns:
            `(rows, K)`; NaN where none of the positions is left.
        """
        own = self._codes[chosen]
        place = (own, np.arange(len(own)))
        size = counts.shape[1], len(own)
        sums = sparse.csr_array((np.ones(len(own)), place), size) @ values[chosen]
        sizes = counts @ np.bincount(own, minlength=counts.shape[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            return (counts @ sums) / sizes[:, None]

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each photograph counts, as `resampling.counts` has it."""
        return resampling.counts(int(self._codes.max()) + 1)

    @cached_property
    def typical(self) -> np.ndarray:
        """Each input's mean contribution, for each row of `counts` `(rows, C)`."""
        return self.means(self.u, np.ones(len(self.u), bool), self.counts)

    @cached_property
    def shift(self) -> np.ndarray:
        """How each input differs where the response is strong `(rows, C)`."""
        return self.means(self.u, self.top, self.counts) - self.typical


@dataclass(frozen=True)
class Curve:
    """How much of their activation exemplars keep under the steps of a transform.

    Attributes:
        kept: `(exemplars, steps)`, 1 for all of it; each exemplar is of another photograph.
    """

    kept: np.ndarray


@dataclass(frozen=True)
class Tuning:
    """How selective something is for a feature of synthetic stimuli.

    Attributes:
        value: the selectivity index, from 0 to 1.
        draws: the index of bootstrap draws `(draws,)`.
        p: that there is no selectivity.
        stimuli: independent stimuli behind it.
    """

    value: float
    draws: np.ndarray
    p: float
    stimuli: int


@dataclass(frozen=True)
class Split:
    """Whether exemplars fall into several kinds.

    Attributes:
        p: of the test that they do.
        images: exemplars.
        draws: bootstrap draws of how far the kinds lie apart `(draws,)`, 0 for not at all and 1 for
            fully; None: not measured, so that nothing can speak for one kind.
        margin: the smallest distance of kinds that counts, between 0 and 1.
    """

    p: float
    images: int
    draws: np.ndarray | None = None
    margin: float = 0.0


@dataclass(frozen=True)
class Material:
    """What was measured on the photographs that confirm; None and absent names: it was not.

    Attributes:
        photographs: for group_selective.
        positions: for input_sign, circuit_sufficient and edit.
        strong: all positions of strong responses, for an edit among those; None: those among
            `positions` are taken.
        orders: {ranking: all C inputs, first to last}, from the discovery half.
        curves: {transform: its curve}.
        tunings: {feature: the filter's tuning}.
        inputs: {(channel, feature): an input's tuning}.
        split: for monosemantic.
    """

    photographs: Photographs | None = None
    positions: Positions | None = None
    strong: Positions | None = None
    orders: Mapping[str, Sequence[int]] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    tunings: Mapping[str, Tuning] = field(default_factory=dict)
    inputs: Mapping[tuple[int, str], Tuning] = field(default_factory=dict)
    split: Split | None = None

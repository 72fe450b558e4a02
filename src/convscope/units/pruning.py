"""Which of many nested names to keep: the most specific ones that explain all the rest.

A filter for dogs also tells canines, carnivores and animals from the rest, and each breed. The
rules that find `dog` among these are in `pruned`. They look at the discovery half alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

TAIL = 0.975  # one end of a two-sided test at 5 %


@dataclass(frozen=True)
class Moments:
    """Normal scores of images, summed by class; arrays `(classes,)`.

    Attributes:
        counts: images.
        totals: the sum of their scores.
        squares: the sum of the squares of their scores.
    """

    counts: np.ndarray
    totals: np.ndarray
    squares: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """The mean score of each class."""
        return self.totals / self.counts


@dataclass(frozen=True)
class Candidate:
    """A class or group that is significant.

    Attributes:
        members: the classes in it, bool `(classes,)`, among those of the discovery half.
        confirmed: the same among the classes of the confirmation half.
        sign: 1 where the filter fires for it, -1 where it avoids it.
        strength: how far its AUROC is from a half.
        classes: how many classes it has in either half.
    """

    members: np.ndarray
    confirmed: np.ndarray
    sign: int
    strength: float
    classes: int


def pruned(candidates: list[Candidate], discovery: Moments, confirmation: Moments) -> list[int]:
    """Return the places of the candidates that deserve to be named.

    From the most specific to the most general, separately for what fires and what is avoided, on
    the discovery half:

    - What shares no class with a name kept so far is kept.
    - A parent is kept if what is left of it without the kept names still differs from all other
      classes; then the names inside it are kept only where they differ from the rest of it, and
      otherwise said by the parent.
    - Where the rest does not differ, or is too little to tell, the names inside explain the parent
      and it is dropped, unless it is the shorter description: the parent with an exception for
      each remaining class that looks more like the outside takes fewer words than the names inside.

    Then the strongest go first, and each must show on both halves that it is more than a stronger
    name of the other sign and the names inside it: without all of those it still differs from the
    others. Where a filter fires for half of the images, it need not avoid the other half.

    To differ is Student's t at 5 %, two-sided, in the direction in question, on normal scores. The
    unit is the class and not the image, because a name speaks of classes; only for a single class
    against what lies outside its parent it is the image. An AUROC's interval would say the same for
    many classes and nothing for two or three.
    """
    kept = [
        place
        for sign in (1, -1)
        for place in _specific(
            [place for place, candidate in enumerate(candidates) if candidate.sign == sign],
            candidates,
            discovery,
        )
    ]
    cast: list[int] = []
    for place in sorted(kept, key=lambda place: (-candidates[place].strength, place)):
        own = candidates[place]
        others = [candidates[at] for at in cast if candidates[at].sign != own.sign]
        others += [candidates[at] for at in kept if at != place and _within(candidates[at], own)]
        if not others or (
            _remains(discovery, own.members, [one.members for one in others], own.sign)
            and _remains(confirmation, own.confirmed, [one.confirmed for one in others], own.sign)
        ):
            cast.append(place)
    return sorted(cast)


def _specific(places: list[int], candidates: list[Candidate], moments: Moments) -> list[int]:
    """Return the places of one sign that are kept among nested ones."""
    kept: list[int] = []
    sizes = {
        place: (candidates[place].members.sum(), candidates[place].classes) for place in places
    }
    for place in sorted(places, key=lambda place: (*sizes[place], place)):
        parent = candidates[place]
        covered = _union([candidates[at].members for at in kept], parent.members)
        rest, outside = parent.members & ~covered, ~parent.members & ~covered
        inside = [at for at in kept if _within(candidates[at], parent)]
        if (
            not np.any(parent.members & covered)
            or _differs(moments, rest, outside, parent.sign)
            or _shorter(moments, rest, outside, parent.members & covered, len(inside))
        ):
            said = [at for at in inside if not _stands_out(moments, candidates[at], parent)]
            kept = [at for at in kept if at not in said] + [place]
    return kept


def _union(sets: list[np.ndarray], like: np.ndarray) -> np.ndarray:
    return np.any(sets, axis=0) if sets else np.zeros_like(like)


def _within(child: Candidate, parent: Candidate) -> bool:
    """Return whether all classes of a name of the same sign lie in another."""
    return child.sign == parent.sign and not np.any(child.members & ~parent.members)


def _remains(moments: Moments, own: np.ndarray, others: list[np.ndarray], sign: int) -> bool:
    """Return whether a name without the others' classes differs from what none of them has."""
    covered = _union(others, own)
    return _differs(moments, own & ~covered, ~own & ~covered, sign)


def _stands_out(moments: Moments, child: Candidate, parent: Candidate) -> bool:
    """Return whether a child differs from the rest of its parent, classes being the units."""
    rest = parent.members & ~child.members
    return _differs(moments, child.members, rest, child.sign, images=False)


def _shorter(
    moments: Moments, rest: np.ndarray, outside: np.ndarray, covered: np.ndarray, names: int
) -> bool:
    """Return whether a parent with its exceptions takes fewer words than the names inside it."""
    if names < 2 or not outside.any():
        return False
    near, far = moments.means[covered].mean(), moments.means[outside].mean()
    means = moments.means[rest]
    exceptions = int(np.sum(np.abs(means - near) >= np.abs(means - far)))
    return 1 + exceptions < names


def _differs(
    moments: Moments, own: np.ndarray, others: np.ndarray, sign: int, *, images: bool = True
) -> bool:
    """Return whether the scores of `own` classes lie above (sign 1) or below those of others."""
    single = images and own.sum() == 1 and moments.counts[own][0] > 1
    counts = moments.counts if single else np.ones(len(moments.counts))
    totals = moments.totals if single else moments.means
    squares = moments.squares if single else moments.means**2
    (n, total, square), (m, rest, rest_square) = (
        (counts[part].sum(), totals[part].sum(), squares[part].sum()) for part in (own, others)
    )
    freedom = n + m - 2
    if not (n and m and freedom):
        return False
    gap = sign * (total / n - rest / m)
    left = max(square - total**2 / n + rest_square - rest**2 / m, 0)
    reach = special.stdtrit(freedom, TAIL) * np.sqrt(left / freedom * (1 / n + 1 / m))
    # Beyond what float64 leaves of equal scores.
    return bool(gap > max(reach, 1e-9))

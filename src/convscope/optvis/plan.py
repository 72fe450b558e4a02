"""What is to be made: goals, what ascends for them, and the batches they climb in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from convscope.optvis import objectives
from convscope.optvis.ascent import Goal
from convscope.optvis.objectives import Objective
from convscope.unit import Unit


def goals(units: Sequence[Unit], signs: Sequence[int], samples: int) -> tuple[Goal, ...]:
    """Return the images to be made, in the order they are shown."""
    return tuple(
        Goal(unit, sample, sign) for unit in units for sign in signs for sample in range(samples)
    )


def aim(
    name: str,
    *,
    position: tuple[int, int] | None = None,
    others: Mapping[int, float] | None = None,
    power: float = 2.0,
    samples: int = 1,
    diversity: float = 0.0,
) -> Callable[[str], Objective]:
    """Return what ascends in a layer.

    Args:
        name: one of `objectives.NAMES`.
        position: for `neuron`: (row, column) in the map; None is its middle.
        others: for `direction`: weights of further filters.
        power: for `direction` and `caricature`: of the cosine.
        samples: images of each filter that follow one another.
        diversity: share of the score that these lose by being alike.
    """
    main: dict[str, Callable[[str], Objective]] = {
        "channel": objectives.channel,
        "neuron": lambda layer: objectives.neuron(layer, position),
        "direction": lambda layer: objectives.direction(layer, others or {}, power),
        "layer": objectives.deepdream,
        "logit": objectives.logit,
        "caricature": lambda layer: objectives.caricature(layer, power),
    }

    def make(layer: str) -> Objective:
        found = objectives.signed(main[name](layer))
        if samples > 1 and diversity:
            alike = objectives.diversity(layer, samples)
            found = objectives.relative(found, alike, diversity)
        return found

    return make


def batches(every: Sequence[Goal], together: int, group: int) -> list[tuple[Goal, ...]]:
    """Return the goals in batches as even as can be, each a whole number of groups.

    Args:
        every: the goals; each `group` of them that follow one another belong together.
        together: how many may climb at a time; a group is never divided.
        group: goals in a group.
    """
    groups = len(every) // group
    count = -(-groups // max(1, together // group))
    length = group * -(-groups // count)
    return [tuple(every[start : start + length]) for start in range(0, len(every), length)]


def filled(batch: Sequence[Goal], length: int) -> tuple[Goal, ...]:
    """Return a batch with its goals repeated until it is `length` long.

    Another number of samples would be traced and compiled anew.
    """
    return tuple(batch[index % len(batch)] for index in range(length))

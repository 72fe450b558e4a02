"""What is said about the images of a run: the rows of its table, facts, what to keep in mind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convscope.models.network import Network
from convscope.models.position import receptive_field
from convscope.optvis.recipe import named
from convscope.report.card import WEAK, Card
from convscope.unit import WHOLE

FEW = 100  # photographs, below which a quantile is a hint


def rows(
    cards: Sequence[Card], objective: str, size: tuple[int, int], steps: int
) -> list[dict[str, object]]:
    """Return the rows of `optima.csv`.

    Args:
        cards: the images, in order.
        objective: what ascended.
        size: rows and columns of the canvas.
        steps: updates of each image.
    """
    return [
        {
            "layer": card.layer,
            "filter": None if card.filter == WHOLE else card.filter,
            "sample": card.sample,
            "objective": objective,
            "size": named(size),
            "steps": steps,
            "activation_start": card.activation_start,
            "activation": card.activation,
            "activation_mean": card.activation_mean,
            "quantile": card.quantile,
            "alive": card.alive,
            "seconds": card.seconds,
            "attempt": card.attempt,
            "sign": card.sign,
            "score": card.score,
            "stopped": card.stopped,
        }
        for card in cards
    ]


def facts(
    cards: Sequence[Card], network: Network, objective: str, photographs: int
) -> dict[str, str]:
    """Return what the head of the page states."""
    field = receptive_field(network, cards[0].layer)
    said = {
        "network": network.name,
        "weights": network.weights.source,
        "layer": cards[0].layer,
        "receptive field": field.words if field else "all of the image",
        "objective": objective,
        "images": str(len(cards)),
    }
    if photographs:
        said["photographs"] = str(photographs)
    if len(cards) > 1:
        said["alive"] = f"{sum(card.alive for card in cards)} of {len(cards)}"
        peaks = [card.activation for card in cards if card.alive and card.sign == cards[0].sign]
        if peaks:
            said["activation"] = f"{np.mean(peaks):.1f} on average over those alive"
    return said


def notes(cards: Sequence[Card], network: Network, photographs: int) -> list[str]:
    """Return what a reader should keep in mind, as far as these findings themselves say so."""
    said = [
        f"These are the weights '{network.weights.source}'. A filter's number means nothing beyond "
        "one set of weights.",
        "One optimized image is no explanation: it shows one way to excite a unit. Other starts "
        "(stage.samples=4), what the unit dislikes (stage.sign=both) and photographs show others.",
    ]
    if weak := [card.name for card in cards if card.weak]:
        said.append(
            f"Weak, below {100 * WEAK:.1f} % of the positions on photographs: "
            f"{_named(weak)}. Such an image is no evidence of what the unit responds to; try more "
            "steps (ascent.steps), another seed or a larger canvas (ascent.size)."
        )
    if silent := [card.name for card in cards if not card.alive]:
        said.append(
            f"Not alive from any start: {_named(silent)}. That no image was found is no proof that "
            "there is none."
        )
    if 0 < photographs < FEW:
        said.append(
            f"{photographs} photographs are few: the shares of positions are a hint. Give more "
            "with images=folder images.root=PATH."
        )
    return said


def _named(names: Sequence[str], most: int = 8) -> str:
    """Return the first names of a list, and how many more there are."""
    some = list(dict.fromkeys(names))
    more = f" and {len(some) - most} more" if len(some) > most else ""
    return ", ".join(some[:most]) + more

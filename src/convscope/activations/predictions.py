"""What a network takes a photograph for, beside what it is said to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.activations.accuracy import Rate, Target


@dataclass(frozen=True)
class Guess:
    """One class of a photograph.

    Attributes:
        key: the class: a synset, or a plain name.
        name: the name that is shown.
        probability: that the network gives it.
        right: whether it is what the photograph shows; None where that is not known.
    """

    key: str
    name: str
    probability: float
    right: bool | None


@dataclass(frozen=True)
class Prediction:
    """One photograph that could be read.

    Attributes:
        path: its file.
        image: its name, as it can be shown.
        truth: its label: a synset, or a plain name; None: it has none.
        label: the name of that, as it is shown.
        guesses: the most probable classes, most probable first.
        rank: where the truth stands among all classes, from 1; None where that is not known.
        probability: that the network gives the truth, all classes of a group together.
    """

    path: Path
    image: str
    truth: str | None
    label: str | None
    guesses: tuple[Guess, ...]
    rank: int | None
    probability: float | None

    @property
    def best(self) -> Guess:
        """The most probable class."""
        return self.guesses[0]

    @property
    def correct(self) -> bool | None:
        """Whether the most probable class is right; None where that is not known."""
        return self.best.right

    @property
    def state(self) -> str:
        """In a word: right, wrong, unlabelled, or unknown to the network."""
        if self.correct is None:
            return "unlabelled" if self.truth is None else "unknown"
        return "right" if self.correct else "wrong"


def predict(
    probabilities: np.ndarray, target: Target | None, classes: Sequence[str], names: Sequence[str],
    top: int,
) -> tuple[tuple[Guess, ...], int | None, float | None]:  # fmt: skip
    """Return the most probable classes, and the rank and the probability of the truth.

    Of equally probable classes the earlier one stands first.

    Args:
        probabilities: of all classes of one photograph `(classes,)`.
        target: what its label stands for; None where there is none that the network knows.
        classes: the keys of the classes.
        names: their names.
        top: classes to return, at most.
    """
    order = np.argsort(-probabilities, kind="stable")
    inside = None if target is None else np.isin(order, list(target.places))
    guesses = tuple(
        Guess(
            classes[place],
            names[place],
            float(probabilities[place]),
            None if inside is None else bool(inside[rank]),
        )
        for rank, place in enumerate(order[:top].tolist())
    )
    if inside is None:
        return guesses, None, None
    return guesses, int(inside.argmax()) + 1, float(probabilities[order[inside]].sum())


def rate(predictions: Sequence[Prediction], top: int = 1) -> Rate:
    """Return how often the truth was among the `top` most probable classes, where it is known."""
    ranks = [one.rank for one in predictions if one.rank is not None]
    return Rate(sum(rank <= top for rank in ranks), len(ranks))


def mistakes(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Return the photographs that were taken for something else, the most confident first."""
    wrong = [one for one in predictions if one.correct is False]
    return sorted(wrong, key=lambda one: -one.best.probability)

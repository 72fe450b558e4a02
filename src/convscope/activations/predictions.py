"""What a network takes a photograph for, beside what it is said to show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from convscope.data.wordnet import taxonomy
from convscope.models.backend import tf
from convscope.models.network import Network, head, look, preactivation
from convscope.stats.inference import wilson


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


def predictor(network: Network) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from photographs in [0, 1] to the probability of each class.

    `(photographs, height, width, 3)` float32 gives `(photographs, classes)` float32. The same
    photograph gives the same bits in a batch of any length, as far as TensorFlow's products do.

    Args:
        network: a network with a classifier, in any number format.

    Raises:
        ValueError: it has no classifier, or one whose classes are not known.
    """
    last = head(network)
    if last is None or not network.classes:
        what = "no classifier" if last is None else "a classifier whose classes are not named"
        raise ValueError(
            f"{network.name} has {what}, so it cannot say what a photograph shows. Take one that"
            " can, like model=efficientnet_lite0."
        )
    if last.classes != len(network.classes):
        raise ValueError(
            f"{last.layer} of {network.name} tells {last.classes} classes apart, and"
            f" {len(network.classes)} are named. A class is named for each."
        )
    graph = network.graph([last.logits, last.output])
    ends = {"logits": preactivation(graph[last.logits]), "output": graph[last.output].output}
    model = look(network, ends if last.kind != "linear" else {"logits": ends["logits"]})

    near = 1e-3 if network.dtype == "float32" else 3e-2

    # One graph for batches of any length: another one might round in another way.
    @tf.function(input_signature=[tf.TensorSpec(model.inputs[0].shape, tf.float32)])
    def forward(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        shape = (-1, last.filters)  # some have a map of one position
        return {name: tf.reshape(values, shape) for name, values in model(pixels).items()}

    def probabilities(pixels: np.ndarray) -> np.ndarray:
        found = {name: one.numpy() for name, one in forward(tf.constant(pixels)).items()}
        logits = found["logits"]
        if not np.isfinite(logits).all():
            raise ValueError(
                f"The logits of {network.name} are no finite numbers. Its weights are damaged, or"
                " its input lies far outside what it was trained on."
            )
        # TensorFlow's own rounds a row in one way or another, by the length of its batch.
        shares: np.ndarray
        each = last.kind in ("sigmoid", "binary")
        shares = special.expit(logits) if each else special.softmax(logits, axis=1)
        if not np.allclose(shares, found.get("output", shares), rtol=0, atol=near):
            raise ValueError(
                f"The output {last.output} of {network.name} is not the {last.kind} of"
                f" {last.logits} that it was taken for, so its probabilities are not known."
            )
        return np.hstack([1 - shares, shares]) if last.kind == "binary" else shares

    return probabilities


@dataclass(frozen=True)
class Rate:
    """How many of some photographs were right, with the 95 % interval of the share.

    Attributes:
        hits: photographs that were right.
        total: photographs that could be.
    """

    hits: int
    total: int

    @property
    def share(self) -> float | None:
        """The share of hits; None of no photographs."""
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of the share; None of no photographs."""
        return wilson(self.hits, self.total) if self.total else None

    def __str__(self) -> str:
        """Return it as a reader takes it in: `82 % (169 of 206; 95 % interval 76 to 87 %)`."""
        if self.share is None or self.interval is None:
            return "unknown"
        low, high = (100 * end for end in self.interval)
        return (
            f"{100 * self.share:.0f} % ({self.hits:,} of {self.total:,};"
            f" 95 % interval {low:.0f} to {high:.0f} %)"
        )


@dataclass(frozen=True)
class Target:
    """What a label stands for among the classes of a network.

    Attributes:
        places: the classes, as places among the logits.
        how: "key" where the class has the label's key, "name" where it has its name, "group" where
            the classes lie below it in WordNet.
    """

    places: frozenset[int]
    how: str


def targets(
    keys: Iterable[str | None], names: Mapping[str, str], classes: Sequence[str]
) -> dict[str, Target]:
    """Return what labels stand for among the classes of a network.

    A label is a class with the same key; else every class with the same name (whatever the case,
    an underscore being a space); else, if it is a synset, every class below that, or else with any
    of WordNet's words for it as a name; else, if it bears the name of a group of WordNet, every
    class below that. What is none of these is left out: the network does not know it.

    Args:
        keys: of photographs, synsets or plain names; None counts for nothing.
        names: {key: the name that is shown}.
        classes: the class of each logit, a synset or a plain name.
    """
    places: dict[str, set[int]] = {}
    named: dict[str, set[int]] = {}
    for place, one in enumerate(classes):
        places.setdefault(one, set()).add(place)
        for name in _spellings(one, one):
            named.setdefault(name, set()).add(place)
    found: dict[str, Target] = {}
    known = taxonomy().words
    for key in sorted({key for key in keys if key is not None}):
        if key in places:
            found[key] = Target(frozenset(places[key]), "key")
        elif same := named.get(_plain(names.get(key, key))):
            found[key] = Target(frozenset(same), "name")
        elif inside := _union(map(places.get, taxonomy().leaves(key) if key in known else ())):
            found[key] = Target(inside, "group")
        elif any_same := _union(named.get(name) for name in _spellings(key, names.get(key, key))):
            found[key] = Target(any_same, "name")
        elif below := _union(map(places.get, _leaves(names.get(key, key)))):
            found[key] = Target(below, "group")
    return found


def class_names(classes: Sequence[str]) -> list[str]:
    """Return the name of each class that is shown: of a synset WordNet's, else its own."""
    known = taxonomy()
    return [known.name(one) if one in known.words else one.replace("_", " ") for one in classes]


def _union(sets: Iterable[Collection[int] | None]) -> frozenset[int]:
    return frozenset(place for one in sets if one for place in one)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _spellings(key: str, name: str) -> set[str]:
    """Return the names of a class or label, as they are compared."""
    return {_plain(one) for one in (key, name, *taxonomy().words.get(key, ()))}


def _leaves(name: str) -> set[str]:
    """Return ImageNet's classes below the groups of WordNet that bear a name."""
    known = taxonomy()
    wanted = _plain(name)
    groups = [wnid for wnid, words in known.words.items() if wanted in map(_plain, words)]
    return {leaf for wnid in groups for leaf in known.leaves(wnid)}

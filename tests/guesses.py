"""Predictions made by hand, and what the network saw."""

from pathlib import Path

import numpy as np

from convscope.activations.predictions import Prediction, Target, predict

KEYS = ("n01440764", "n02085620", "n02088364", "n02123045", "n03126707")
NAMES = ("tench", "Chihuahua", "beagle", "tabby", "crane (lifting device)")


def prediction(number, shares, places=None, truth=None, label=None, top=5):
    """Return photograph `number` with these probabilities; `places` are the true classes."""
    target = None if places is None else Target(frozenset(places), "key")
    if places is not None and truth is None:
        truth = KEYS[min(places)]
    label = label or (NAMES[KEYS.index(truth)] if truth in KEYS else truth)
    found = predict(np.asarray(shares, np.float32), target, KEYS, NAMES, top)
    path = Path(f"/photographs/photo_{number}.png")
    return Prediction(path, path.name, truth, label, *found)


def sure(number, best, share, truth=None, **more):
    """Return photograph `number`, taken for class `best` with a probability, labelled `truth`."""
    shares = np.full(5, (1 - share) / 4)
    shares[best] = share
    return prediction(number, shares, None if truth is None else {truth}, **more)


def views(predictions, size=64):
    """Return a noisy photograph for each."""
    random = np.random.default_rng(1)
    return {one.path: random.integers(0, 256, (size, size, 3), np.uint8) for one in predictions}

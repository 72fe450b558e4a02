"""Results made up by hand, as pages and pictures show them: optima, filters, predictions."""

from pathlib import Path
from typing import Any

import numpy as np

from convscope.activations.predictions import Prediction, Target, predict
from convscope.report.filters import UnitSummary
from convscope.report.maximize import OptimumSummary


def texture(seed: int, height: int = 24, width: int = 24) -> np.ndarray:
    """Return noise in bands, which compresses about as badly as an optimum."""
    generator = np.random.default_rng(seed)
    row, column = np.mgrid[:height, :width]
    bands = np.sin(0.7 * row + seed * column / 9)[..., None] * generator.normal(size=3)
    noise = generator.normal(0, 0.35, (height, width, 3))
    return (255 / (1 + np.exp(-1.5 * (bands + noise)))).astype(np.uint8)


def optimum(filter_: int = 17, sample: int = 0, sign: int = 1, **changed: Any) -> OptimumSummary:
    """Return one image of block4_conv3, above all photographs unless changed."""
    slug = f"block4_conv3-{filter_}-{sample}" + "-negative" * (sign < 0)
    given: dict[str, Any] = {
        "name": f"block4_conv3:{filter_}",
        "layer": "block4_conv3",
        "filter": filter_,
        "sample": sample,
        "sign": sign,
        "image": texture(filter_ + 1000 * sample),
        "activation": sign * (200.0 + filter_),
        "activation_mean": sign * 40.0,
        "activation_start": -1.5,
        "score": 120.0,
        "quantile": 1.0 if sign > 0 else 0.0,
        "alive": True,
        "attempt": 1,
        "seconds": 2.5,
        "curve": np.linspace(3, 120, 32, dtype=np.float32),
        "stopped": None,
        "file": f"images/{slug}.png",
    }
    return OptimumSummary(**(given | changed))


def summary(filter_: int = 17, **changed: Any) -> UnitSummary:
    """Return a filter of block4_conv3 that fires for dogs, unless changed."""
    given: dict[str, Any] = {
        "layer": "block4_conv3",
        "filter": filter_,
        "firing_rate": 0.125,
        "sparseness": 0.5,
        "activation": 200.0 + filter_,
        "best": "hunting dog",
        "side": "fires",
        "auroc": 0.875,
        "low": 0.8,
        "high": 0.93,
        "q": 0.002,
        "avoids": None,
        "words": ("hunting dog", "dog", "animal"),
        "crops": tuple(texture(filter_ + place, 20 + place, 31) for place in range(9)),
        "labels": ("beagle", "tench", None, *["church"] * 6),
        "activations": tuple(200.0 + filter_ - place for place in range(9)),
    }
    return UnitSummary(**(given | changed))


NOTHING: dict[str, Any] = {"best": None, "auroc": None, "low": None, "high": None, "q": None}


def whole_layer() -> list[UnitSummary]:
    """Twenty filters: 3 and 4 fire for birds, 4 avoids dogs, 5 only avoids them; 7 is silent."""
    bird = {"best": "bird", "words": ("bird", "animal"), "auroc": 0.9}
    plain = {**NOTHING, "words": (), "labels": ("church",) * 9}
    made = [
        summary(number, **plain, firing_rate=0.01 * (1 + number * 7 % 20)) for number in range(20)
    ]
    made[2] = summary(2)
    made[3] = summary(3, **bird, q=1e-6)
    made[4] = summary(4, **bird | {"avoids": "dog", "auroc": 0.75})
    made[5] = summary(5, best="dog", side="avoids", auroc=0.25, avoids="dog", words=())
    made[6] = summary(6, best="dog", auroc=0.625, q=0.5, words=())
    made[7] = summary(7, **plain | {"firing_rate": 0.0, "activation": -1.5})
    return made


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

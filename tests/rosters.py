"""Made-up filters of a layer, as they are told among all of it."""

from typing import Any

from cards import texture

from convscope.report.filters import UnitSummary


def unit(filter_: int = 17, **changed: Any) -> UnitSummary:
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


def layer() -> list[UnitSummary]:
    """Twenty filters: 3 and 4 fire for birds, 4 avoids dogs, 5 only avoids them; 7 is silent."""
    bird = {"best": "bird", "words": ("bird", "animal"), "auroc": 0.9}
    plain = {**NOTHING, "words": (), "labels": ("church",) * 9}
    made = [unit(number, **plain, firing_rate=0.01 * (1 + number * 7 % 20)) for number in range(20)]
    made[2] = unit(2)
    made[3] = unit(3, **bird, q=1e-6)
    made[4] = unit(4, **bird | {"avoids": "dog", "auroc": 0.75})
    made[5] = unit(5, best="dog", side="avoids", auroc=0.25, avoids="dog", words=())
    made[6] = unit(6, best="dog", auroc=0.625, q=0.5, words=())
    made[7] = unit(7, **plain | {"firing_rate": 0.0, "activation": -1.5})
    return made

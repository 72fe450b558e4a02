"""Made-up optima."""

from typing import Any

import numpy as np

from convscope.report.maximize import OptimumSummary


def texture(seed: int, height: int = 24, width: int = 24) -> np.ndarray:
    """Return noise in bands, which compresses about as badly as an optimum."""
    generator = np.random.default_rng(seed)
    row, column = np.mgrid[:height, :width]
    bands = np.sin(0.7 * row + seed * column / 9)[..., None] * generator.normal(size=3)
    noise = generator.normal(0, 0.35, (height, width, 3))
    return (255 / (1 + np.exp(-1.5 * (bands + noise)))).astype(np.uint8)


def card(filter_: int = 17, sample: int = 0, sign: int = 1, **changed: Any) -> OptimumSummary:
    """Return the card of one image of block4_conv3, above all photographs unless changed."""
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

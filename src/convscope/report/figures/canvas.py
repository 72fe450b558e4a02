"""Pictures of a run as arrays: kernel tiles, and the page that others draw on.

Every picture is uint8 RGB of shape `(height, width, 3)`; nothing is shown, kept or written.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

# Page colours, also the ends of the scale of the kernel tiles; report.py repeats them in HTML.
INK, QUIET, RULE, PAPER, VOID = "#1b1e25", "#5d6472", "#d9dce2", "#ffffff", "#f1f2f5"
EFFECTS = {
    "excitatory": "#b00b1a",
    "inhibitory": "#1853c6",
    "mixed": "#736a8e",
    "negligible": "#666c79",
}
SWATCHES = {"image:red": "#ff0000", "image:green": "#00ff00", "image:blue": "#0000ff"}


def _ramp(hue: float) -> np.ndarray:
    """Return 256 colours from white to `hue` (degrees): lightness falls and chroma grows evenly.

    Both ends were chosen to lie inside sRGB for the two hues used here. OKLab after Ottosson,
    "A perceptual color space for image processing" (2020).
    """
    strength = np.linspace(0, 1, 256)
    lightness, chroma = 1 - 0.52 * strength, 0.19 * strength
    a, b = chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    cones = np.stack([
        lightness + 0.3963377774 * a + 0.2158037573 * b,
        lightness - 0.1055613458 * a - 0.0638541728 * b,
        lightness - 0.0894841775 * a - 1.2914855480 * b,
    ])  # fmt: skip
    linear = np.clip([
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ] @ cones**3, 0, 1)  # fmt: skip
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded.T).astype(np.uint8)


# Row 0 for negative weights, row 1 for positive ones; at each step both are equally light.
RAMPS = np.stack([_ramp(262.0), _ramp(26.0)])


def kernel_colours(kernel: np.ndarray, limit: float) -> np.ndarray:
    """Return the colours of weights, uint8 `(height, width, 3)`: red above zero, blue below.

    Zero is exactly white, and the colours of `kernel` and `-kernel` are equally strong steps of
    the two ramps. Weights beyond `limit` get the colour of `limit`.

    Raises:
        ValueError: `kernel` has other than two axes or holds a NaN, or `limit` is negative.
    """
    kernel = np.asarray(kernel, np.float64)
    if kernel.ndim != 2 or not kernel.size or not np.isfinite(kernel).all():
        message = "A kernel is drawn from finite weights of shape (height, width)."
        raise ValueError(f"{message} Received: shape={kernel.shape}.")
    if not (math.isfinite(limit) and limit >= 0):
        raise ValueError(f"The limit of the colours is a finite number from 0. Received: {limit}.")
    share = np.abs(kernel) / limit if limit else np.zeros_like(kernel)
    steps = np.rint(255 * np.minimum(share, 1)).astype(int)
    return RAMPS[(kernel > 0).astype(int), steps]


def kernel_tile(kernel: np.ndarray, limit: float, pixels: int = 96) -> np.ndarray:
    """Return `kernel_colours`, each weight a square; the longer side fits `pixels` if it can."""
    colours = kernel_colours(kernel, limit)
    side = max(1, pixels // max(colours.shape[:2]))
    return colours.repeat(side, axis=0).repeat(side, axis=1)


def legend_bar(width: int, height: int) -> np.ndarray:
    """Return the scale of the tiles, from minus the limit (left) to plus the limit (right)."""
    return kernel_tile(np.linspace(-1, 1, width)[None], 1.0, pixels=width).repeat(height, axis=0)


def round_step(least: float, parts: Sequence[float] = (1, 2, 5, 10)) -> float:
    """Return the smallest of `parts` times a power of ten that is no smaller than `least`."""
    power = math.floor(math.log10(least))
    steps = (float(f"{part}e{power}") for part in parts)
    return next(step for step in steps if step >= least * (1 - 1e-9))


def multiples(step: float, low: float, high: float) -> list[float]:
    """Return the multiples of a step from `low` to `high`: the ticks of an axis."""
    return [step * at for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


class Page:
    """A white page in units of `scale` pixels, (0, 0) at its `origin`, usually the top left.

    Lines and words are drawn by matplotlib's objects, without pyplot's global state; images are
    pasted afterwards, so that their pixels reach the page as they are.
    """

    def __init__(
        self, width: int, height: int, scale: int, origin: tuple[int, int] = (0, 0)
    ) -> None:
        """Begin an empty page of `width` by `height` units."""
        # Imported here: it takes a third of a second, and reports use this module without it.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        (left, top), size = origin, (width / 100, height / 100)
        figure = Figure(figsize=size, dpi=100 * scale, facecolor=PAPER, edgecolor=PAPER)
        self.canvas, self.scale, self.origin = FigureCanvasAgg(figure), scale, origin
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(-left, width - left), ylim=(height - top, -top))
        self.axes.set_axis_off()
        self.pasted: list[tuple[int, int, np.ndarray]] = []

    def text(
        self,
        left: float,
        top: float,
        words: str,
        size: float = 13,
        fit: float | None = None,
        **style: Any,
    ) -> None:
        """Write `words` centred on the height `top`, made smaller until no wider than `fit`."""
        look: dict[str, Any] = {"color": INK, "va": "center", "family": "DejaVu Sans", **style}
        text = self.axes.text(left, top, words, size=0.72 * size, parse_math=False, **look)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of letters that the font lacks: a box stands for them
            # Letters keep to whole pixels, so the width does not follow the size exactly.
            for _ in range(8 if fit else 0):
                width = text.get_window_extent().width / self.scale
                if not fit or width <= fit:
                    break
                size *= 0.98 * fit / width
                text.set_fontsize(0.72 * size)

    def shape(self, points: Iterable[tuple[float, float]], colour: str, **how: Any) -> None:
        """Fill a polygon; `how` is matplotlib's, such as the colour of its edge."""
        across, down = zip(*points, strict=True)
        how = {"edgecolor": "none", "linewidth": 0.72, **how}
        self.axes.fill(across, down, facecolor=colour, **how)

    def line(
        self, points: Iterable[tuple[float, float]], colour: str, width: float = 2, **how: Any
    ) -> None:
        """Draw a line through points; `how` is matplotlib's, such as a style of dashes."""
        across, down = zip(*points, strict=True)
        how = {"solid_capstyle": "round", "solid_joinstyle": "round", **how}
        self.axes.plot(across, down, color=colour, linewidth=0.72 * width, **how)

    def box(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        """Fill a rectangle."""
        right, bottom = left + width, top + height
        self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def paste(self, image: np.ndarray, left: int, top: int, width: int, height: int) -> None:
        """Place `image` as large as fits in the middle of the box, with a hairline around it."""
        rows, columns = image.shape[:2]
        factor = min(width * self.scale / columns, height * self.scale / rows)
        across, down = max(1, round(columns * factor)), max(1, round(rows * factor))
        # Enlarged pixels (the few-pixel fields of early layers) stay pixels.
        how = Image.Resampling.NEAREST if factor >= 4 else Image.Resampling.LANCZOS
        if (down, across) != (rows, columns):
            image = np.asarray(Image.fromarray(image).resize((across, down), how))
        unit, x, y = (
            self.scale,
            (width * self.scale - across) // 2,
            (height * self.scale - down) // 2,
        )
        x, y = x + left * unit, y + top * unit
        self.box(x / unit - 1, y / unit - 1, across / unit + 2, down / unit + 2, RULE)
        self.pasted.append((x + self.origin[0] * unit, y + self.origin[1] * unit, image))

    def array(self) -> np.ndarray:
        """Return the finished page, uint8 `(height, width, 3)`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see `text`
            self.canvas.draw()
        page = np.asarray(self.canvas.buffer_rgba())[..., :3].copy()
        for x, y, image in self.pasted:
            page[y : y + image.shape[0], x : x + image.shape[1]] = image
        return page

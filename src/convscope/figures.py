"""Pictures of a run as arrays: kernel tiles, contact sheets and the explorer drawing.

Every function returns uint8 RGB of shape `(height, width, 3)`; nothing is shown, kept or written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Portrait:
    """One unit as it is shown.

    Attributes:
        name: Such as `block4_conv2:133`; for the inputs of the first layer `image:red`.
        optimum: The image that excites it most, uint8 `(height, width, 3)`; None: there is none.
        activation: Peak preactivation on that image, as saved.
        activation_mean: Mean preactivation on that image.
        alive: Whether the ascent started; None where no optimum applies (colour inputs).
        crops: Receptive fields cut from photographs, uint8, strongest first.
        crop_activations: Preactivation at each crop.
    """

    name: str
    optimum: np.ndarray | None
    activation: float | None
    activation_mean: float | None
    alive: bool | None
    crops: tuple[np.ndarray, ...]
    crop_activations: tuple[float, ...]

    @property
    def picture(self) -> np.ndarray | None:
        """The optimum, unless the unit is not alive: that image would be no result."""
        return None if self.alive is False else self.optimum

    @property
    def absence(self) -> str:
        """Why there is no picture, in plain words."""
        if self.alive is False:
            return "not alive"
        return "colour input" if self.alive is None else "no optimum"


@dataclass(frozen=True)
class InputRow:
    """One input of the unit: a row of the explorer.

    Attributes:
        portrait: The input unit.
        kernel: Its slice of the weights, float32 `(height, width)`.
        l2: Root of the summed squared weights.
        sign_index: (P - N) / (P + N), from -1 to 1.
        label: excitatory, inhibitory, mixed or negligible.
        mostly: "mostly excitatory" or "mostly inhibitory", also where the label is mixed.
        share: Part of the summed squared L2 of all inputs, from 0 to 1.
        mean: Expected contribution over the photographs; None: not measured.
    """

    portrait: Portrait
    kernel: np.ndarray
    l2: float
    sign_index: float
    label: str
    mostly: str
    share: float
    mean: float | None

    @property
    def sign(self) -> str:
        """The side of zero that the weights lean to: excitatory or inhibitory."""
        return "inhibitory" if self.mostly.endswith("inhibitory") else "excitatory"


def number(value: float | None, *, signed: bool = False, digits: int = 3) -> str:
    """`value` in `digits` significant digits with a true minus sign; an en dash for None."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    value = value or 0.0  # No minus before zero.
    size = math.floor(math.log10(abs(value))) if value else digits - 1
    form = f".{max(digits - 1 - size, 0)}f" if -4 <= size < 6 else f".{digits - 1}e"
    plus = "+" if signed and value > 0 else ""
    return plus + f"{value:{form}}".replace("-", "\N{MINUS SIGN}")


def fixed(value: float) -> str:
    """`value` with its sign and two decimals: for quantities between -1 and 1."""
    return f"{round(value, 2) or 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")


def _ramp(hue: float) -> np.ndarray:
    """256 colours from white to `hue` (degrees): lightness falls and chroma grows evenly.

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
    """Colours of the weights, uint8 `(height, width, 3)`: red above zero, blue below.

    Zero is exactly white, and the colours of `kernel` and `-kernel` are equally strong steps of
    the two ramps. Weights beyond `limit` get the colour of `limit`.

    Raises:
        ValueError: If `kernel` has other than two axes or holds a NaN, or `limit` is negative.
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
    """`kernel_colours`, each weight a square; the longer side is at most `pixels` if it fits."""
    colours = kernel_colours(kernel, limit)
    side = max(1, pixels // max(colours.shape[:2]))
    return colours.repeat(side, axis=0).repeat(side, axis=1)


def legend_bar(width: int, height: int) -> np.ndarray:
    """The scale of the tiles from minus the limit (left) to plus the limit (right)."""
    return kernel_tile(np.linspace(-1, 1, width)[None], 1.0, pixels=width).repeat(height, axis=0)


class _Page:
    """A white page in units of `scale` pixels, (0, 0) at the top left.

    Lines and words are drawn by matplotlib's objects, without pyplot's global state; images are
    pasted afterwards, so that their pixels reach the page as they are.
    """

    def __init__(self, width: int, height: int, scale: int) -> None:
        # Imported here: it takes a third of a second, and reports use this module without it.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        size = (width / 100, height / 100)
        figure = Figure(figsize=size, dpi=100 * scale, facecolor=PAPER, edgecolor=PAPER)
        self.canvas, self.scale = FigureCanvasAgg(figure), scale
        self.axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
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
        """`words` centred on the height `top`, made smaller until they are no wider than `fit`."""
        look: dict[str, Any] = {"color": INK, "va": "center", "family": "DejaVu Sans", **style}
        text = self.axes.text(left, top, words, size=0.72 * size, parse_math=False, **look)
        # Letters keep to whole pixels, so the width does not follow the size exactly.
        for _ in range(8):
            width = text.get_window_extent().width / self.scale if fit else 0
            if not fit or width <= fit:
                break
            size *= 0.98 * fit / width
            text.set_fontsize(0.72 * size)

    def shape(self, points: Sequence[tuple[float, float]], colour: str, edge: str = "none") -> None:
        """A filled polygon."""
        across, down = zip(*points, strict=True)
        self.axes.fill(across, down, facecolor=colour, edgecolor=edge, linewidth=0.72)

    def box(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle."""
        right, bottom = left + width, top + height
        self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def paste(self, image: np.ndarray, left: int, top: int, width: int, height: int) -> None:
        """`image` as large as fits into the box, in its middle, with a hairline around it."""
        rows, columns = image.shape[:2]
        factor = min(width * self.scale / columns, height * self.scale / rows)
        across, down = max(1, round(columns * factor)), max(1, round(rows * factor))
        # Enlarged pixels (the few-pixel fields of early layers) stay pixels.
        how = Image.Resampling.NEAREST if factor >= 4 else Image.Resampling.LANCZOS
        if (down, across) != (rows, columns):
            image = np.asarray(Image.fromarray(image).resize((across, down), how))
        x = left * self.scale + (width * self.scale - across) // 2
        y = top * self.scale + (height * self.scale - down) // 2
        unit = self.scale
        self.box(x / unit - 1, y / unit - 1, across / unit + 2, down / unit + 2, RULE)
        self.pasted.append((x, y, image))

    def array(self) -> np.ndarray:
        """The finished page, uint8 `(height, width, 3)`."""
        self.canvas.draw()
        page = np.asarray(self.canvas.buffer_rgba())[..., :3].copy()
        for x, y, image in self.pasted:
            page[y : y + image.shape[0], x : x + image.shape[1]] = image
        return page


def contact_sheet(
    images: Sequence[np.ndarray], captions: Sequence[str], columns: int, *, side: int = 176
) -> np.ndarray:
    """All `images` in rows of `columns`, each in a square of `side` pixels above its caption.

    A caption may have several lines; each is made smaller where it would be too wide.

    Raises:
        ValueError: If there are no images, a caption too few or too many, or no column.
    """
    if not images or len(images) != len(captions) or columns < 1:
        message = "A contact sheet needs images, a caption for each, and at least one column."
        received = f"{len(images)} images, {len(captions)} captions, columns={columns}"
        raise ValueError(f"{message} Received: {received}.")
    gap, line = 16, 16
    columns = min(columns, len(images))
    below = 8 + line * max(caption.count("\n") + 1 for caption in captions)
    tall = side + below + gap
    page = _Page(gap + columns * (side + gap), gap + -(-len(images) // columns) * tall, 1)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = gap + index % columns * (side + gap), gap + index // columns * tall
        page.paste(image, left, top, side, side)
        for place, words in enumerate(caption.split("\n")):
            down, colour = top + side + 14 + place * line, QUIET if place else INK
            page.text(left + side / 2, down, words, 12, ha="center", color=colour, fit=side)
    return page.array()


WIDTH, HEAD, ROW, PICTURE = 1400, 452, 142, 108
OPTIMUM, ARROW, TILE, WORDS, STRENGTH, MEAN, CROPS = 76, 204, 352, 492, 764, 948, 1136


def explorer(
    unit: Portrait, rows: Sequence[InputRow], *, title: str, subtitle: str, limit: float
) -> np.ndarray:
    """The unit's optimum above one line for each of its inputs, 2800 pixels wide.

    Each line reads from left to right: optimum of the input, arrow (colour: effect, width: L2),
    kernel, effect in words, L2, expected contribution, photographs.

    Args:
        unit: The unit explained.
        rows: Its inputs in the order to show.
        title: First line of the page.
        subtitle: Second line.
        limit: The weight at both ends of the colour scale that all tiles share.
    """
    page = _Page(WIDTH, HEAD + ROW * len(rows) + 24, scale=2)
    page.text(40, 46, title, 27, weight="bold", fit=WIDTH - 80)
    page.text(40, 82, subtitle, 14, color=QUIET, fit=WIDTH - 80)
    _legend(page, limit)
    _head(page, unit)
    strongest = max((row.l2 for row in rows), default=0) or 1.0
    largest = max((abs(row.mean or 0) for row in rows), default=0) or 1.0
    for index, row in enumerate(rows):
        _line(page, HEAD + ROW * index, index + 1, row, limit, strongest, largest)
    return page.array()


def _portrait(page: _Page, unit: Portrait, left: int, top: int, side: int) -> None:
    """The optimum of `unit`, or an empty field that says why there is none."""
    if unit.picture is not None:
        page.paste(unit.picture, left, top, side, side)
        return
    swatch = SWATCHES.get(unit.name)
    page.box(left - 1, top - 1, side + 2, side + 2, RULE)
    page.box(left, top, side, side, swatch or VOID)
    if not swatch:
        page.text(left + side / 2, top + side / 2, unit.absence, 13, ha="center", color=QUIET)


def _crops(page: _Page, unit: Portrait, left: int, top: int, width: int, side: int) -> None:
    """The crops of `unit` side by side, as large as `width` allows, activations below."""
    if not unit.crops:
        # A colour input is the photograph itself: nothing is missing there.
        words = "" if unit.alive is None else "no photograph"
        page.text(left, top + side / 2, words, 13, color=QUIET)
        return
    small = min(side, (width - 12 * (len(unit.crops) - 1)) // len(unit.crops))
    top, side = top + (side - small) // 2, small
    for index, (crop, activation) in enumerate(zip(unit.crops, unit.crop_activations, strict=True)):
        across = left + index * (side + 12)
        page.paste(crop, across, top, side, side)
        words = number(activation)
        page.text(across + side / 2, top + side + 13, words, 12, ha="center", color=QUIET)


def _head(page: _Page, unit: Portrait) -> None:
    """The unit in the middle, its photographs to the right, and the titles of the columns."""
    _portrait(page, unit, 572, 112, 256)
    words = f"optimum of {unit.name}"
    page.text(700, 386, words, 14, ha="center", weight="bold", fit=400)
    measured = f"peak {number(unit.activation)}, mean {number(unit.activation_mean)}"
    words = measured if unit.picture is not None else unit.absence
    page.text(700, 407, words, 13, ha="center", color=QUIET)
    page.text(908, 122, "photographs that excite it most", 13, color=QUIET)
    _crops(page, unit, 908, 142, 452, 216)
    for left, words in (
        (OPTIMUM, "input"), (ARROW, "effect"), (TILE, "kernel"), (STRENGTH, "L2 (share)"),
        (MEAN, "mean contribution"), (CROPS, "photographs (peak)"),
    ):  # fmt: skip
        page.text(left, HEAD - 20, words, 12, color=QUIET)
    page.box(40, HEAD - 6, WIDTH - 80, 1, RULE)


def _legend(page: _Page, limit: float) -> None:
    """The colour scale that all tiles share, and how arrows are to be read."""
    page.text(40, 122, "weights, one scale for all kernels", 13, color=QUIET)
    page.paste(legend_bar(640, 44), 40, 138, 320, 22)
    for left, value, place in ((40, -limit, "left"), (200, 0.0, "center"), (360, limit, "right")):
        page.text(left, 174, number(value, signed=True), 12, ha=place)
    page.text(40, 192, "inhibits", 12, color=EFFECTS["inhibitory"])
    page.text(360, 192, "excites", 12, ha="right", color=EFFECTS["excitatory"])
    page.text(40, 236, "arrows, as wide as the kernel is strong (L2)", 13, color=QUIET)
    for index, (label, words) in enumerate((
        ("excitatory", "excitatory"), ("inhibitory", "inhibitory"),
        ("mixed", "mixed: the head shows the side it leans to"),
        ("negligible", "negligible: far weaker than the strongest"),
    )):  # fmt: skip
        down = 262 + 26 * index
        sign = "inhibitory" if label == "inhibitory" else "excitatory"
        _arrow(page, 40, down, 52, 10, label, sign)
        page.text(104, down, words, 13)


def _arrow(
    page: _Page, left: float, middle: float, length: float, width: float, label: str, sign: str
) -> None:
    """An arrow to the right: the shaft has the colour of `label`, the head that of `sign`."""
    shaft = EFFECTS[label]
    head = shaft if label == "negligible" else EFFECTS[sign]
    wide, tip = max(width, 1) / 2, max(14.0, 0.9 * width)
    neck, half = left + length - tip, max(8.0, 0.85 * width)
    page.box(left, middle - wide, neck - left, 2 * wide, shaft)
    page.shape([(neck, middle - half), (left + length, middle), (neck, middle + half)], head)


def _line(
    page: _Page, top: int, rank: int, row: InputRow, limit: float, strongest: float, largest: float
) -> None:
    """One input, between `top` and `top + ROW`."""
    unit, top = row.portrait, top + 8
    middle = top + PICTURE // 2
    page.text(52, middle, str(rank), 15, ha="center", color=QUIET)
    _portrait(page, unit, OPTIMUM, top, PICTURE)
    if unit.picture is not None:
        words = f"peak {number(unit.activation)}"
        page.text(OPTIMUM + PICTURE / 2, top + PICTURE + 13, words, 12, ha="center", color=QUIET)
    _arrow(page, ARROW, middle, 124, 30 * row.l2 / strongest, row.label, row.sign)
    tile = kernel_tile(row.kernel, limit, 2 * PICTURE)
    page.paste(tile, TILE, top, PICTURE, PICTURE)
    page.text(WORDS, middle - 30, unit.name, 16, weight="bold", fit=STRENGTH - WORDS - 24)
    page.text(WORDS, middle - 4, row.mostly, 14, color=EFFECTS[row.sign])
    chip = {"facecolor": EFFECTS[row.label], "edgecolor": "none", "boxstyle": "round,pad=0.35"}
    page.text(WORDS + 6, middle + 25, row.label, 11, color=PAPER, weight="bold", bbox=chip)
    words = f"sign index {fixed(row.sign_index)}"
    page.text(WORDS + 100, middle + 25, words, 12, color=QUIET)
    _numbers(page, middle, row, strongest, largest)
    _crops(page, unit, CROPS, top, WIDTH - 40 - CROPS, PICTURE)
    page.box(40, top - 8 + ROW - 4, WIDTH - 80, 1, VOID)


def _numbers(page: _Page, middle: int, row: InputRow, strongest: float, largest: float) -> None:
    """L2 and mean contribution, each with a bar whose full length is the largest of all rows."""
    page.text(STRENGTH, middle - 12, f"{number(row.l2)}  ({100 * row.share:.1f} %)", 14)
    page.box(STRENGTH, middle + 4, 150, 8, VOID)
    page.box(STRENGTH, middle + 4, 150 * row.l2 / strongest, 8, EFFECTS[row.label])
    page.text(MEAN, middle - 12, number(row.mean, signed=True), 14)
    page.box(MEAN, middle + 4, 150, 8, VOID)
    mean = row.mean or 0.0
    side = EFFECTS["excitatory" if mean > 0 else "inhibitory"]
    page.box(MEAN + 75, middle + 4, 75 * mean / largest, 8, side)
    page.box(MEAN + 75, middle, 1, 16, QUIET)

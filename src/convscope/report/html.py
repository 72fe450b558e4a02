"""What all pages of runs share: templates rendered into one HTML file that asks for nothing.

A page's template extends `page.html`, which has the head, a policy that forbids every request, and
the blocks `title`, `style`, `header`, `main` and `script`; `common.css` styles what the macros of
`parts.html` draw.
"""

from __future__ import annotations

import base64
import functools
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from convscope.report.figures import canvas


def render(template: str, **names: object) -> str:
    """Return a page from the template of this name, one HTML text that makes no network request.

    Beside `names`, a template has the filters `number` and `fixed` of figures.py, `words` and
    `breakable` of this file, and its functions `picture` and `data_uri`. Values are escaped; a name
    that is not given is an error.
    """
    return _environment().get_template(template).render(**names)


@functools.cache
def _environment() -> jinja2.Environment:
    """Return templates from beside this file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": canvas.number,
        "fixed": canvas.fixed,
        "words": words,
        "breakable": breakable,
    }
    environment.globals |= {"picture": picture, "data_uri": data_uri}
    return environment


def data_uri(image: np.ndarray, **how: Any) -> str:
    """Return `image` as a data URI: a lossless PNG unless `how` asks Pillow for another format."""
    file = io.BytesIO()
    settings: dict[str, Any] = {"format": "PNG", "optimize": True} | how
    Image.fromarray(image).save(file, **settings)
    kind = settings["format"].lower()
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def picture(image: np.ndarray, side: int) -> dict[str, object]:
    """Return `image` for the page, made smaller where its longer side exceeds `side` pixels."""
    if max(image.shape[:2]) < 48:  # The few pixels that an early layer sees, shown as pixels.
        return {"uri": data_uri(image), "pixelated": True}
    image = shrunk(image, side)
    return {"uri": data_uri(image, format="WEBP", quality=90, method=2), "pixelated": False}


def shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """Return `image`, made smaller where its longer side exceeds `side` pixels."""
    longer = max(image.shape[:2])
    if longer <= side:
        return image
    size = [max(1, round(length * side / longer)) for length in image.shape[1::-1]]
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def flat(settings: Mapping[str, object]) -> dict[str, object]:
    """Return dotted names and values of nested settings, as they are typed on the command line."""

    def leaves(group: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
        for key, inner in group.items():
            if isinstance(inner, Mapping) and inner:
                yield from leaves(inner, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", inner

    return dict(leaves(settings, ""))


def aligned(values: Sequence[float | None], kind: str = "") -> list[str]:
    """Return the numbers of a column with equally many decimals, so that their points align.

    The largest gets four digits at least, a middling one two.

    Args:
        values: the numbers; None has no value.
        kind: "rank" for whole numbers, "percent" for shares from 0 to 1, "signed" for numbers with
            a plus or minus, otherwise plain numbers.
    """
    if kind == "rank":
        return [str(value) for value in values]
    factor, unit = (100, "\N{NO-BREAK SPACE}%") if kind == "percent" else (1, "")
    sizes = sorted(abs(factor * value) for value in values if value)
    decimals = 2 if kind == "percent" else 0
    if sizes and kind != "percent":
        largest, middling = (math.floor(math.log10(sizes[at])) for at in (-1, len(sizes) // 2))
        decimals = min(max(3 - largest, 1 - middling, 0), 8)
    sign = "+" if kind == "signed" else ""
    return [
        "\N{EN DASH}" if value is None
        else f"{round(factor * value, decimals) or 0.0:{sign}.{decimals}f}{unit}"
        .replace("-", "\N{MINUS SIGN}")
        for value in values
    ]  # fmt: skip


def words(value: object, digits: int | None = None) -> str:
    """Return any value in plain words; numbers as they are or in significant `digits`."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return canvas.number(float(value), digits=digits) if digits else f"{value:.12g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(words, value)) or "none"
    return str(value)


def breakable(name: str) -> Markup:
    """Return `name`, which a narrow column may break between layer and filter."""
    return escape(name).replace(":", Markup("<wbr>:"))

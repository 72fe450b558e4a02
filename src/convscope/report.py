"""The page of a run: one HTML file that holds its images, style and script and asks for nothing."""

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

from convscope import figures
from convscope.figures import InputRow, Portrait

# Columns of the table of all inputs: key of a row, title, explanation, and kind: words, rank,
# percent, signed (numbers with a plus or minus) or plain numbers.
COLUMNS = (
    ("rank_l2", "#", "Rank by L2", "rank"),
    ("name", "input", "Layer and filter", "words"),
    ("label", "effect", "Label, and the side the weights lean to", "words"),
    ("l2", "L2", "Root of the summed squared weights", ""),
    ("share", "share", "Part of the summed squared weights of all inputs", "percent"),
    ("mean", "mean", "Expected contribution over the photographs", "signed"),
    ("sign_index", "sign index", "(P - N) / (P + N), from -1 to +1", "signed"),
    ("majority", "majority", "Part of the weights that are positive", "percent"),
    ("l1", "L1", "Sum of the absolute weights", ""),
    ("sum", "sum", "Sum of the weights", "signed"),
    ("positive", "P", "Sum of the positive weights", ""),
    ("negative", "N", "Sum of the negative weights, without their sign", ""),
)


def circuit_page(
    *,
    unit: Portrait,
    rows: Sequence[InputRow],
    table: Sequence[Mapping[str, object]],
    limit: float,
    tiles: Sequence[np.ndarray],
    facts: Mapping[str, str],
    optima: Sequence[Mapping[str, object]],
    settings: Mapping[str, object],
    notes: Sequence[str],
) -> str:
    """Return the report of a circuit run as one HTML page that makes no network request.

    Args:
        unit: the unit explained.
        rows: its strongest inputs, in the order to show.
        table: all inputs, with the keys of `COLUMNS` and `mostly` and `in_ten`.
        limit: the weight at both ends of the colour scale of all kernels.
        tiles: the kernel tile of each row of `table`, all of one shape.
        facts: what the head of the page states, label to value.
        optima: how each optimum was made, one mapping for each.
        settings: the settings of the run; groups may be nested.
        notes: what to keep in mind, one sentence or two each.

    Raises:
        ValueError: there is no input, or `tiles` do not fit to `table` or to the kernels.
    """
    if not rows or len(tiles) != len(table):
        message = "A report needs at least one input, and a tile for each row of its table."
        received = f"{len(rows)} inputs, {len(tiles)} tiles, {len(table)} rows"
        raise ValueError(f"{message} Received: {received}.")
    template = _environment().get_template("circuit.html")
    return template.render(
        unit=unit,
        rows=rows,
        columns=COLUMNS,
        table=_table(table),
        sprite=_sprite(tiles, rows[0].kernel.shape),
        limit=limit,
        facts=facts,
        optima=optima,
        settings=dict(_flat(settings)),
        notes=notes,
        strongest=max(row.l2 for row in rows) or 1.0,
        largest=max(abs(row.mean or 0) for row in rows) or 1.0,
    )


@functools.cache
def _environment() -> jinja2.Environment:
    """Return templates from beside this file: values are escaped, names must be given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": figures.number,
        "fixed": figures.fixed,
        "value": _value,
        "breakable": _breakable,
    }
    environment.globals |= {
        "effects": figures.EFFECTS,
        "swatches": figures.SWATCHES,
        "legend": _uri(figures.legend_bar(255, 1)),
        "picture": _picture,
        "cells": _cells,
    }
    return environment


def _uri(image: np.ndarray, **how: Any) -> str:
    """Return `image` as a data URI: a lossless PNG unless `how` asks Pillow for another format."""
    file = io.BytesIO()
    settings: dict[str, Any] = {"format": "PNG", "optimize": True} | how
    Image.fromarray(image).save(file, **settings)
    kind = settings["format"].lower()
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _picture(image: np.ndarray, side: int) -> dict[str, object]:
    """Return `image` for the page, made smaller where its longer side exceeds `side` pixels."""
    longer = max(image.shape[:2])
    if longer < 48:  # The few pixels that an early layer sees, shown as pixels.
        return {"uri": _uri(image), "pixelated": True}
    if longer > side:
        size = [max(1, round(length * side / longer)) for length in image.shape[1::-1]]
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    return {"uri": _uri(image, format="WEBP", quality=90, method=2), "pixelated": False}


def _cells(kernel: np.ndarray, limit: float) -> list[tuple[int, int, str, float]]:
    """Return row, column, colour and weight of each square of a kernel's drawing."""
    colours = figures.kernel_colours(kernel, limit)
    return [
        (row, column, "#" + colours[row, column].tobytes().hex(), float(weight))
        for (row, column), weight in np.ndenumerate(kernel)
    ]


def _sprite(tiles: Sequence[np.ndarray], kernel: tuple[int, ...]) -> dict[str, object]:
    """Return all tiles in one image, a pixel for each weight.

    Each has a border that repeats its edge, so that a page zoomed to a fraction shows nothing of
    its neighbours. `kernel` is the shape of the kernels that `figures.kernel_tile` drew.
    """
    (height, width), columns = kernel, 32
    sheet = np.full((-(-len(tiles) // columns) * (height + 2), columns * (width + 2), 3), 255)
    for index, tile in enumerate(tiles):
        side = tile.shape[0] // height
        small = tile[side // 2 :: side, side // 2 :: side]
        if small.shape != (height, width, 3):
            message = f"Tiles of a {height}x{width} kernel have a multiple of its shape."
            raise ValueError(f"{message} Received: {tile.shape} in row {index}.")
        top, left = index // columns * (height + 2), index % columns * (width + 2)
        edged = np.pad(small, ((1, 1), (1, 1), (0, 0)), mode="edge")
        sheet[top : top + height + 2, left : left + width + 2] = edged
    size = {"tall": sheet.shape[0], "wide": sheet.shape[1], "columns": columns}
    zoom = max(2, 30 // max(height, width))
    uri = _uri(sheet.astype(np.uint8))
    return size | {"uri": uri, "height": height, "width": width, "zoom": zoom}


def _table(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return `table` with the words of each cell."""
    columns = {
        key: [entry[key] for entry in table]
        if kind == "words"
        else _aligned([entry[key] for entry in table], kind)
        for key, _, _, kind in COLUMNS
    }
    return [
        {
            "words": {key: words[row] for key, words in columns.items()},
            "mostly": entry["mostly"],
            "ten": entry["in_ten"],
        }
        for row, entry in enumerate(table)
    ]


def _aligned(values: Sequence[float | None], kind: str) -> list[str]:
    """Return the numbers of a column with equally many decimals, so that their points align.

    The largest gets four digits at least, a middling one two.
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


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield dotted names and values of nested settings, as they are typed on the command line."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _breakable(name: str) -> Markup:
    """Return `name`, which a narrow column may break between layer and filter."""
    return escape(name).replace(":", Markup("<wbr>:"))


def _value(value: object, digits: int | None = None) -> str:
    """Return any value in plain words; numbers as they are or in significant `digits`."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return figures.number(float(value), digits=digits) if digits else f"{value:.12g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value)) or "none"
    return str(value)

"""The page of a circuit run: a unit, its strongest inputs and the table of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convscope.report.figures import canvas
from convscope.report.figures.canvas import InputRow, Portrait
from convscope.report.html import aligned, data_uri, flat, render

# Columns of the table of all inputs: key of a row, title, explanation, and kind: words, rank,
# percent, signed (numbers with a plus or minus) or plain numbers.
COLUMNS = (
    ("rank_l2", "#", "Rank by L2", "rank"),
    ("name", "input", "Layer and filter", "words"),
    ("label", "by weight", "Label, and the side the weights lean to", "words"),
    ("effect", "by effect", "Label by what the input does on the photographs", "words"),
    ("l2", "L2", "Root of the summed squared weights", ""),
    ("share", "share", "Part of the summed squared weights of all inputs", "percent"),
    ("mean", "mean", "Expected contribution over the photographs", "signed"),
    ("top_shift", "top shift", "How much more it contributes to strong responses", "signed"),
    ("drive", "drive", "The part of the shift from contributions above zero", "signed"),
    ("release", "release", "The part from contributions below zero that fall silent", "signed"),
    ("ablation", "ablation", "What the mean output loses with it held at its mean", "signed"),
    ("covariance_share", "covariance", "Its part of the variance; all sum to 100 %", "percent"),
    ("functional_sign", "effect sign", "Like the sign index, of its contributions", "signed"),
    ("rank_top_shift", "# shift", "Rank by the size of the top shift, other half", "rank"),
    ("rank_greedy", "# greedy", "Rank in the greedy set by activation, other half", "rank"),
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
    evidence: Mapping[str, object] | None = None,
    by: str = "L2",
    case: object = None,
    character: object = None,
    likeness: np.ndarray | None = None,
    hops: Mapping[str, object] | None = None,
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
        evidence: how faithful the inputs are: `sentence`, `chart`, `rankings`, `needed`, `vetoes`;
            None: not measured.
        by: what the inputs shown were chosen by, in words.
        case: what became of a hypothesis, as case.py has it; None: nothing was asked.
        character: what the unit is tuned to and ignores, as character.py has it; None: unknown.
        likeness: the drawing of that, uint8 `(height, width, 3)`.
        hops: what lies beyond the inputs, as `beyond.section` says it; None: not looked at.

    Raises:
        ValueError: there is no input, or `tiles` do not fit to `table` or to the kernels.
    """
    if not rows or len(tiles) != len(table):
        message = "A report needs at least one input, and a tile for each row of its table."
        received = f"{len(rows)} inputs, {len(tiles)} tiles, {len(table)} rows"
        raise ValueError(f"{message} Received: {received}.")
    return render(
        "circuit.html",
        unit=unit,
        rows=rows,
        columns=COLUMNS,
        table=_table(table),
        sprite=_sprite(tiles, rows[0].kernel.shape),
        limit=limit,
        facts=facts,
        optima=optima,
        settings=flat(settings),
        notes=notes,
        evidence=evidence,
        by=by,
        case=case,
        character=character,
        likeness=likeness,
        hops=hops,
        largest={
            name: max(abs(getattr(row, name) or 0) for row in rows) or 1.0
            for name in ("l2", "mean", "top_shift", "ablation")
        },
        effects=canvas.EFFECTS,
        swatches=canvas.SWATCHES,
        legend=data_uri(canvas.legend_bar(255, 1)),
        cells=_cells,
    )


def _cells(kernel: np.ndarray, limit: float) -> list[tuple[int, int, str, float]]:
    """Return row, column, colour and weight of each square of a kernel's drawing."""
    colours = canvas.kernel_colours(kernel, limit)
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
    uri = data_uri(sheet.astype(np.uint8))
    return size | {"uri": uri, "height": height, "width": width, "zoom": zoom}


def _table(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return `table` with the words of each cell."""
    columns = {
        key: [entry[key] for entry in table]
        if kind == "words"
        else aligned([entry[key] for entry in table], kind)
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

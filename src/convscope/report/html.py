"""What all pages of runs share: templates rendered into one HTML file that asks for nothing.

A page's template extends `page.html`, which has the head, a policy that forbids every request, and
the blocks `title`, `style`, `header`, `main` and `script`; `common.css` styles what the macros of
`parts.html` draw.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup, escape

from convscope import text
from convscope.activations.dataset_examples import shrunk
from convscope.data.photograph import data_uri
from convscope.text import words


def render(template: str, **names: object) -> str:
    """Return a page from the template of this name, one HTML text that makes no network request.

    Beside `names`, a template has filters of text.py and of this file, and the functions `picture`
    and `data_uri`. Values are escaped; a name that is not given is an error.
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
        "number": text.number,
        "fixed": text.fixed,
        "aligned": text.aligned,
        "share": share,
        "percent": text.percent,
        "sortable": sortable,
        "words": words,
        "breakable": breakable,
    }
    environment.globals |= {"picture": picture, "data_uri": data_uri}
    return environment


def picture(image: np.ndarray, side: int) -> dict[str, object]:
    """Return `image` for the page, made smaller where its longer side exceeds `side` pixels."""
    if max(image.shape[:2]) < 48:  # The few pixels that an early layer sees, shown as pixels.
        return {"uri": data_uri(image), "pixelated": True}
    image = shrunk(image, side)
    return {"uri": data_uri(image, format="WEBP", quality=90, method=2), "pixelated": False}


def flat(settings: Mapping[str, object]) -> dict[str, object]:
    """Return dotted names and values of nested settings, as they are typed on the command line."""

    def leaves(group: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
        for key, inner in group.items():
            if isinstance(inner, Mapping) and inner:
                yield from leaves(inner, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", inner

    return dict(leaves(settings, ""))


def sortable(values: Iterable[float | None]) -> str:
    """Return numbers for an attribute that a script sorts by, as JSON; null where there is none."""
    return json.dumps(
        [
            float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
            for value in values
        ]
    )


def share(value: float) -> str:
    """Return a share in percent, which never breaks before its sign."""
    return text.share(value).replace(" ", "\N{NO-BREAK SPACE}")


def breakable(name: str) -> Markup:
    """Return `name`, which a narrow column may break between layer and filter."""
    return escape(name).replace(":", Markup("<wbr>:"))

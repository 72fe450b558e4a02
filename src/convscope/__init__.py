"""Convscope: what a single filter of a convolutional network does, and how.

Each package imports only those to its right; what stands in one pair of brackets never imports each
other. `tests/test_architecture.py` holds the rule.

    run.py > stages > report > hypothesis > (units, circuits, optvis) > activations > models
           > (data, tracking) > settings > (stats, text, unit)

- `stages`: the questions, one file each: what they are asked, how they check it, what they record
- `report`: pages and pictures of what was found
- `hypothesis`: claims about a unit, registered before anything is seen, then tested
- `units`: what one filter responds to: classes, drawn stimuli, moved examples
- `circuits`: which inputs feed it, exactly, and how far few of them explain it
- `optvis`: feature visualization: the image that excites it most
- `activations`: what a layer does on photographs, recorded once and asked many times
- `models`: trained networks, laid out flat; `models/zoo`: where they come from
- `data`: photographs, their classes, WordNet; `tracking`: where results go
- `settings`, `stats`, `text`, `unit`: typed settings, formulas, words, the address of a filter

Open `stages/circuit.py` first: from there every path leads down.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convscope.stages.notebook import circuit, load, optimum, rank

__all__ = ["circuit", "load", "optimum", "rank"]


def __getattr__(name: str) -> Any:
    """Import what a notebook asks for once it does: `convscope.load("vgg16")`."""
    if name not in __all__:
        raise AttributeError(f"module 'convscope' has no attribute {name!r}")
    from convscope.stages import notebook

    return getattr(notebook, name)

"""What a run looks at, checked before TensorFlow is loaded: a network's file and photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from convscope import images, weights
from convscope.precision import device, resolve
from convscope.settings import AscentSettings, ImageSettings, ModelSettings
from convscope.unit import Unit
from convscope.unit import check as check_unit
from convscope.weights import Checkpoint

if TYPE_CHECKING:
    from convscope.network import Network


def check_units(model: ModelSettings, units: Sequence[Unit]) -> None:
    """Raise unless the network has these units, and its weights are there and intact.

    Raises:
        ValueError, FileNotFoundError: unknown layer or filter, missing or damaged weights.
    """
    checkpoint = weights.PACKAGED[model.name]
    for unit in units:
        check_unit(unit, checkpoint.layers, model.name)
    weights.verify(checkpoint, weight_file(model) or weights.locate(checkpoint))


def check_size(
    name: str, size: int | str | tuple[int, ...] | None, checkpoint: Checkpoint, layer: str
) -> None:
    """Raise ValueError if images of `size` pixels, the setting `name`, leave a layer no place."""
    least = checkpoint.strides[layer]
    for side in size if isinstance(size, tuple) else (size,):
        if isinstance(side, int) and side < least:
            raise ValueError(
                f"{name}={side} leaves no position at {layer}, where they lie {least} pixels"
                f" apart. Give {name}={4 * least} or more."
            )


def check_canvas(ascent: AscentSettings, model: ModelSettings, layer: str) -> None:
    """Raise ValueError if the canvas, or what is cut from it, is too small for a layer."""
    checkpoint = weights.PACKAGED[model.name]
    check_size("ascent.size", ascent.size, checkpoint, layer)
    check_size("ascent.view", ascent.view, checkpoint, layer)


def check_photographs(settings: ImageSettings, model: ModelSettings, layer: str) -> None:
    """Raise unless there is a photograph that can be read, shown large enough for a layer.

    Raises:
        ValueError, FileNotFoundError: no folder, no image in it, none that can be read.
    """
    check_size("images.size", settings.size, weights.PACKAGED[model.name], layer)
    for path in photographs(settings):
        try:
            images.load(path)
        except ValueError:
            continue
        return
    raise ValueError(f"images.root={settings.root} holds no image that can be read.")


def check_picture(name: str, given: str | None) -> None:
    """Raise ValueError unless the setting `name` gives the path of a picture, or nothing."""
    if given is None:
        return
    path = Path(given).expanduser()
    try:
        images.load(path)
    except ValueError as error:
        raise ValueError(
            f"{name}={given} is no picture: {error}. Give the path of a PNG, JPEG or WebP file."
        ) from error


def weight_file(model: ModelSettings) -> Path | None:
    """Return the file that the weights come from; None is the packaged one."""
    return Path(model.weights).expanduser() if model.weights else None


def photographs(settings: ImageSettings) -> tuple[Path, ...]:
    """Return the files that are shown to the network.

    Raises:
        FileNotFoundError: there are none.
    """
    if settings.root is not None:
        return images.folder(Path(settings.root).expanduser())
    return images.samples()


def provenance(
    network: Network,
    settings: ImageSettings,
    paths: Sequence[Path],
    skipped: int,
    precision: str,
) -> dict[str, object]:
    """Return where the results of a run come from, for its summary."""
    return {
        "model": network.name,
        "weights": asdict(network.weights),
        "images": {
            "name": settings.name,
            "count": len(paths),
            "sha256": images.fingerprint(paths),
            "skipped": skipped,
        },
        "device": device(),
        "precision": resolve(precision),
    }

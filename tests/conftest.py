"""What several tests share: the real network, loaded once, and photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from convscope.models.network import Network


PHOTOGRAPHS = Path(__file__).parents[2] / "shared" / "images"


@pytest.fixture(scope="session")
def vgg16() -> Network:
    """The real network with its packaged weights; nobody may change it."""
    from convscope.models.zoo.packaged import load

    return load("vgg16")


@pytest.fixture(scope="session")
def alexnet() -> Network:
    """The real network with its packaged weights; nobody may change it."""
    from convscope.models.zoo.packaged import load

    return load("alexnet")


@pytest.fixture(scope="session")
def efficientnet_lite0() -> Network:
    """The real network with its packaged weights; nobody may change it."""
    from convscope.models.zoo.packaged import load

    return load("efficientnet_lite0")


@pytest.fixture(scope="session")
def photographs() -> tuple[Path, ...]:
    """Real photographs of ImageNet's validation set, of many sizes."""
    if not PHOTOGRAPHS.is_dir():
        pytest.skip(f"the photographs in {PHOTOGRAPHS} are not part of the repository")
    from convscope.data import dataset

    return dataset.folder(PHOTOGRAPHS)

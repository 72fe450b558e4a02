"""Settings as a user's command would make them, from the files in conf/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from convscope.settings import AscentSettings, read

CONF = Path(__file__).parents[1] / "conf"


def values_of(group: str, option: str) -> dict[str, Any]:
    """Return the values of one file in conf/."""
    plain: Any = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
    return plain


def ascent(option: str = "fourier", **changed: object) -> AscentSettings:
    """Return the settings of ascent=<option>, some of them changed."""
    return read(AscentSettings, {**values_of("ascent", option), **changed}, "ascent")

"""Settings as a user's command would make them, from the files in conf/, and runs with them."""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from convscope.hypothesis.preregistration import HypothesisSettings
from convscope.settings import AscentSettings, FilesTracker, ModelSettings, read
from convscope.tracking.tracker import track

CONF = Path(__file__).parents[1] / "conf"


def values_of(group: str, option: str) -> dict[str, Any]:
    """Return the values of one file in conf/."""
    plain: Any = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
    return plain


def ascent(option: str = "fourier", **changed: object) -> AscentSettings:
    """Return the settings of ascent=<option>, some of them changed."""
    return read(AscentSettings, {**values_of("ascent", option), **changed}, "ascent")


def hypothesis(option: str = "none", **changed: object) -> HypothesisSettings:
    """Return the settings of hypothesis=<option>, some of them changed."""
    return read(HypothesisSettings, {**values_of("hypothesis", option), **changed}, "hypothesis")


def model(name: str | None, option: str | None = None, **changed: object) -> ModelSettings:
    """Return the settings of model=<option>, by default the network's name, some changed."""
    named = {} if name is None else {"name": name}
    return read(ModelSettings, {**values_of("model", option or str(name)), **named, **changed})


def settings(stage: Any, *words: str) -> Any:
    """Return the settings of a stage, a module, as a command with these words would make them."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [f"stage={stage.__name__.rpartition('.')[2]}", *words])
    whole: Any = OmegaConf.to_container(cfg, resolve=True)
    own = {field.name for field in fields(stage.Settings)}
    return read(stage.Settings, {name: value for name, value in whole.items() if name in own})


def run(stage: Any, folder: Path, *words: str) -> Path:
    """Run a stage in a folder, with files only, and return the folder."""
    asked = settings(stage, *words)
    stage.check(asked)
    folder.mkdir(parents=True, exist_ok=True)
    files = FilesTracker("files")
    names: Any = {"stage": asked.stage.name, "name": "test", "group": None, "tags": ()}
    with track(folder, files, config=asdict(asked), **names) as tracker:
        stage.run(asked, tracker)
    return folder


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a user who lives in `home` and has set nothing for W&B."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return {**plain, "HOME": str(home)}

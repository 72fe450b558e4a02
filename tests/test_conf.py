"""The YAML files and the dataclasses say the same, and each value is explained where it stands."""

import importlib
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from convscope.hypothesis.preregistration import HypothesisSettings
from convscope.settings import AscentSettings, ImageSettings, ModelSettings, TrackerSettings, read

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
KINDS: dict[str, type] = {
    "model": ModelSettings,
    "images": ImageSettings,
    "ascent": AscentSettings,
    "tracker": TrackerSettings,
    "hypothesis": HypothesisSettings,
}
OPTIONS = [(group, path.stem) for group in KINDS for path in sorted((CONF / group).glob("*.yaml"))]
STAGES = sorted(path.stem for path in (CONF / "stage").glob("*.yaml"))


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", list(overrides))
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    return plain


@pytest.fixture(autouse=True)
def _no_mode_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_of_every_group_reads_into_its_dataclass(group: str, option: str) -> None:
    values = composed(f"{group}={option}")[group]
    known = {"root": "photos", "name": option, "path": f"{option}.keras", "preprocess": "none"}
    for key, value in values.items():
        if value == "???":  # what only the user knows
            values[key] = known[key]
    made: Any = read(KINDS[group], values, group)
    assert group == "ascent" or made.name in (option, None)


def test_every_group_folder_is_known_here() -> None:
    folders = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert folders == {*KINDS, "stage", "hydra"}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_reads_the_whole_config_and_nothing_of_it_is_left_over(stage: str) -> None:
    module: Any = importlib.import_module(f"convscope.stages.{stage}")
    whole = composed(f"stage={stage}", "layer=block4_conv3", "filter=17")
    assert whole["stage"]["name"] == stage
    rest = {name: value for name, value in whole.items() if name not in ("outputs", "tracker")}
    unused = rest.keys() - {field.name for field in fields(module.Settings)}
    few = {"layer", "filter", "seed", "ascent", "hypothesis"}
    others = {
        "rank": {"ascent", "hypothesis"},
        "maximize": {"hypothesis"},
        "classify": few,
        "layers": few | {"images"},
    }
    assert unused == others.get(stage, set())
    read(module.Settings, {name: value for name, value in rest.items() if name not in unused})


def test_the_stages_of_run_py_and_of_the_help_are_the_files_of_the_stage_group() -> None:
    code = "import run; print(*sorted(run.STAGES)); print(run.launch.usage(run.CONF))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert told.splitlines()[0].split() == STAGES
    for stage in STAGES:
        assert f"python run.py stage={stage} " in told


def test_every_value_has_a_comment_beside_it() -> None:
    bare = []
    for path in sorted(CONF.rglob("*.yaml")):
        if path.is_relative_to(CONF / "hydra"):
            continue
        lines = path.read_text().splitlines()
        assert path.name == "config.yaml" or lines[0].startswith("# "), path
        body = "\n".join(lines).partition("\nhydra:")[0].splitlines()
        values = [line for line in body if line.strip() and not line.startswith(("#", "defaults"))]
        # The name of an option explains itself.
        bare += [
            f"{path.name}: {line}"
            for line in values
            if " # " not in line
            and not line.lstrip().startswith(
                ("name: ", "- _self_", "- override", "parameterization: ")
            )
            and not line.startswith("project: ")
        ]
    assert bare == []


def test_wandb_is_offline_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert composed()["tracker"]["mode"] == "offline"
    monkeypatch.setenv("WANDB_MODE", "online")
    assert composed()["tracker"]["mode"] == "online"

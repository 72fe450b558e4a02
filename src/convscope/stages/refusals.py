"""What is wrong with a request, in one line: what was given, what is accepted, what to do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from convscope.settings import unknown
from convscope.text import closest, listed, meant, one_line

# The plugins of Hydra that an extra of this project installs, and which.
EXTRAS = {
    "optuna": "optuna", "joblib": "parallel", "submitit_slurm": "slurm", "submitit_local": "slurm",
    "ray": "ray",
}  # fmt: skip


class Refusal(Exception):
    """The request is wrong; the text is the line that says so."""


@contextmanager
def in_one_line() -> Iterator[None]:
    """Raise what is wrong with a request as a Refusal; a fault of the code stays what it is."""
    try:
        yield
    except MissingMandatoryValue as error:
        key = error.full_key
        raise Refusal(f"{key} is missing. Add {key}=... to the command.") from error
    except (OmegaConfBaseException, ValueError, OSError, ImportError, RecursionError) as error:
        raise Refusal(one_line(error)) from error


def no_stage(stages: Sequence[str]) -> str:
    """Return what is said where no stage is chosen."""
    choices = listed([f"stage={name}" for name in stages], "or")
    return f"No stage is chosen. Add {choices}; --help shows an example for each."


def worded(error: BaseException, conf: Path, stages: Sequence[str]) -> str:
    """Return one line for an error of Hydra's."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override, stages)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return _absent(group, option) or (
            f"There is no {group} '{option}'. {group} takes {', '.join(error.options)}."
            + meant(option, error.options)
        )
    absent = re.search(r"Could not load 'hydra/(sweeper|launcher)/(\w+)'", text)
    if absent and (line := _absent(f"hydra/{absent[1]}", absent[2])):
        return line
    if several := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.+)'", text):
        key, _, value = several[1].partition("=")
        return (
            f"{several[1]} has several values. Add -m to run one job for each, or write"
            f" '{key}=[{value}]' if it is one list."
        )
    cause = getattr(error.__cause__, "parent_node", None)
    if (found := re.match(r"Could not override '(.+?)'", text)) and cause is not None:
        tree: Any = OmegaConf.to_container(cause._get_root(), resolve=False)
        if found[1].startswith("stage.") and "stage" not in tree:
            return no_stage(stages)
        if not found[1].startswith("hydra."):
            del tree["hydra"]
        return _elsewhere(found[1], conf) or unknown(found[1], list(_dotted(tree)))
    if twice := re.match(r"Multiple values for (\S+?)\.", text):
        return f"{twice[1]} is given more than once. Give it once."
    if text.startswith("Config group override must be"):
        named = [given for given in sys.argv[1:] if re.match(r"[\w/@]+=", given)]
        groups = [given for given in named if (conf / given.partition("=")[0]).is_dir()]
        if groups:
            return f"{' '.join(groups)}: a group takes the name of an option; --help lists them."
    text = re.split(r"\s*\n?(?:Config search path|Search path):", text)[0]
    return " ".join(f"{text} {error.__cause__ or ''}".split())


def flags(told: str) -> str:
    """Return one line for what argparse says about flags in several."""
    last = re.sub(r"^\S+: error: ", "", told.strip().rpartition("\n")[2])
    if re.match(r"unrecognized arguments: [^-]", last):
        return f"{last}. Flags like -m stand before all settings or after them."
    return f"{last}. Settings are given as key=value, without dashes; --help shows them."


def _unreadable(given: str, stages: Sequence[str]) -> str:
    if "=" not in given:
        near = closest(given, stages)
        advice = f" Did you mean stage={near}?" if near else ""
        return f"{given!r} is no setting. Settings are given as key=value.{advice}"
    return (
        f"{given!r} cannot be read. A value with spaces, letters beyond a-z or any of"
        " ,=:()[]{}'\" is quoted twice, as in 'images.root=\"/my photos (1)\"'."
    )


def _absent(group: str, option: str) -> str:
    """Return the sentence for an option that an extra would install, "" for others."""
    if extra := EXTRAS.get(option):
        return f"{group}={option} is not installed. Install it with: uv sync --extra {extra}"
    return ""


def _elsewhere(key: str, conf: Path) -> str:
    """Return the sentence for a setting that only other options of its group have, or ""."""
    group, _, name = key.partition(".")
    trees = {path.stem: OmegaConf.load(path) for path in sorted((conf / group).glob("*.yaml"))}
    options = [f"{group}={option}" for option, tree in trees.items() if name in list(tree)]
    if not options:
        return ""
    return f"{key} is a setting of {listed(options, 'or')}. Leave it out, or add {options[0]}."


def _dotted(tree: Any, place: str = "") -> Iterator[str]:
    """Yield the dotted names of all keys of a tree."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield f"{place}{key}"
        yield from _dotted(value, f"{place}{key}.")

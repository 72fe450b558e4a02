"""Answer one question about a convolutional network: compose the config, run one stage.

    python run.py stage=circuit layer=block4_conv3 filter=17

Exit codes: 0 done, 1 failed, 2 the request was wrong and nothing was done, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from convscope.stages import launch, refusals
from convscope.tracking import multirun

# Hydra hands its errors over as they are, so that they can be said in one line.
os.environ["HYDRA_FULL_ERROR"] = "1"

CONF = Path(__file__).resolve().parent / "conf"

# A stage is a module with Settings, check(settings) and run(settings, tracker). It is imported
# when it is chosen, and imports TensorFlow only in run, so that a refusal takes no time.
STAGES = {
    "classify": "convscope.stages.classify",  # does the network see?
    "layers": "convscope.stages.layers",  # which layers can one ask about?
    "maximize": "convscope.stages.maximize",  # which image excites a filter most?
    "rank": "convscope.stages.rank",  # which photographs, and which classes, excite it most?
    "circuit": "convscope.stages.circuit",  # which filters before it excite or inhibit it?
}

Announced = launch.Announced  # conf/config.yaml finds it by the name of this file


def main() -> int:
    """Run what the command line asks for and return the exit code."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(launch.usage(CONF))
        return 0
    return launch.command(job, CONF, STAGES)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float | None:
    """Run one job and return its activation, for a sweeper that searches.

    It says how the job ended and raises what ended it, for Hydra to know it too.
    """
    with launch.job(cfg) as this:
        with refusals.in_one_line():
            values = launch.plain(cfg, STAGES)
            stage = importlib.import_module(STAGES[values["stage"]["name"]])
            own, settings = launch.read_settings(values, stage.Settings, this.overrides)
            stage.check(settings)
        with this.opened(values, own) as tracker:
            stage.run(settings, tracker)
    return multirun.activation(tracker.directory)


if __name__ == "__main__":
    # Not main() itself: conf/ and the processes of a launcher find things by the name of this file.
    sys.exit(importlib.import_module("run").main())

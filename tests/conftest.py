"""What several tests share: the real network, loaded once, and photographs."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from convscope.models.network import Network


ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "run.py"
PHOTOGRAPHS = ROOT.parent / "shared" / "images"


def pytest_collection_finish() -> None:
    """Spare the collector what has been imported: it would look through it again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def packaged() -> Callable[[str], Network]:
    """Give a packaged network by its name, each loaded once; nobody may change it."""
    from convscope.models.zoo.packaged import load

    return cache(load)


@pytest.fixture(scope="session")
def vgg16(packaged: Callable[[str], Network]) -> Network:
    """The real network with its packaged weights; nobody may change it."""
    return packaged("vgg16")


@pytest.fixture(scope="session")
def alexnet(packaged: Callable[[str], Network]) -> Network:
    """The real network with its packaged weights; nobody may change it."""
    return packaged("alexnet")


@pytest.fixture(scope="session")
def efficientnet_lite0(packaged: Callable[[str], Network]) -> Network:
    """The real network with its packaged weights; nobody may change it."""
    return packaged("efficientnet_lite0")


@pytest.fixture(scope="session")
def photographs() -> tuple[Path, ...]:
    """Real photographs of ImageNet's validation set, of many sizes."""
    if not PHOTOGRAPHS.is_dir():
        pytest.skip(f"the photographs in {PHOTOGRAPHS} are not part of the repository")
    from convscope.data import dataset

    return dataset.folder(PHOTOGRAPHS)


@pytest.fixture(scope="session")
def curves_of() -> Callable[..., Any]:
    """Give the curves of a part whose norms fall with the number of the input."""
    import numpy as np

    from convscope.circuits.effects import measure, orders
    from convscope.circuits.faithfulness import faithfulness
    from convscope.stats import bootstrap

    def made(given, count=3, draws=200):
        weights = bootstrap.draws(given.photographs, 0, draws)
        found = measure(given, 0.2, weights)
        ranked = orders(np.arange(given.u.shape[1])[::-1], found, given, count)
        shown = ranked["l2"][:count]
        return ranked, faithfulness(given, ranked, shown, found.ablation_top, weights, 0)

    return made


# The command line

# A stage that is over at once, with the settings of a real one. Filters 13, 14 and 15 end badly.
STAGE = """
import time
from dataclasses import dataclass
import numpy as np
from convscope.settings import AscentSettings, ImageSettings, ModelSettings

@dataclass(frozen=True)
class Stage:
    name: str
    hypothesis: str | None
    character: bool
    objective: str
    by: str
    inputs: int
    crops: int
    positions: int
    mixed: float
    negligible: float
    depth: int
    branches: int

@dataclass(frozen=True)
class Settings:
    layer: str
    filter: int
    seed: int
    stage: Stage
    model: ModelSettings
    images: ImageSettings
    ascent: AscentSettings

def check(settings):
    if settings.layer == "fault":
        raise TypeError("a fault of the code")
    if not settings.layer.startswith("block"):
        raise ValueError(f"vgg16 has no layer {settings.layer!r}.\\n  Did you mean 'block'?")

def run(settings, tracker):
    tracker.log({"ascent/score": 1.5}, step=0)
    tracker.image("unit-1", np.full((5, 7, 3), 9, np.uint8))
    tracker.summarize({"stage": "circuit", "circuit/activation": 2.5})
    tracker.summarize({"circuit/picture": "images/unit-1.png"})
    if settings.filter == 13:
        raise RuntimeError("unlucky\\nnumber")
    if settings.filter == 14:
        raise ValueError("a wrong value inside")
    if settings.filter == 15:
        tracker.say("waiting")
        time.sleep(60)
    tracker.page("report", "<p>report</p>")
"""
LAUNCH = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
import run
run.STAGES["circuit"] = "stage_of_the_test"
sys.exit(run.main())
"""


class Ended:
    """A process that is over: its exit code and the lines it has shown."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out.splitlines(), err.splitlines()

    @property
    def line(self) -> str:
        (line,) = self.err
        return line


class Shell:
    """A place to give commands: an empty folder and an empty home."""

    SUMMARY = frozenset(
        {"jobs.jsonl", "run.log", "summary.json", "sweep.csv", "sweep.html", "sweep.png"}
    )
    """The files that a multirun leaves of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder / "work", folder / "home"
        self.fake = folder / "launch.py"
        self.fake.write_text(LAUNCH.format(root=str(ROOT), here=str(folder)))
        (folder / "stage_of_the_test.py").write_text(STAGE)
        self.folder.mkdir()
        self.home.mkdir()
        outside = ("WANDB_", "HYDRA_", "XDG_", "COMP_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(outside)}
        self.environment = kept | {"HOME": str(self.home), "PYTHONIOENCODING": "utf-8"}

    def start(self, *arguments: str, script: Path) -> subprocess.Popen[str]:
        # W&B leaves a folder of its tables to be removed when Python ends.
        strict = ["-W", "error", "-W", "ignore:Implicitly"] if script == self.fake else []
        return subprocess.Popen(
            [sys.executable, *strict, str(script), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where the tests run in the background, Ctrl-C is ignored, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            start_new_session=True,
        )

    def real(self, *arguments: str) -> Ended:
        return self._end(self.start(*arguments, script=RUN))

    def __call__(self, *arguments: str) -> Ended:
        return self._end(self.start(*arguments, script=self.fake))

    def signalled(self, number: int, *arguments: str) -> Ended:
        """Send a signal, as a terminal does to all processes, once the stage waits."""
        process = self.start(*arguments, script=self.fake)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            logs = [path.read_text() for path in self.folder.rglob("run.log")]
            if any("waiting" in log for log in logs):
                break
            time.sleep(0.05)
        os.killpg(process.pid, number)
        return self._end(process)

    def files(self) -> list[str]:
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*"))
        return sorted(str(path) for path in found if "wandb" not in path.parts)

    def run_folder(self) -> Path:
        (folder,) = (path.parent for path in self.folder.rglob("run.log"))
        return folder

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> Ended:
        out, err = process.communicate(timeout=250)
        return Ended(process.returncode, out, err)


@pytest.fixture
def say(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """Yield what gives commands to run.py, with the stage of the test, in this process."""
    handler = signal.getsignal(signal.SIGTERM)
    # A job collects when it ends, which takes long with all that the tests have made before.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    for name in [name for name in os.environ if name.startswith(("WANDB_", "HYDRA_"))]:
        monkeypatch.delenv(name)
    for name in ("TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "1")  # run.py sets them when it is imported, here for a test only
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.syspath_prepend(str(shell.fake.parent))
    monkeypatch.chdir(shell.folder)
    run: Any = importlib.import_module("run")

    def command(*arguments: str, stage: str = "stage_of_the_test") -> Ended:
        monkeypatch.setitem(run.STAGES, "circuit", stage)
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        capfd.readouterr()
        code = run.main()
        return Ended(code, *capfd.readouterr())

    yield command
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)

"""The import rule, and the other lines that the code does not cross."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "convscope"

# The rule: a package imports only what stands to its right, and nothing that stands beside it.
RULE = (
    "run > stages > report > hypothesis > (units, circuits, optvis) > activations > models"
    " > (data, tracking) > settings > (stats, text, unit)"
)
LEVELS = [level.strip(" ()").split(", ") for level in RULE.split(">")]

# Packages that a few places alone know about: (where, and whether only inside functions).
HOMES = {
    "tensorflow": ("models.backend", False),
    "keras": ("models.backend", False),
    "hydra": ("run stages.launch stages.refusals", False),
    "omegaconf": ("run stages.launch stages.refusals", False),
    "wandb": ("tracking.wandb", True),
    "rich": ("tracking.tracker", False),
    "jinja2": ("report.html", False),
    "markupsafe": ("report.html", False),
    "matplotlib": ("report.figures", True),
    "skimage": ("", True),  # located for its photographs, never imported
}
WITH_TENSORS = {"models", "activations", "optvis", "circuits", "units"}  # they import the backend

# Packages that return or yield what they find: they show, write and time nothing.
PURE = {"report", "hypothesis", "circuits", "units", "optvis", "stats", "text", "unit"}
OUTSIDE = {"time", "datetime", "logging", "hydra", "omegaconf", "wandb", "rich"}
WRITING = {first + last for first in "wax" for last in ("", "b", "t", "+")} | {"r+", "r+b"}
WRITERS = {"write_text", "write_bytes", "mkdir", "touch", "save", "savez", "savez_compressed"}

EMPTY_WORDS = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}


@cache
def sources() -> dict[str, str]:
    """Return the text of run.py and of every module, by dotted name without the package's."""
    home = ROOT / "src" / PACKAGE
    names = {path: path.relative_to(home).with_suffix("").parts for path in home.rglob("*.py")}
    found = {".".join(parts): path.read_text() for path, parts in names.items()}
    return found | {"run": (ROOT / "run.py").read_text()}


def level(module: str) -> int | None:
    """Return how far below the top a module's package stands; None where it has no place."""
    package = module.partition(".")[0]
    return next((depth for depth, names in enumerate(LEVELS) if package in names), None)


def imports(node: ast.AST, late: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each imported dotted name, and whether it waits inside a function.

    What stands below `if TYPE_CHECKING` counts like any other: types point downwards too.
    """
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Import):
            yield from ((alias.name, late) for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            parent = "." * inner.level + (inner.module or "")
            yield from ((f"{parent}.{alias.name}", late) for alias in inner.names)
        elif isinstance(inner, ast.stmt | ast.ExceptHandler):
            waits = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from imports(inner, late or waits)


def inner_imports(tree: ast.Module, modules: set[str]) -> set[str]:
    """Return the modules of this code base among the imports."""
    found = set()
    for name, _ in imports(tree):
        parts = name.split(".")
        if parts[0] == "run":
            found.add("run")
        elif parts[0] == PACKAGE:
            names = [".".join(parts[1:end]) for end in range(len(parts), 1, -1)]
            found.add(next((name for name in names if name in modules), ".".join(parts[1:])))
    return found


def import_complaints(module: str, tree: ast.Module, modules: set[str]) -> Iterator[str]:
    """Yield where a module imports what it may not."""
    mine, package = level(module), module.partition(".")[0]
    if mine is None:
        yield f"{module} lies in no package of the rule"
        return
    for other in sorted(inner_imports(tree, modules)):
        its = level(other)
        if its is None:
            yield f"{module} imports {other}, which lies in no package of the rule"
        elif other.partition(".")[0] != package and its <= mine:
            yield f"{module} imports {other}, which is not below it"
        elif other == "models.backend" and package not in WITH_TENSORS:
            yield f"{module} imports TensorFlow, which belongs to {', '.join(sorted(WITH_TENSORS))}"
    for name, late in imports(tree):
        outer = name.split(".")[0]
        if not outer:
            yield f"{module} imports {name} relatively"
        places, waits = HOMES.get(outer, (module, False))
        if not any(f"{module}.".startswith(f"{place}.") for place in places.split()):
            yield f"{module} imports {outer}, which belongs to {places or 'no one'}"
        if waits and not late:
            yield f"{module} imports {outer} before it is needed"


def circles(trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """Yield a circle of modules that import each other, if there is one."""
    graph = {module: inner_imports(tree, set(trees)) - {module} for module, tree in trees.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"{' > '.join(reversed(error.args[1]))} import each other in a circle"


def pure_complaints(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield where a module that only computes shows, writes or times something."""
    for name, _ in imports(tree):
        if name.split(".")[0] in OUTSIDE or name.startswith(f"{PACKAGE}.tracking.tracker"):
            yield f"{module} imports {name}, but it only computes"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr"):
            yield f"{module} uses {ast.unparse(node)}, but it only computes"
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        # An image that is encoded in memory is not written anywhere.
        held = node.args and ast.unparse(node.args[0]) in ("file", "buffer")
        given = [*node.args, *(word.value for word in node.keywords if word.arg == "mode")]
        words = {argument.value for argument in given if isinstance(argument, ast.Constant)}
        writes = called == "open" and words & WRITING
        if called == "print" or (called in WRITERS and not held) or writes:
            yield f"{module} calls {called}, but it only computes"


def shape_complaints(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield what is wrong with a module's name, its docstring or the way it loads others."""
    for word in set(module.replace(".", "_").split("_")) & EMPTY_WORDS:
        yield f"{module} is named {word}, which says nothing"
    if not ast.get_docstring(tree):
        yield f"{module} has no docstring"
    if module.endswith(".__init__") and len(tree.body) > 1:
        yield f"{module} holds code"
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {getattr(one, "attr", getattr(one, "id", "")) for one in called}
    if names & {"import_module", "__import__"} and module not in ("run", "__init__"):
        yield f"{module} imports by a name that cannot be read here"


def module_complaints(module: str, tree: ast.Module, modules: set[str]) -> Iterator[str]:
    """Yield what one module may not do."""
    yield from shape_complaints(module, tree)
    if not module.endswith("__init__"):
        yield from import_complaints(module, tree, modules)
    if module.partition(".")[0] in PURE:
        yield from pure_complaints(module, tree)


def complaints(texts: Mapping[str, str]) -> list[str]:
    """Return a line for each thing that the modules may not do."""
    trees = {module: ast.parse(text) for module, text in texts.items()}
    lines = [
        line for one, tree in trees.items() for line in module_complaints(one, tree, set(trees))
    ]
    return lines + list(circles(trees))


def loaded(code: str) -> set[str]:
    """Return the slow packages that are loaded after `code` ran in a new interpreter."""
    slow = {"tensorflow", "keras", "wandb", "matplotlib", "skimage"}
    ask = f"{code}\nimport sys; print(*({slow!r} & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.split())


def test_the_code_keeps_to_its_architecture():
    assert complaints(sources()) == []


def test_every_package_has_a_place_in_the_rule_and_every_place_a_package():
    packages = {name.partition(".")[0] for name in sources()} - {"__init__"}
    assert packages == {name for names in LEVELS for name in names}


@pytest.mark.parametrize(
    "module", ["run", *(f"convscope.stages.{path.stem}"
                        for path in (ROOT / "src" / PACKAGE / "stages").glob("[a-z]*.py")
                        if "def check(" in path.read_text())],
)  # fmt: skip
def test_a_refused_request_waits_for_no_slow_package(module):
    assert loaded(f"import {module}") == set()


def test_an_answer_from_the_index_waits_for_no_tensorflow():
    pages = "convscope.report.rank, convscope.report.filters"
    assert loaded(f"import {pages}, convscope.units.responses") == set()


def test_a_slow_package_would_be_noticed():
    assert loaded("import matplotlib") == {"matplotlib"}


@pytest.mark.parametrize(
    ("module", "code", "complaint"),
    [
        ("unit", "import convscope.models.network", "imports models.network, which is not below"),
        ("unit", "from convscope.models import network", "models.network, which is not below it"),
        ("unit", "def f():\n import convscope.models.network", "which is not below it"),
        ("unit", "if TYPE_CHECKING:\n from convscope.models import network", "is not below it"),
        ("text", "import convscope.unit", "imports unit, which is not below it"),
        (
            "units.tuning",
            "from convscope.optvis import ascent",
            "optvis.ascent, which is not below",
        ),
        ("circuits.paths", "from convscope.units.tuning import Tuning", "which is not below it"),
        ("tracking.files", "from convscope.data import views", "data.views, which is not below it"),
        ("report.html", "import run", "imports run, which is not below it"),
        ("stages.rank", "import convscope.colours", "imports colours, which lies in no package"),
        ("colours", "", "colours lies in no package of the rule"),
        ("unit", "import convscope.unit\nimport convscope.text", "which is not below it"),
        ("models.network", "from . import unit", "relatively"),
        ("models.network", "from ..unit import Unit", "relatively"),
        ("stages.rank", "from omegaconf import OmegaConf", "omegaconf, which belongs to run"),
        ("tracking.tracker", "import hydra", "hydra, which belongs to run"),
        (
            "models.network",
            "import tensorflow as tf",
            "tensorflow, which belongs to models.backend",
        ),
        ("stages.rank", "from convscope.models.backend import tf", "imports TensorFlow, which"),
        ("stages.rank", "def f():\n import wandb", "wandb, which belongs to tracking.wandb"),
        ("tracking.wandb", "import wandb", "wandb before it is needed"),
        ("tracking.wandb", "try:\n from wandb import Image\nexcept ImportError:\n pass", "before"),
        ("report.figures.canvas", "from matplotlib.figure import Figure", "before it is needed"),
        ("report.circuit", "def f():\n import matplotlib", "belongs to report.figures"),
        ("report.circuit", "import jinja2", "jinja2, which belongs to report.html"),
        ("data.dataset", "def f():\n import skimage", "skimage, which belongs to no one"),
        ("optvis.ascent", "from convscope.tracking.tracker import Tracker", "but it only computes"),
        ("optvis.ascent", "from time import perf_counter", "perf_counter, but it only computes"),
        ("circuits.weights", "print(1)", "calls print, but it only computes"),
        ("circuits.weights", "open('table.csv', 'w')", "calls open, but it only computes"),
        ("circuits.weights", "path.open(mode='a')", "calls open, but it only computes"),
        ("circuits.weights", "path.write_text('')", "calls write_text, but it only computes"),
        ("report.figures.canvas", "Image.fromarray(page).save(path)", "calls save, but it only"),
        ("circuits.weights", "sys.stderr.write('')", "uses sys.stderr, but it only computes"),
        ("stages.utils", "", "is named utils, which says nothing"),
        ("data.image_helpers", "", "is named helpers, which says nothing"),
        ("stages.__init__", "from convscope.stages import circuit", "holds code"),
        ("report.html", "importlib.import_module('run')", "by a name that cannot be read here"),
    ],
)
def test_what_crosses_a_line_is_named(module, code, complaint):
    tree = ast.parse(f'"""Bad."""\n{code}\n')
    found = module_complaints(module, tree, {*sources(), module})
    assert any(complaint in line and module in line for line in found)


def test_a_circle_inside_a_package_is_named():
    texts = {"data.views": '"""A."""\nimport convscope.data.labels\n',
             "data.labels": '"""B."""\nfrom convscope.data import views\n'}  # fmt: skip
    [complaint] = complaints(texts)
    assert "data.views" in complaint and "data.labels" in complaint and "circle" in complaint


def test_a_module_without_docstring_is_named():
    assert complaints({"unit": "import math\n"}) == ["unit has no docstring"]


def test_reading_a_file_is_no_crime():
    code = '"""Good."""\nopen("a.csv")\nopen("a.csv", "rb")\nImage.open(path)\n'
    assert complaints({"stats.roc": code}) == []

"""What stands in two places says the same."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_export_with_hashes_pins_what_the_project_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    exported = (ROOT / "requirements.txt").read_text()
    lines = {line.split(" ")[0] for line in exported.splitlines() if "==" in line}
    assert set(project["dependencies"]) <= lines
    assert exported.count("==") == sum("==" in line for line in exported.splitlines())
    assert "--hash=sha256:" in exported
    assert "://" not in exported


def test_the_readme_starts_with_the_two_commands_that_do_everything():
    block = (ROOT / "README.md").read_text().split("```bash\n")[1].split("```")[0]
    main_job, tests = block.splitlines()
    assert main_job.endswith("uv run python run.py stage=circuit layer=block4_conv3 filter=17")
    assert tests.endswith("uv run pytest")

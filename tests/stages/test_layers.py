"""The stage that lists what one can ask about."""

import csv
import json

import asked

from convscope.stages import layers


def test_every_layer_of_a_network_is_listed_in_a_table_and_a_page(tmp_path):
    words = ("model=alexnet",)
    layers.check(asked.settings(layers, *words))
    folder = asked.run(layers, tmp_path / "run", *words)
    with (folder / "tables" / "layers.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["layer"] for row in table] == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["stage"], summary["model"]) == ("layers", "alexnet")
    assert summary["layers/layers"] == 5 and summary["layers/filters"] == 1152
    assert summary["layers/classes"] is None
    assert "none: it has no classifier" in (folder / "report.html").read_text()

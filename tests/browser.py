"""Open a page in the real browser and ask it; read its tags and images without one."""

import base64
import io
import json
import re
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHROMIUM = Path("/usr/bin/chromium")
needs_browser = pytest.mark.skipif(
    not CHROMIUM.exists(), reason="pages act in a browser: /usr/bin/chromium is not installed"
)

# What tests ask a gallery with, in the page itself.
TOOLS = """
const find = (name) => document.getElementById(name);
const tiles = () => [...document.querySelectorAll("#grid .tile")].filter((one) => !one.hidden);
const numbers = () => tiles().map((one) => Number(one.hash.split("-")[1]));
const type = (words) => {
  find("search").value = words;
  find("search").dispatchEvent(new Event("input"));
  return numbers();
};
const order = (key) => {
  find("sort").value = key;
  find("sort").dispatchEvent(new Event("change"));
  return numbers();
};
const press = (key, where = document.activeElement) =>
  where.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const title = () => find("view-title").textContent;
const soon = (ready) => new Promise((tell) => {
  const look = () => (ready() ? tell(true) : setTimeout(look, 10));
  look();
});
"""


def tags(page: str) -> list[tuple[str, dict[str, Any]]]:
    """All tags of a page with their attributes."""
    found: list[tuple[str, dict[str, Any]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Reader().feed(page)
    return found


def decoded(uri: str) -> np.ndarray:
    """Return the image in a data URI."""
    data = base64.b64decode(uri.split(",", 1)[1], validate=True)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def browse(page: str, script: str, folder: Path, anchor: str = "") -> dict[str, Any]:
    """Return what `script`, the body of an async function, answers once `page` was opened."""
    call = f"(async () => {{{script}}})()"
    answer = "document.body.dataset.found = btoa(unescape(encodeURIComponent(JSON.stringify(it))))"
    probe = f"<script>onload = () => {call}.then((it) => {answer})</script>"
    file = folder / "page.html"
    file.write_text(page.replace("</body>", probe + "</body>"), "utf-8")
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
        "--disable-sync", "--disable-background-networking", "--disable-component-update",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", "--dump-dom",
        "--window-size=1440,1000",
    ]  # fmt: skip
    command = [str(CHROMIUM), *options, file.as_uri() + anchor]
    # The page's clock runs ahead of a busy processor, and may be out before an event has arrived.
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
        if found := re.search(r'data-found="([^"]*)"', done.stdout):
            read: dict[str, Any] = json.loads(base64.b64decode(found[1]))
            return read
    raise AssertionError("the script in the page did not come to its end")


def overflow(page: str, widths: Sequence[int], folder: Path, anchor: str = "") -> dict[str, Any]:
    """Return what of a page runs over its right edge at each of `widths`, and how wide it is."""
    probe = """<script>addEventListener("load", () => {
    const width = document.documentElement.clientWidth;
    const seen = (one) => one.getClientRects().length && !one.closest(".scroll, .rail");
    const over = [...document.querySelectorAll("main *, header *")]
      .filter((one) => seen(one) && one.getBoundingClientRect().right > width + 0.5)
      .map((one) => one.outerHTML.slice(0, 80));
    parent.postMessage([name, over, width, document.documentElement.scrollWidth], "*");
    });</script>"""
    (folder / "inner.html").write_text(page.replace("</body>", probe + "</body>"), "utf-8")
    # Pages in frames of their own, since a browser's window has a least width.
    frames = [
        f'<iframe name="{width}" src="inner.html{anchor}"'
        f' style="width:{width}px;height:900px;border:0"></iframe>'
        for width in widths
    ]
    # They may tell before the outer page is loaded: it listens from the start.
    outer = f"""<script>
    const found = {{}};
    const told = new Promise((tell) => addEventListener("message", ({{ data }}) => {{
      found[data[0]] = data.slice(1);
      if (Object.keys(found).length === {len(widths)}) tell(found);
    }}));
    </script><body>{"".join(frames)}</body>"""
    return browse(outer, "return await told;", folder)


def fits(widths: Sequence[int]) -> dict[str, Any]:
    """Return what `overflow` finds where nothing runs over the edge."""
    return {str(width): [[], width, width] for width in widths}

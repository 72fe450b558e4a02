(() => {
  const one = document.getElementById("one");
  const all = document.getElementById("all");
  const shown = document.getElementById("shown");
  const body = document.getElementById("jobs").tBodies[0];
  const heads = [...document.getElementById("jobs").tHead.rows[0].cells];
  const plots = [...document.querySelectorAll(".plot")];
  const figures = new Map([...document.querySelectorAll("figure.job")].map((figure) => [figure.dataset.job, figure]));
  const marked = [...document.querySelectorAll("[data-job]")];

  // One job, in all places where it stands.

  function point(job) {
    marked.forEach((element) => element.classList.toggle("on", element.dataset.job === job));
    plots.forEach((plot) => plot.classList.toggle("hovering", job !== null));
    if (job !== null) one.replaceChildren(...figures.get(job).cloneNode(true).childNodes);
  }

  for (const line of document.querySelectorAll(".line")) {
    const reach = line.cloneNode(); // wide enough for a finger
    reach.setAttribute("class", "reach");
    reach.removeAttribute("style");
    line.parentNode.append(reach);
    marked.push(reach);
  }
  for (const element of marked.filter((element) => !element.matches(".line"))) {
    const here = () => point(element.dataset.job);
    element.addEventListener("pointerenter", here);
    element.addEventListener("focusin", here);
    element.addEventListener("click", here);
    element.addEventListener("pointerleave", () => point(null));
    element.addEventListener("focusout", () => point(null));
  }

  // Ranges on axes: a job stays if it lies inside all of them.

  const ranges = new Map();
  const places = new Map(
    [...plots[0].querySelectorAll(".line")].map((line) => [
      line.dataset.job,
      line.dataset.at.split(",").map((place) => (place === "" ? null : Number(place))),
    ]),
  );

  function inside(job) {
    const at = places.get(job) ?? [];
    return [...ranges].every(([axis, [low, high]]) => at[axis] != null && at[axis] >= low && at[axis] <= high);
  }

  function narrow() {
    for (const element of marked) element.classList.toggle("off", !inside(element.dataset.job));
    const kept = [...figures.keys()].filter(inside).length;
    shown.textContent = ranges.size ? `${kept} of ${figures.size} jobs inside` : "";
    all.disabled = !ranges.size;
    for (const axis of document.querySelectorAll(".axis")) {
      const range = ranges.get(axis.dataset.axis);
      const brush = axis.querySelector(".brush");
      brush.toggleAttribute("hidden", !range);
      if (!range) continue;
      const length = Number(axis.dataset.length);
      const upright = axis.closest(".upright") !== null;
      const first = upright ? 1 - range[1] : range[0];
      brush.setAttribute(upright ? "y" : "x", first * length - 4);
      brush.setAttribute(upright ? "height" : "width", (range[1] - range[0]) * length + 8);
    }
  }

  for (const grip of document.querySelectorAll(".grip")) {
    const { axis, length } = grip.parentNode.dataset;
    const upright = grip.closest(".upright") !== null;
    const place = (event) => {
      const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(grip.getScreenCTM().inverse());
      const share = upright ? 1 - spot.y / length : spot.x / length;
      return Math.min(1, Math.max(0, share));
    };
    let start = null;
    grip.addEventListener("pointerdown", (event) => {
      start = place(event);
      grip.setPointerCapture(event.pointerId);
    });
    grip.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const now = place(event);
      if (Math.abs(now - start) * length > 4) ranges.set(axis, [Math.min(start, now), Math.max(start, now)]);
      else ranges.delete(axis);
      narrow();
    });
    grip.addEventListener("pointerup", (event) => {
      if (start !== null && Math.abs(place(event) - start) * length <= 4) {
        ranges.delete(axis);
        narrow();
      }
      start = null;
    });
    grip.addEventListener("pointercancel", () => (start = null));
  }
  all.addEventListener("click", () => {
    ranges.clear();
    narrow();
  });
  all.parentElement.hidden = false;

  // The table.

  const entries = [...body.rows].map((row, rank) => ({
    row,
    rank,
    values: [...row.cells].map(({ dataset }) => dataset.order ?? ""),
  }));
  heads.forEach((head, column) =>
    head.querySelector("button")?.addEventListener("click", () => {
      // The highest activation first, everything else from its first value.
      const sorted = head.getAttribute("aria-sort");
      const direction = sorted ? (sorted === "ascending" ? -1 : 1) : head.textContent === "activation" ? -1 : 1;
      entries.sort((a, b) => {
        const [x, y] = [a.values[column], b.values[column]];
        if (x === "" || y === "") return (x === "") - (y === "") || a.rank - b.rank;
        return direction * (Number(x) - Number(y) || 0) || a.rank - b.rank;
      });
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      body.append(...entries.map(({ row }) => row));
    }),
  );
})();

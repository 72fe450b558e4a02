// Tables that sort by any column, and show their first rows until all are asked for.
for (const table of document.querySelectorAll("table[data-first]")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const kinds = heads.map((head) => head.dataset.kind);
  const first = Number(table.dataset.first);
  const more = document.querySelector(`[aria-controls="${table.id}"]`);
  const [filter, shown] = ["input", "output"].map((tag) => more.parentElement.querySelector(tag));
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  // A cell sorts by its number, or by its words where its column holds words; null: no value.
  const value = (cell, kind) => {
    const words = cell.textContent.trim();
    if (kind === "words") return words;
    const number = Number.parseFloat(words.replaceAll("\u2212", "-").replaceAll(",", ""));
    return Number.isNaN(number) ? null : number;
  };
  const entries = [...body.rows].map((row, rank) => ({
    row,
    rank,
    words: [...row.cells]
      .filter((_, column) => kinds[column] === "words")
      .map((cell) => cell.textContent)
      .join(" ")
      .toLowerCase(),
    values: kinds.map((kind, column) => value(row.cells[column], kind)),
  }));
  let all = entries.length <= first;

  function show() {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let matching = 0;
    for (const { row, words } of order) {
      const matches = wanted.every((word) => words.includes(word));
      row.hidden = !matches || (!all && matching >= first);
      matching += matches;
    }
    const visible = all ? matching : Math.min(matching, first);
    shown.textContent = `${visible} of ${matching}${wanted.length ? " matching" : ""} shown`;
  }

  function sort(column, direction) {
    order.sort((one, other) => {
      const [a, b] = [one.values[column], other.values[column]];
      if (a === null || b === null) return (a === null) - (b === null) || one.rank - other.rank;
      const difference = typeof a === "string" ? compare(a, b) : a - b;
      return direction * difference || one.rank - other.rank;
    });
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    body.append(...order.map(({ row }) => row));
    show();
  }

  const order = [...entries];
  heads.forEach((head, column) =>
    head.querySelector("button")?.addEventListener("click", () => {
      const sorted = head.getAttribute("aria-sort");
      // Ranks, small numbers and words start from the first, other numbers from the largest.
      const upward = ["rank", "small", "words"].includes(kinds[column]);
      sort(column, sorted ? (sorted === "ascending" ? -1 : 1) : upward ? 1 : -1);
    }),
  );
  filter.addEventListener("input", show);
  more.addEventListener("click", () => {
    all = !all;
    more.setAttribute("aria-expanded", String(all));
    more.textContent = all ? `Show the first ${first}` : `Show all ${entries.length}`;
    show();
  });
  more.hidden = all;
  more.parentElement.hidden = false;
  show();
}

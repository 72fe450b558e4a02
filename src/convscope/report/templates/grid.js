/**
 * A grid of tiles to search and sort, each of which opens large under an address of its own.
 *
 * fill(view, entry, current) shows an entry in the large view; current() tells whether it is still
 * the one that is shown. spelled(text) puts a search into the words of the tiles; arranged(entries,
 * key) follows the order. Beside its words a tile has names in fields, a line each; in those aside
 * only a search that says so looks.
 */
function gallery({ fill, spelled = (text) => text, arranged = () => {}, fields = [], aside = [] }) {
  const find = (name) => document.getElementById(name);
  const [grid, search, sort, direction, size] =
    ["grid", "search", "sort", "direction", "size"].map(find);
  const [shown, nothing, view, before, after] =
    ["shown", "nothing", "view", "before", "after"].map(find);
  const chips = [...document.querySelectorAll("[data-search]")];
  const plain = (text) => ` ${text.toLowerCase().replace(/[\s_()/-]+/g, " ").trim()}`;
  const units = [...grid.children].map((item) => ({
    item,
    entries: [...item.querySelectorAll(".tile")].map((tile) => ({
      tile,
      slug: tile.getAttribute("href").slice(1),
      name: tile.dataset.name,
      names: new Map(
        ["words", ...fields].map((field) => {
          const text = tile.dataset[field];
          return [field, text ? text.split(field === "words" ? " " : "\n").map(plain) : []];
        }),
      ),
      values: JSON.parse(tile.dataset.numbers),
      details: tile.nextElementSibling,
    })),
  }));
  const entries = units.flatMap((unit) => unit.entries);
  const named = new Map(entries.map((entry) => [entry.slug, entry]));
  let visible = entries;
  let down = false;
  let current = null;

  // Of numbers and ranges one has to hold, of words each. A word begins a word of a name; what is
  // in quotes is a whole name; `field:word` looks into that field alone, `field:` for any name.
  function test(text) {
    const ranges = [];
    const wanted = [];
    const parts = /(?:(\w+):)?(?:"([^"]*)("?)|([^\s,"]*))/g;
    for (const [part, field, quoted, end, word] of spelled(text.toLowerCase()).matchAll(parts)) {
      const [, first, dash, last] = part.match(/^#?(\d+)(?:([-\u2013])(\d*))?$/) ?? [];
      const own = fields.includes(field);
      const sought = plain(quoted ?? (own ? word : part));
      if (first) ranges.push([Number(first), dash ? Number(last || Infinity) : Number(first)]);
      else if (part) wanted.push({ part, sought, field: own ? field : null, whole: Boolean(end) });
    }
    const general = ["words", ...fields].filter((field) => !aside.includes(field));
    const holds = ({ name, names }, { part, sought, field, whole }) =>
      (field === null && name.includes(part)) ||
      (field === null ? general : [field])
        .flatMap((one) => names.get(one))
        .some((one) => (whole ? one === sought : one.includes(sought)));
    return (entry) =>
      (!ranges.length || ranges.some(([a, b]) => entry.values[0] >= a && entry.values[0] <= b)) &&
      wanted.every((one) => holds(entry, one));
  }

  function arrange() {
    const matches = test(search.value);
    for (const { item, entries } of units) {
      for (const entry of entries) entry.tile.hidden = !matches(entry);
      item.hidden = entries.every(({ tile }) => tile.hidden);
    }
    // A unit stands where the first of its images that is shown belongs.
    const key = Number(sort.value);
    const value = ({ entries }) =>
      (entries.find(({ tile }) => !tile.hidden) ?? entries[0]).values[key];
    const order = units
      .map((unit, place) => ({ unit, place, value: value(unit) }))
      .sort((one, other) => {
        const [a, b] = [one.value, other.value];
        if (a === null || b === null) return (a === null) - (b === null) || one.place - other.place;
        return (down ? b - a : a - b) || one.place - other.place;
      })
      .map(({ unit }) => unit);
    if (order.some(({ item }, place) => grid.children[place] !== item))
      grid.append(...order.map(({ item }) => item));
    visible = order.flatMap(({ entries }) => entries).filter(({ tile }) => !tile.hidden);
    shown.textContent = `${visible.length} of ${entries.length}`;
    nothing.hidden = visible.length > 0;
    for (const chip of chips)
      chip.setAttribute("aria-pressed", String(search.value.trim() === chip.dataset.search));
    arranged(visible, key);
    reach(visible.includes(current) ? current : visible[0]);
  }

  function turn(downward) {
    down = downward;
    direction.textContent = down ? "\u2193 largest first" : "\u2191 smallest first";
    arrange();
  }

  // One image at a time is a stop of the Tab key; arrow keys reach the others.
  function reach(entry) {
    for (const { tile } of entries) tile.tabIndex = -1;
    if (entry) entry.tile.tabIndex = 0;
  }

  function beside(entry, key) {
    const place = visible.indexOf(entry);
    const next = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: visible.length - 1 };
    if (key in next) return visible[next[key]];
    const here = entry.tile.getBoundingClientRect();
    const row = (tile) => tile.getBoundingClientRect().top;
    const apart = ({ tile }) => Math.abs(tile.getBoundingClientRect().left - here.left);
    const upward = key === "ArrowUp";
    const ahead = visible.filter(({ tile }) =>
      upward ? row(tile) < here.top - 8 : row(tile) > here.top + 8,
    );
    if (!ahead.length) return undefined;
    const near = row(ahead.at(upward ? -1 : 0).tile);
    return ahead
      .filter(({ tile }) => Math.abs(row(tile) - near) <= 8)
      .reduce((best, one) => (apart(one) < apart(best) ? one : best));
  }

  function address(hash, how) {
    try {
      history[how](null, "", hash || location.pathname + location.search);
    } catch {
      // A page inside another has no address of its own.
    }
  }

  function show(entry) {
    current = entry;
    const list = visible.includes(entry) ? visible : entries;
    const place = list.indexOf(entry);
    find("view-title").textContent = entry.tile.dataset.title;
    find("place").textContent = `${place + 1} of ${list.length}`;
    view.querySelector(".details").replaceChildren(entry.details.content.cloneNode(true));
    before.disabled = place === 0;
    after.disabled = place === list.length - 1;
    fill(view, entry, () => current === entry);
    if (view.open) return;
    view.showModal();
    view.focus();
  }

  function step(by) {
    const list = visible.includes(current) ? visible : entries;
    const next = list[list.indexOf(current) + by];
    if (!next) return;
    address(`#${next.slug}`, "replaceState");
    show(next);
  }

  function follow() {
    const entry = named.get(decodeURIComponent(location.hash.slice(1)));
    if (entry) show(entry);
    else view.close();
  }

  search.addEventListener("input", arrange);
  search.form.addEventListener("submit", (event) => event.preventDefault());
  for (const chip of chips)
    chip.addEventListener("click", () => {
      search.value = chip.getAttribute("aria-pressed") === "true" ? "" : chip.dataset.search;
      arrange();
    });
  sort.addEventListener("change", () => turn(sort.selectedOptions[0].dataset.down === "1"));
  direction.addEventListener("click", () => turn(!down));
  size.addEventListener("input", () => grid.style.setProperty("--size", `${size.value}px`));
  grid.addEventListener("click", (event) => {
    const entry = entries.find(({ tile }) => tile === event.target.closest(".tile"));
    if (!entry || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    address(`#${entry.slug}`, "pushState");
    show(entry);
  });
  grid.addEventListener("keydown", (event) => {
    const entry = entries.find(({ tile }) => tile === event.target);
    const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];
    if (!entry || !keys.includes(event.key) || event.altKey || event.ctrlKey || event.metaKey)
      return;
    const next = beside(entry, event.key);
    if (!next) return;
    event.preventDefault();
    reach(next);
    next.tile.focus();
  });
  view.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  view.addEventListener("click", (event) => {
    if (event.target === view) view.close();
  });
  view.addEventListener("close", () => {
    address("", "replaceState");
    if (current.tile.hidden) return;
    reach(current);
    current.tile.focus();
  });
  before.addEventListener("click", () => step(-1));
  after.addEventListener("click", () => step(1));
  find("close").addEventListener("click", () => view.close());
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || view.open || event.target.matches("input, select")) return;
    event.preventDefault();
    search.select();
  });

  search.form.hidden = false;
  find("keys").hidden = false;
  turn(false);
  if (location.hash) follow();
}

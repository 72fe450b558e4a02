(() => {
  const find = (name) => document.getElementById(name);
  const [grid, search, sort, direction, size] =
    ["grid", "search", "sort", "direction", "size"].map(find);
  const [shown, nothing, view, before, after] =
    ["shown", "nothing", "view", "before", "after"].map(find);
  const chips = [...document.querySelectorAll("[data-search]")];
  const units = [...grid.children].map((item) => ({
    item,
    entries: [...item.querySelectorAll(".tile")].map((tile) => ({
      tile,
      slug: tile.getAttribute("href").slice(1),
      name: tile.dataset.name,
      words: tile.dataset.words.split(" "),
      values: JSON.parse(tile.dataset.numbers),
      account: tile.nextElementSibling,
    })),
  }));
  const entries = units.flatMap((unit) => unit.entries);
  const named = new Map(entries.map((entry) => [entry.slug, entry]));
  let visible = entries;
  let down = false;
  let current = null;

  // Of numbers and ranges one has to hold, of words each.
  function test(text) {
    const ranges = [];
    const words = [];
    const parts = text.toLowerCase().replace(/\bnot[\s-]+alive\b/g, "dead").split(/[\s,]+/);
    for (const part of parts.filter(Boolean)) {
      const [, first, dash, last] = part.match(/^#?(\d+)(?:([-\u2013])(\d*))?$/) ?? [];
      if (first === undefined) words.push(part);
      else ranges.push([Number(first), dash ? Number(last || Infinity) : Number(first)]);
    }
    return ({ name, words: own, values: [filter] }) =>
      (!ranges.length || ranges.some(([first, last]) => filter >= first && filter <= last)) &&
      words.every((word) => name.includes(word) || own.some((one) => one.startsWith(word)));
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
    const small = entry.tile.querySelector("img");
    const picture = view.querySelector("img");
    const [name, ...rest] = entry.tile.getAttribute("aria-label").split(", ");
    find("view-title").textContent = [name, ...rest.filter((one) => !one.startsWith("activation"))]
      .join(", ");
    find("place").textContent = `${place + 1} of ${list.length}`;
    picture.className = small.className;
    picture.alt = entry.tile.getAttribute("aria-label");
    picture.src = small.src;
    picture.parentElement.classList.toggle("faded", entry.words.includes("dead"));
    const account = view.querySelector(".account");
    account.replaceChildren(entry.account.content.cloneNode(true));
    for (const button of account.querySelectorAll("[data-play]")) button.hidden = false;
    before.disabled = place === 0;
    after.disabled = place === list.length - 1;
    // The page holds a smaller image; the file has every pixel, where it lies beside the page.
    const whole = new Image();
    whole.onload = () => {
      if (current === entry && picture.src === small.src) picture.src = whole.src;
    };
    whole.src = entry.tile.dataset.file;
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
})();

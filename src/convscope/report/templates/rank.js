// Photographs large: those of a list follow one another.
(() => {
  const find = (name) => document.getElementById(name);
  const [view, title, place, before, after] =
    ["view", "view-title", "place", "before", "after"].map(find);
  const list = (link) => [...link.closest("ol").querySelectorAll(".example")];
  let current = null;

  function neighbour(by) {
    const links = list(current);
    return links[links.indexOf(current) + by];
  }

  function open(link) {
    current = link;
    const links = list(link);
    const pictures = [...link.querySelectorAll(".picture")].map((one) => one.cloneNode(true));
    title.textContent = link.querySelector("b").textContent;
    place.textContent = `${links.indexOf(link) + 1} of ${links.length}`;
    view.querySelector(".pair").replaceChildren(...pictures);
    view.querySelector(".details").replaceChildren(link.nextElementSibling.content.cloneNode(true));
    before.disabled = !neighbour(-1);
    after.disabled = !neighbour(1);
    if (!view.open) view.showModal();
    view.focus();
  }

  function close() {
    view.close();
    current.focus();
  }

  const go = (by) => neighbour(by) && open(neighbour(by));
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".example");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(link);
  });
  document.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
    if (view.open) return void go(by);
    const link = document.activeElement.closest(".example");
    if (link) list(link)[list(link).indexOf(link) + by]?.focus();
  });
  before.addEventListener("click", () => go(-1));
  after.addEventListener("click", () => go(1));
  find("close").addEventListener("click", close);
  view.addEventListener("click", (event) => event.target === view && close());
  view.addEventListener("cancel", (event) => {
    event.preventDefault(); // the key Escape: closed here, so that the focus goes where it belongs
    close();
  });
  // A link to a photograph opens it.
  const linked = () => {
    const link = find(location.hash.slice(1));
    if (link?.matches(".example")) open(link);
  };
  addEventListener("hashchange", linked);
  linked();
})();

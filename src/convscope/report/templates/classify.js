gallery({
  fields: ["best", "truth"],
  fill(view, { tile }) {
    const picture = view.querySelector(".large img");
    picture.src = tile.querySelector("img").src;
    picture.alt = tile.getAttribute("aria-label");
    view.querySelector(".details").prepend(tile.querySelector(".bars").cloneNode(true));
  },
});

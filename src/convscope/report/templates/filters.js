gallery({
  fields: ["fires", "avoids", "class"],
  // Who looks for dogs does not look for what avoids them.
  aside: ["avoids"],
  arranged(entries, key) {
    for (const { tile } of entries)
      tile.querySelector(".value").textContent = tile.dataset.shown.split("\n")[key];
  },
  // Each crop is a part of the filter's mosaic.
  fill(view, { tile }) {
    const small = tile.querySelector("img");
    for (const [place, item] of view.querySelectorAll(".nine li").entries()) {
      const [cut, image] = [document.createElement("div"), new Image()];
      cut.className = "cut";
      cut.append(image);
      item.prepend(cut);
      image.src = small.src;
      image.alt = `Crop ${place + 1}`;
      image.classList.toggle("pixels", small.classList.contains("pixels"));
      image.style.left = `${-100 * (place % 3)}%`;
      image.style.top = `${-100 * Math.floor(place / 3)}%`;
    }
  },
});

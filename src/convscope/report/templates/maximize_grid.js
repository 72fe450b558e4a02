gallery({
  spelled: (text) => text.replace(/\bnot[\s-]+alive\b/g, "dead"),
  fill(view, { tile }, current) {
    const small = tile.querySelector("img");
    const picture = view.querySelector("img");
    picture.className = small.className;
    picture.alt = tile.getAttribute("aria-label");
    picture.src = small.src;
    const dead = tile.dataset.words.split(" ").includes("dead");
    picture.parentElement.classList.toggle("faded", dead);
    for (const button of view.querySelectorAll("[data-play]")) button.hidden = false;
    // The page holds a smaller image; the file has every pixel, where it lies beside the page.
    const whole = new Image();
    whole.onload = () => {
      if (current() && picture.src === small.src) picture.src = whole.src;
    };
    whole.src = tile.dataset.file;
  },
});

// The ascent as an animation, where its file still lies beside the page.
(() => {
  for (const button of document.querySelectorAll("[data-play]")) button.hidden = false;
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-play]");
    if (!button) return;
    const image = button.closest(".piece").querySelector("img");
    const say = (words, playing) => {
      button.textContent = words;
      button.setAttribute("aria-pressed", String(playing));
    };
    if (button.still) {
      image.src = button.still;
      button.still = null;
      say("Play the ascent", false);
      return;
    }
    const moving = new Image();
    moving.onload = () => {
      if (!button.isConnected || button.still) return;
      button.still = image.src;
      image.src = moving.src;
      say("Show the image", true);
    };
    moving.onerror = () => {
      button.disabled = true;
      say(`${button.dataset.play} is not beside this page`, false);
    };
    moving.src = button.dataset.play;
  });
})();

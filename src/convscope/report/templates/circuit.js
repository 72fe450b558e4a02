// The rows in another order: largest first, whatever the sign.
for (const choice of document.querySelectorAll(".choice")) {
  const list = document.querySelector(".rows");
  const buttons = [...choice.querySelectorAll("button")];
  const rows = [...list.children];
  const size = (row, key) => Math.abs(Number(row.dataset[key]));
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const { key } = button.dataset;
      list.append(...rows.toSorted((one, other) => size(other, key) - size(one, key)));
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    });
  }
  choice.parentElement.hidden = false;
}

// Theme, shades of the periodic table, and tooltips by pointer or keyboard. The pages work without it.
"use strict";

const root = document.documentElement;
root.classList.add("scripts");
const choice = {
  get() { try { return localStorage.getItem("theme"); } catch { return null; } },
  set(value) { try { localStorage.setItem("theme", value); } catch { /* storage is not allowed: the choice is lost */ } },
};
if (["light", "dark"].includes(choice.get())) root.dataset.theme = choice.get(); // before anything is painted

document.addEventListener("DOMContentLoaded", () => {
  theme();
  document.querySelectorAll("table.ties").forEach(ties);
  document.querySelectorAll("table.sortable").forEach(sorting);
  if (document.getElementById("task")) filters();
  if (document.getElementById("shaded")) shades();
  tips();
  anchors();
  document.querySelectorAll("svg[data-kind]").forEach(points);
});

function theme() {
  const button = document.getElementById("theme");
  const dark = () => getComputedStyle(root).colorScheme === "dark"
    || (root.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  const label = () => { button.textContent = dark() ? "Light" : "Dark"; };
  label();
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    choice.set(root.dataset.theme);
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
}

// Shade the periodic table by another model, from the table of numbers below it.
function shades() {
  const figure = document.querySelector(".elements");
  const edges = figure.dataset.edges.split(" ").map(Number);
  const rows = rowsOf(document.getElementById("by-element"));
  const select = document.getElementById("shaded");
  const unit = figure.dataset.unit;
  select.addEventListener("change", () => {
    const values = new Map(rows.map((row) => [row.cells[0].textContent, row]));
    document.getElementById("shaded-model").textContent = select.selectedOptions[0].textContent;
    for (const group of figure.children) {
      const cell = values.get(group.dataset.symbol)?.cells[2 + Number(select.value)];
      if (!cell) continue;
      const value = parseFloat(cell.dataset.v);
      const none = Number.isNaN(value);
      group.setAttribute("class", none ? "none" : `q${edges.filter((edge) => edge <= value).length}`);
      group.dataset.tip = none ? `${group.dataset.symbol}: no prediction by ${select.selectedOptions[0].textContent}`
        : `${group.dataset.symbol}: ${cell.textContent} ${unit}, ${cell.parentNode.cells[1].textContent} crystals`;
    }
  });
}

const tip = {
  show(text, x, y) {
    const box = document.getElementById("tip");
    box.textContent = text;
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 4))}px`;
    box.style.top = `${y - height - 14 > 0 ? y - height - 14 : y + 18}px`;
  },
  hide() { document.getElementById("tip").hidden = true; },
};

function tips() {
  document.addEventListener("pointerover", (event) => {
    const marked = event.target.closest?.("[data-tip]");
    if (marked) tip.show(marked.dataset.tip, event.clientX, event.clientY);
    else if (!event.target.closest?.("svg[data-kind]")) tip.hide();
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hide(); });
  document.addEventListener("scroll", tip.hide, { passive: true });
}

// Name the crystals of a figure: the nearest to the pointer, or by arrow keys from the largest error.
function points(svg) {
  const runs = JSON.parse(svg.closest("figure").querySelector("script").textContent);
  const scale = (text) => {
    const [low, high, start, end] = text.split(" ").map(Number);
    return (value) => start + (Math.min(Math.max(value, low), high) - low) / (high - low) * (end - start);
  };
  const [x, y] = [scale(svg.dataset.x), scale(svg.dataset.y)];
  let all = null; // computed when first needed
  const crystalPoints = () => {
    if (all) return all;
    all = [];
    for (const [fold, predictions] of runs) {
      const crystals = window.crystals?.[fold];
      if (!crystals) continue;
      let place = 0; // among those that the model predicted
      predictions.forEach((p, i) => {
        if (p === null) return;
        const label = crystals.labels[i];
        const at = {
          parity: [label, p],
          residual: [label, p - label],
          probability: [p, label + 0.7 * ((place * 0.618033988749895) % 1) - 0.35],
        }[svg.dataset.kind];
        place += 1;
        all.push({ id: crystals.ids[i], formula: crystals.formulas[i], label, p, x: x(at[0]), y: y(at[1]) });
      });
    }
    return all;
  };
  const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  ring.setAttribute("class", "ring");
  ring.setAttribute("r", "6");
  const show = (point) => {
    ring.setAttribute("cx", point.x);
    ring.setAttribute("cy", point.y);
    svg.append(ring);
    const box = svg.getBoundingClientRect();
    const factor = box.width / svg.viewBox.baseVal.width;
    const error = point.p - point.label;
    const number = (value) => value.toFixed(3).replace("-", "−");
    tip.show(`${point.formula}  ${point.id}\nlabel ${number(point.label)}, prediction ${number(point.p)}`
      + (svg.dataset.kind === "probability" ? "" : `, error ${error > 0 ? "+" : ""}${number(error)}`),
      box.left + point.x * factor, box.top + point.y * factor);
  };
  const leave = () => { ring.remove(); tip.hide(); };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const factor = svg.viewBox.baseVal.width / box.width;
    const [px, py] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
    let best = null;
    let least = 20 ** 2;
    for (const point of crystalPoints()) {
      const far = (point.x - px) ** 2 + (point.y - py) ** 2;
      if (far < least) [best, least] = [point, far];
    }
    if (best) show(best); else leave();
  });
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  let order = null;
  let at = -1;
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    order ??= [...crystalPoints()].sort((a, b) => Math.abs(b.p - b.label) - Math.abs(a.p - a.label));
    at = (at + step + order.length) % order.length;
    if (order.length) show(order[at]);
  });
}

// Theme, sorting, filters, highlighted ties, and tooltips by pointer or keyboard. The pages work without it.
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

// All rows of each table in their present order; only some of them are in the document.
const allRows = new WeakMap();

function rowsOf(table) {
  if (!allRows.has(table)) allRows.set(table, [...table.tBodies[0].rows]);
  return allRows.get(table);
}

// A long table shows its first matching rows until all are asked for, so that sorting stays fast.
const FIRST = 100;

function refill(table) {
  const fit = rowsOf(table).filter((row) => !row.classList.contains("out"));
  const all = fit.length <= FIRST || "all" in table.dataset;
  table.tBodies[0].replaceChildren(...(all ? fit : fit.slice(0, FIRST)));
  let more = table.parentNode.nextElementSibling;
  if (!more?.matches("button.more")) {
    if (all) return;
    more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.addEventListener("click", () => { table.dataset.all = ""; refill(table); });
    table.parentNode.after(more);
  }
  more.hidden = all;
  more.textContent = `Show all ${fit.length.toLocaleString("en")} rows`;
}

// Sort by data-v if a column has numbers, else by text; cells without a value come last in both directions.
function sorting(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const next = now === "none" ? button.dataset.first ?? "ascending" : now === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? next : "none"));
      sort(rowsOf(table), column, "first" in button.dataset, next === "ascending" ? 1 : -1);
      refill(table);
    });
  });
  refill(table);
}

const words = new Intl.Collator("en", { numeric: true });

function sort(rows, column, numeric, sign) {
  const key = (row) => (numeric ? parseFloat(row.cells[column].dataset.v) : row.cells[column].textContent);
  const keys = new Map(rows.map((row) => [row, key(row)]));
  rows.sort((a, b) => {
    const [x, y] = [keys.get(a), keys.get(b)];
    return numeric ? Number.isNaN(x) - Number.isNaN(y) || sign * (x - y) || 0 : sign * words.compare(x, y);
  });
}

// Highlight the rows that do not differ significantly from the one under the pointer or with the focused link.
function ties(table) {
  const rows = [...rowsOf(table)]; // in the order of the page, which data-ties counts in
  const show = (event) => {
    const mine = event.target.closest("tbody tr");
    rows.forEach((row) => row.classList.remove("tied", "self"));
    if (!mine?.dataset.ties) return;
    mine.classList.add("self");
    for (const range of mine.dataset.ties.split(",")) {
      const [a, b = a] = range.split("-").map(Number);
      for (let i = a; i <= b; i++) rows[i].classList.add("tied");
    }
  };
  table.addEventListener("pointerover", show);
  table.addEventListener("focusin", show);
  table.addEventListener("pointerleave", show);
}

function filters() {
  const [task, preset, model, cost] = ["task", "preset", "model", "cost"].map((id) => document.getElementById(id));
  const apply = () => {
    const wanted = model.value.trim().toLowerCase();
    let shown = 0;
    document.querySelectorAll("section.board").forEach((board) => {
      const title = board.dataset.title;
      const table = board.querySelector("table.sortable"); // the ranks below it are of all models and tasks
      const heads = [...table.tHead.rows[0].cells];
      const hidden = heads.map((h) => Boolean(
        h.dataset.task && task.value && task.value !== title && task.value !== h.dataset.task));
      const mine = !task.value || task.value === title || heads.some((h) => h.dataset.task === task.value);
      heads.forEach((head, i) => { head.hidden = hidden[i]; });
      let here = 0;
      for (const row of rowsOf(table)) {
        hidden.forEach((hide, i) => { if (row.cells[i].hidden !== hide) row.cells[i].hidden = hide; });
        const valued = !task.value || task.value === title
          || [...row.cells].some((c, i) => heads[i].dataset.task && !hidden[i] && "v" in c.dataset);
        const name = row.querySelector("th").textContent.toLowerCase();
        const fits = mine && valued && name.includes(wanted) && (!preset.value || preset.value === row.dataset.preset);
        row.classList.toggle("out", !fits);
        here += fits;
      }
      refill(table);
      board.hidden = here === 0;
      shown += here;
      board.querySelectorAll("figure").forEach((figure) => {
        figure.hidden = figure.dataset.cost !== cost.value
          || Boolean(task.value && task.value !== title && task.value !== figure.dataset.task);
        figure.querySelectorAll("circle").forEach((dot) => {
          dot.classList.toggle("faint", wanted !== "" && !dot.dataset.tip.toLowerCase().split(": ")[0].includes(wanted));
        });
      });
    });
    document.getElementById("count").textContent = `${shown} ${shown === 1 ? "row" : "rows"}`;
    document.getElementById("none").hidden = shown > 0;
  };
  [task, preset, cost].forEach((select) => select.addEventListener("change", apply));
  model.addEventListener("input", apply);
  apply();
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
    figure.querySelector(".measure").textContent =
      `${figure.dataset.measure}: ${select.selectedOptions[0].textContent}`;
    for (const group of figure.children) {
      const cell = values.get(group.dataset.symbol)?.cells[2 + Number(select.value)];
      if (!cell) continue;
      const value = parseFloat(cell.dataset.v);
      group.setAttribute("class", Number.isNaN(value) ? "none" : `q${edges.filter((edge) => edge <= value).length}`);
      group.dataset.tip = `${group.dataset.symbol}: ${cell.textContent} ${unit}, ${cell.parentNode.cells[1].textContent} crystals`;
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

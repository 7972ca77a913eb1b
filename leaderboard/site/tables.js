// Tables: sorting, filters, ties and links to rows. Order and filters are kept in the address, to be sent to others.
"use strict";

const kept = {
  read() { return new URLSearchParams(location.search); },
  write(name, value, usual = "") {
    const all = kept.read();
    if (value === usual) all.delete(name); else all.set(name, value);
    const query = all.toString();
    kept.show(`${location.pathname}${query ? `?${query}` : ""}${location.hash}`);
  },
  show(address) { try { history.replaceState(null, "", address); } catch { /* not allowed here: the address stays */ } },
};

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
  const order = (column, direction) => {
    heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? direction : "none"));
    const numeric = "first" in heads[column].querySelector("button").dataset;
    sort(rowsOf(table), column, numeric, direction === "ascending" ? 1 : -1);
    refill(table);
  };
  const names = heads.map((head) => head.querySelector("button").textContent);
  names.forEach((name, column) => {
    const button = heads[column].querySelector("button");
    button.addEventListener("click", () => {
      const now = heads[column].getAttribute("aria-sort");
      const next = now === "none" ? button.dataset.first ?? "ascending" : now === "ascending" ? "descending" : "ascending";
      order(column, next);
      kept.write(table.id, `${next} ${name}`);
    });
  });
  const [direction, ...name] = (kept.read().get(table.id) ?? "").split(" ");
  const column = names.indexOf(name.join(" "));
  if (column >= 0 && ["ascending", "descending"].includes(direction)) order(column, direction);
  else refill(table);
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
  const controls = [task, preset, model, cost];
  const usual = new Map(controls.map((control) => [control, control.tagName === "SELECT" ? control.options[0].value : ""]));
  for (const control of controls) {
    control.addEventListener("input", () => {
      kept.write(control.id, control.value, usual.get(control));
      apply();
    });
    control.value = kept.read().get(control.id) ?? usual.get(control);
    if (control.selectedIndex === -1) control.value = usual.get(control);
  }
  apply();
}

// A link to a row puts it into the address, and on the clipboard where that is allowed.
function anchors() {
  const mark = (row) => {
    document.querySelector("tr.linked")?.classList.remove("linked");
    row.classList.add("linked");
  };
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a.anchor");
    if (!link) return;
    event.preventDefault();
    mark(link.closest("tr"));
    kept.show(`${location.pathname}${location.search}${link.getAttribute("href")}`);
    const { left, top } = link.getBoundingClientRect();
    let said = "The address bar has the link to this row";
    try {
      await navigator.clipboard.writeText(location.href);
      said = "Link to this row copied";
    } catch { /* not allowed */ }
    tip.show(said, left, top);
  });
  let wanted = "";
  try { wanted = decodeURIComponent(location.hash.slice(1)); } catch { /* no address of ours */ }
  if (!wanted) return;
  for (const table of document.querySelectorAll("table.sortable")) {
    const row = rowsOf(table).find((one) => one.id === wanted);
    if (!row) continue;
    if (!row.isConnected) { table.dataset.all = ""; refill(table); }
    mark(row);
    row.scrollIntoView({ block: "center", behavior: "instant" });
  }
}

// Tables: sort, filter, search; what is shown stands in the address and can be taken along as CSV or JSON.
"use strict";
window.effbench = window.effbench || {};

/** What is shown now; aborted when another takes its place, and with it every listener that reaches beyond <main>. */
effbench.view = new AbortController();

/** State in the part of the address behind #, as name=value pairs. A plain anchor (#results) is no state. */
effbench.state = {
  read: () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : ""),
  get: (name) => effbench.state.read().get(name),
  set(name, value) {
    const state = effbench.state.read();
    if (value === null || value === "") state.delete(name);
    else state.set(name, value);
    history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
  },
};

/** An element with attributes and children; text is only ever text. */
effbench.element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

/** Four digits and an SI prefix, as the pages show figures. */
effbench.quantity = (value, unit) => {
  if (value === null || value === undefined) return "–";
  const space = "\u00a0";
  let shown = unit;
  if (["B", "s", "FLOP", "J", "W"].includes(unit) && value) {
    const sizes = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];
    let [size, prefix] = sizes.find(([s]) => Math.abs(value) >= s) ?? sizes[8];
    if (unit === "s" && size > 1) [size, prefix] = [1, ""];
    value /= size;
    shown = prefix + unit;
  }
  const large = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([size]) => Math.abs(value) >= size);
  if (Math.abs(value) >= 1e5 && Math.abs(value) < 1e15) {
    value /= large[0];
    shown = large[1] + (shown ? space + shown : "");
  }
  const small = value && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5);
  const digits = small ? value.toExponential(3) : value.toFixed(Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value) || 1)))));
  const text = (Number.isInteger(value) && !small ? String(value) : digits).replace(/e([+-])(\d)$/, "e$10$2").replaceAll("-", "−");
  return shown ? text + (shown === "×" ? "" : space) + shown : text;
};

/** Offer text as a file. */
effbench.download = (name, kind, text) => {
  const address = URL.createObjectURL(new Blob([text], { type: kind }));
  const link = effbench.element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};

/** A list of equal objects as CSV; text that a spreadsheet would run gets a quote in front. */
effbench.csv = (rows) => {
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const names = Object.keys(rows[0] ?? {});
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
};

{
  const { element, state } = effbench;
  const number = (text) => (text === "" ? NaN : Number(text));
  const compare = (a, b) => (a === b ? 0 : Number.isNaN(a) ? -1 : Number.isNaN(b) ? 1 : b < a ? -1 : 1);
  Tablesort.extend("value", () => false, (a, b) => compare(number(a), number(b)));

  const words = (cell) => (cell.firstChild?.textContent ?? "").trim() || cell.textContent.trim();
  const key = (header) => header.dataset.metric ?? words(header).toLowerCase().replaceAll(" ", "-");

  const SWITCH = "input[name='on']";
  /** The hardware whose times are shown; null where there is no choice. */
  effbench.hardware = () => document.querySelector(`${SWITCH}:checked`)?.value ?? null;
  const isShown = (header) => !("on" in header.dataset) || getComputedStyle(header).display !== "none";

  /** The style sheet shows the columns of what is checked; here the address keeps it, and who draws times is told. */
  function startHardware() {
    const inputs = [...document.querySelectorAll(SWITCH)];
    const restore = () => {
      const wanted = inputs.find((input) => input.value === state.get("on")) ?? inputs.find((input) => input.defaultChecked);
      const moved = wanted && !wanted.checked;
      if (moved) wanted.checked = true;
      return moved;
    };
    const told = () => document.dispatchEvent(new Event("hardware"));
    for (const input of inputs) {
      input.addEventListener("change", () => { state.set("on", input.defaultChecked ? null : input.value); told(); });
    }
    addEventListener("hashchange", () => { if (restore()) told(); }, { signal: effbench.view.signal });
    restore();
  }

  /** Make every table of the page one that sorts. Once for each view. */
  effbench.startTables = () => {
    effbench.hidden = () => false;
    startHardware();
    for (const table of document.querySelectorAll("table")) {
      if (!table.tHead || table.rows.length < 3) continue;
      const sorter = new Tablesort(table);
      for (const header of table.tHead.rows[0].cells) {
        header.addEventListener("keydown", (event) => {
          if (event.key === " ") {
            event.preventDefault();
            header.click();
          }
        });
      }
      if ("main" in table.dataset) main(table, sorter);
    }
  };
  effbench.startTables();

  /** The page's chief table: filters above it, its state in the address. */
  function main(table, sorter) {
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    const headers = [...table.tHead.rows[0].cells];
    const facets = (table.dataset.facets ?? "").split(",").filter(Boolean).map((each) => each.split(":"));
    const count = element("span", { role: "status", class: "count" });
    const search = element("input", { type: "search", id: "search", size: 14 });
    const controls = element("div", { class: "controls" }, element("label", { for: "search" }, "Search ", search));
    const choices = [];
    for (const [name, title] of facets) {
      const values = [...new Set(rows.map((row) => row.dataset[name]).filter(Boolean))].sort();
      if (values.length < 2) continue;
      const choice = element("select", { "data-facet": name }, element("option", { value: "" }, "all"), ...values.map((value) => element("option", { value }, value.replaceAll("_", " "))));
      choices.push([name, choice]);
      controls.append(element("label", {}, `${title} `, choice));
      choice.addEventListener("change", () => { state.set(name, choice.value); filter(); });
    }
    const button = (text, work) => element("button", { type: "button", on: { click: work } }, text);
    const copy = button("Copy link", async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        copy.textContent = "Copied";
      } catch {
        prompt("The address of what is shown:", location.href);
      }
      setTimeout(() => { copy.textContent = "Copy link"; }, 1500);
    });
    const file = document.title.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 60);
    controls.append(
      button("CSV of what is shown", () => effbench.download(`${file}.csv`, "text/csv", effbench.csv(effbench.shown()))),
      button("JSON", () => effbench.download(`${file}.json`, "application/json", JSON.stringify(effbench.shown(), null, 1))),
      copy, count,
    );
    const box = table.closest(".scroll");
    box.before(controls);

    /** Rows as they stand, as objects by heading. A page that knows more than the table shows puts its own in place. */
    effbench.shownRows = () => [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.hidden);
    effbench.shown = () => effbench.shownRows().map((row) => Object.fromEntries(
      [...row.cells].filter(isShown).map((cell) => [cell, cell.cellIndex]).map(([cell, i]) => [words(headers[i] ?? cell), "sort" in cell.dataset && Number.isFinite(number(cell.dataset.sort)) ? number(cell.dataset.sort) : cell.textContent.replace(/\s+/g, " ").trim()])));

    const texts = new Map(rows.map((row) => [row, row.dataset.text ?? row.textContent.toLowerCase()])); // name, family and paper, where the row says them
    function filter() {
      const wanted = search.value.trim().toLowerCase();
      let seen = 0;
      for (const row of rows) {
        row.hidden = !texts.get(row).includes(wanted) || choices.some(([name, choice]) => choice.value && row.dataset[name] !== choice.value)
          || effbench.hidden(row);
        seen += !row.hidden;
      }
      count.textContent = `${seen} of ${rows.length} rows`;
      table.dispatchEvent(new Event("shown"));
    }
    effbench.filter = filter;
    search.addEventListener("input", () => { state.set("q", search.value); filter(); });
    table.addEventListener("afterSort", () => {
      const sorted = headers.find((header) => header.hasAttribute("aria-sort"));
      if (sorted) state.set("sort", `${key(sorted)}.${sorted.getAttribute("aria-sort").slice(0, -6)}`);
    });

    function restore() {
      const [, column, direction] = /^(.*)\.(asc|desc)$/.exec(state.get("sort") ?? "") ?? [];
      const header = headers.find((each) => key(each) === column && isShown(each));
      if (header && header.getAttribute("aria-sort") !== `${direction}ending`) {
        headers.forEach((each) => each.removeAttribute("aria-sort"));
        sorter.current = header;
        if (direction === "desc") header.setAttribute("aria-sort", "ascending");
        sorter.sortTable(header);
      }
      search.value = state.get("q") ?? "";
      for (const [name, choice] of choices) choice.value = [...choice.options].some((o) => o.value === state.get(name)) ? state.get(name) : "";
      filter();
    }
    addEventListener("hashchange", restore, { signal: effbench.view.signal });
    document.addEventListener("hardware", restore, { signal: effbench.view.signal });
    restore();
  }
}

// Two to six methods of one board side by side, with a verdict for each pair.
"use strict";
{
  const MARGIN = 20; // tenths of a percent that do not matter, as in the tables
  const MOST = 6;
  const box = document.getElementById("compare");
  const root = box.dataset.root;
  const boards = effbench.boards;
  const { element, state, quantity } = effbench;
  const load = (address) => new Promise((done, failed) => {
    const script = element("script", { src: address, on: { load: done, error: failed } });
    document.head.append(script);
  });
  const addresses = Object.keys(boards);
  const board = element("select", { id: "board" }, ...addresses.map((address) => element("option", { value: address }, boards[address])));
  const methods = element("fieldset", { class: "choices" });
  const result = element("div", { role: "region", "aria-live": "polite", "aria-label": "Comparison" });
  if (addresses.length) {
    document.documentElement.classList.add("comparing");
    box.append(element("p", {}, element("label", { for: "board" }, "Operating point "), board), methods, result);
    box.hidden = false;
    board.addEventListener("change", () => { state.set("board", board.value); open(); });
    addEventListener("hashchange", open);
    open();
  }

  async function open() {
    // only an address of the list is ever loaded: what stands in the link is not trusted
    const wanted = state.get("board");
    board.value = addresses.includes(wanted) ? wanted : addresses[0];
    const chosen = board.value;
    await Promise.all([load(`${root}${chosen}.js`), load(`${root}${chosen}.pairs.js`)]);
    if (board.value !== chosen) return;
    const known = comparable();
    const named = (state.get("with") ?? "").split(",").filter((name) => known.some((row) => row.name === name));
    const chief = ["method", "control", "baseline"].map((kind) => known.find((row) => row.kind === kind)).filter(Boolean);
    const first = (named.length ? named : chief.length > 1 ? chief.map((row) => row.name) : known.slice(0, 3).map((row) => row.name)).slice(0, MOST);
    methods.replaceChildren(element("legend", {}, `Methods, two to ${MOST}`), ...known.map((row) => element("label", {},
      element("input", { type: "checkbox", value: row.name, checked: first.includes(row.name), on: { change: chosenChanged } }), ` ${row.name}`)));
    show();
  }

  /** What can be compared: the rows with a result, best first, and the baseline from the point where it has one. */
  function comparable() {
    const { metrics, rows, on } = effbench.board;
    const { extra } = effbench.pairs;
    const apart = metrics.filter((metric) => metric.apart), shared = metrics.filter((metric) => !metric.apart);
    const found = rows.map((row, i) => ({ ...row, times: Object.fromEntries(Object.entries(on).map(([name, all]) => [name, all[i]])) }));
    if (extra) {
      const times = Object.entries(extra.on).map(([name, all]) => [name, apart.map((metric) => all[metric.name] ?? null)]);
      found.push({ ...extra, cells: shared.map((metric) => extra.cells[metric.name] ?? null), times: Object.fromEntries(times) });
    }
    return found.filter((row) => row.status === "ok");
  }

  const checked = () => [...methods.querySelectorAll("input:checked")].map((input) => input.value);
  function chosenChanged() {
    state.set("with", checked().join(","));
    show();
  }

  function show() {
    const names = checked();
    methods.querySelectorAll("input").forEach((input) => { input.disabled = !input.checked && names.length >= MOST; });
    if (names.length < 2) {
      result.replaceChildren(element("p", { class: "quiet" }, "Choose two or more."));
      return;
    }
    result.replaceChildren(...verdicts(names), figures(names));
  }

  function scroll(label, table) {
    return element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": label }, table);
  }

  function verdicts(names) {
    const { names: all, metrics, pairs } = effbench.pairs;
    return Object.entries(metrics).map(([metric, title]) => {
      const [value, low, high] = pairs[metric];
      const line = (name) => {
        const i = all.indexOf(name);
        return element("tr", {}, element("th", { scope: "row" }, name), ...names.map((other) => {
          const j = all.indexOf(other);
          const told = value[i]?.[j] !== undefined;
          return i === j ? element("td", { class: "quiet" }, "–") : said(told ? value[i][j] : null, told ? low[i][j] : null, told ? high[i][j] : null);
        }));
      };
      return element("section", {}, element("h2", {}, title), scroll(`${title}, pairs`, element("table", {},
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Row against column"), ...names.map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", {}, ...names.map(line)))));
    });
  }

  function said(value, low, high) {
    if (value === null) return element("td", { class: "quiet" }, "not comparable");
    const percent = (x) => (x === null ? "∞" : `${x > 0 ? "+" : ""}${(x / 10).toFixed(1)}`.replace("-", "−"));
    const word = low !== null && low > 0 ? "better" : high !== null && high < 0 ? "worse" : low !== null && high !== null && low >= -MARGIN && high <= MARGIN ? "same" : "unsure";
    return element("td", {}, element("span", { class: `verdict ${word}` }, word), ` ${percent(value)}\u00a0%`, element("span", { class: "detail" }, `[${percent(low)}, ${percent(high)}]`));
  }

  function figures(names) {
    const { metrics, on } = effbench.board;
    const known = comparable();
    const chosen = names.map((name) => known.find((row) => row.name === name));
    const apart = metrics.filter((metric) => metric.apart);
    const lines = [
      ...metrics.filter((metric) => !metric.apart).map((metric, i) => [metric, chosen.map((row) => row.cells[i])]),
      ...Object.keys(on).flatMap((name) => apart.map((metric, i) => [{ ...metric, title: `${metric.title}, ${name}` }, chosen.map((row) => row.times[name]?.[i] ?? null)])),
    ].filter(([, cells]) => cells.some(Boolean));
    const cell = (metric, found) => {
      if (!found) return element("td", { class: "quiet" }, "–");
      const [value, low, high, n, kind] = found;
      if (kind === "n") return element("td", { class: "quiet" }, "not realised");
      const ends = low !== null && high !== null && low !== high ? `[${quantity(low, metric.unit)}, ${quantity(high, metric.unit)}] ` : "";
      return element("td", { class: "number" }, quantity(value, metric.unit), element("span", { class: "detail" }, kind === "e" ? "exact" : `${ends}n=${n}`));
    };
    return element("section", {}, element("h2", {}, "All figures"), scroll("All figures", element("table", {},
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Figure"),
        ...chosen.map((row) => element("th", { scope: "col" }, element("a", { href: root + row.address }, row.name), element("span", { class: "detail" }, `rank ${row.rank}`))))),
      element("tbody", {}, ...lines.map(([metric, cells]) => element("tr", {}, element("th", { scope: "row" }, metric.title), ...cells.map((found) => cell(metric, found))))))));
  }
}

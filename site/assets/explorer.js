// A board's explorer: limits on any cost, and a plot of any score against any cost, in place of the static pictures.
"use strict";
{
  const { element, state, quantity } = effbench;
  function start(signal) {
    const box = document.getElementById("explorer");
    box.replaceChildren();
    const { on, first } = effbench.board;
    const metrics = effbench.board.metrics.map(asRead);
    const beats = (effbench.board.beats ?? effbench.board.runs.map(unfolded)).map((list) => new Set(list));
    const shared = metrics.findIndex((metric) => metric.apart);
    const times = on[effbench.hardware() ?? first]; // what hangs on the hardware is of the chosen one
    const raw = effbench.board.rows.map((row, i) => (shared < 0 ? row.cells : [...row.cells, ...times?.[i] ?? metrics.slice(shared).map(() => null)]));
    const rows = effbench.board.rows.map((row, i) => ({ ...row, i, cells: raw[i].map((cell, k) => metrics[k].read(cell)) }));
    const good = rows.filter((row) => row.status === "ok");
    const at = new Map(metrics.map((metric, i) => [metric.name, i]));
    const figure = (row, name) => row.cells[at.get(name)];
    const usable = (name) => good.filter((row) => figure(row, name) && figure(row, name)[4] !== "n");
    const drawable = metrics.filter((metric) => usable(metric.name).length > 1);
    const scores = drawable.filter((metric) => metric.score);
    const costs = drawable.filter((metric) => !metric.score);
    if (!scores.length || !costs.length) return false;
    const primary = metrics.find((metric) => metric.score && metric.primary) ?? scores[0];
    const limits = new Map();
    const table = document.querySelector("table[data-main]");
    const rowOf = new Map([...table.tBodies].flatMap((body) => [...body.rows]).map((row) => [row.dataset.name, row]));

    // --- what is within the limits: it fits, it is over one of them, or one of them was not measured ---
    const fits = (row, name, allowed) => (metrics[at.get(name)].better === "lower" ? figure(row, name)[0] <= allowed : figure(row, name)[0] >= allowed);
    const measured = (row, name) => figure(row, name) && figure(row, name)[4] !== "n";
    const over = (row) => [...limits].some(([name, allowed]) => measured(row, name) && !fits(row, name, allowed));
    const unknown = (row) => !over(row) && [...limits].some(([name]) => !measured(row, name));
    const within = (row) => !over(row) && !unknown(row);
    const verdict = element("p", { role: "status", class: "best" });
    const hide = element("input", { type: "checkbox", id: "hide" });
    effbench.hidden = (row) => hide.checked && row.classList.contains("over");
    effbench.shown = () => effbench.shownRows().map((shown) => rows.find((each) => each.name === shown.dataset.name)).filter(Boolean).map((row) => {
      const found = { rank: row.rank, method: row.name, family: row.family, kind: row.kind, status: row.status };
      metrics.forEach((metric, i) => ["", ".low", ".high", ".n"].forEach((part, k) => { found[metric.name + part] = raw[row.i][i]?.[k] ?? null; }));
      return found;
    });

    function explore() {
      const feasible = good.filter(within);
      const best = feasible.filter((row) => figure(row, primary.name) && !feasible.some((other) => beats[other.i].has(row.i)));
      for (const row of good) {
        rowOf.get(row.name)?.classList.toggle("over", over(row));
        rowOf.get(row.name)?.classList.toggle("unknown", unknown(row));
        rowOf.get(row.name)?.classList.toggle("best", limits.size > 0 && best.includes(row));
      }
      const sign = primary.better === "lower" ? 1 : -1;
      best.sort((a, b) => sign * (figure(a, primary.name)[0] - figure(b, primary.name)[0]));
      const names = best.flatMap((row, i) => [["", "; cannot be told apart from it: ", ", "][Math.min(i, 2)],
        element("a", { href: box.dataset.root + row.address }, row.name), `${row.stale ? " (stale)" : ""} ${quantity(figure(row, primary.name)[0], primary.unit)}`]);
      const unmeasured = good.filter(unknown);
      const others = limits.size ? `, ${good.filter(over).length} over them, ${unmeasured.length} not measured` : "";
      verdict.replaceChildren(`${feasible.length} of ${good.length} within the limits${others}. `, ...(best.length ? [`Best by ${primary.title}: `, ...names] : ["None to choose from."]));
      effbench.filter();
      draw();
    }

    function slider(metric) {
      const values = [...new Set(usable(metric.name).map((row) => figure(row, metric.name)[0]))].sort((a, b) => a - b);
      if (metric.better !== "lower") values.reverse();
      const word = metric.better === "lower" ? "at most" : "at least";
      const input = element("input", { type: "range", min: 0, max: values.length, value: values.length, "data-metric": metric.name, "aria-label": metric.title });
      const { of, to, unit } = asked(metric, values);
      const field = element("input", { type: "number", min: 0, step: "any", "data-limit": metric.name, "aria-label": `${metric.title}: ${unit.before}, ${unit.after}` });
      const limit = (allowed) => {
        input.setAttribute("aria-valuetext", allowed === null ? "no limit" : `${word} ${quantity(allowed, metric.unit)}`);
        if (document.activeElement !== field) field.value = allowed === null ? "" : Number(of(allowed).toPrecision(4));
        if (allowed === null) limits.delete(metric.name);
        else limits.set(metric.name, allowed);
      };
      input.addEventListener("input", () => {
        const allowed = values[input.value] ?? null;
        limit(allowed);
        state.set(`max.${metric.name}`, allowed === null ? null : metric.kept(allowed));
        explore();
      });
      field.addEventListener("change", () => {
        const wanted = Number.parseFloat(field.value);
        state.set(`max.${metric.name}`, wanted > 0 ? metric.kept(to(wanted)) : null);
        restore();
        explore();
      });
      const restore = () => {
        // a limit set elsewhere holds as it was set, even where no value of this board lies at it
        const wanted = metric.kept(Number.parseFloat(state.get(`max.${metric.name}`)));
        const free = Number.isNaN(wanted);
        const met = values.filter((value) => (metric.better === "lower" ? value <= wanted : value >= wanted)).length;
        input.value = free ? values.length : Math.max(0, met - 1);
        limit(free ? null : wanted);
      };
      return { restore, label: element("label", { class: "limit" }, element("span", {}, metric.title), element("span", { class: "asked" }, `${unit.before} `, field, ` ${unit.after}`), input) };
    }
    /** A limit as people say it: sizes in a unit that reads well. */
    function asked(metric, values) {
      if (metric.speed) return { of: (speed) => speed, to: (speed) => speed, unit: { before: "at least", after: "× faster" } };
      const most = Math.max(...values.map(Math.abs));
      const [text, after = ""] = ["B", "s", "FLOP", "J", "W"].includes(metric.unit) ? quantity(most, metric.unit).split("\u00a0") : ["", metric.unit];
      const factor = text ? Number(text.replace("−", "-")) / most || 1 : 1;
      const size = 10 ** Math.round(Math.log10(factor));
      return { of: (value) => value * size, to: (value) => value / size, unit: { before: metric.better === "lower" ? "at most" : "at least", after } };
    }
    const common = (metric) => metric.primary || /^(stored_bytes|build\.|memory\.)/.test(metric.name);
    const sliders = costs.map((metric) => ({ metric, ...slider(metric) }));
    const few = sliders.filter(({ metric }) => common(metric)).slice(0, 7);
    const more = sliders.filter((each) => !few.includes(each));

    // --- the plot ---
    const choose = (name, options, chosen) => {
      const select = element("select", { id: `axis-${name}` }, ...options.map((metric) => element("option", { value: metric.name }, metric.title + (metric.unit && metric.unit !== "×" ? ` (${metric.unit})` : ""))));
      select.value = chosen;
      select.addEventListener("change", () => { state.set(name, select.value); draw(); });
      return select;
    };
    const x = choose("x", costs, (costs.find((metric) => metric.primary) ?? costs[0]).name);
    const y = choose("y", scores, (scores.find((metric) => metric.primary) ?? scores[0]).name);
    const plot = element("div", { class: "interactive" });
    const tip = element("div", { class: "tip", hidden: true });
    const reset = element("button", { type: "button", on: { click: () => { sliders.forEach(({ metric }) => state.set(`max.${metric.name}`, null)); restore(); } } }, "No limits");
    const panel = element("section", { "aria-labelledby": "explore" },
      element("h2", { id: "explore" }, "Explore"),
      element("p", { class: "quiet" }, "Set a budget: what is over it fades in plot and table. The address keeps what you set.", ...morePoints()),
      ...groups(),
      element("div", { class: "explore" },
        element("div", { class: "limits" }, ...few.map(({ label }) => label),
          ...(more.length ? [element("details", {}, element("summary", {}, `${more.length} more limits`), ...more.map(({ label }) => label))] : []),
          element("label", { for: "hide" }, hide, " Hide what is over the limits"), reset),
        element("div", { class: "picture" },
          element("div", { class: "controls" }, element("label", {}, "Plot ", y), element("label", {}, "against ", x)),
          verdict, plot, tip, ...pictures(),
          element("p", { class: "quiet" }, "Circles: methods; squares: controls; hollow: stale; arrows: beyond the picture. Blue: the frontier; orange: the best controls, and shaded what they reach. Tab into the plot, then the arrow keys; Enter opens the records."))));
    /** On a board: the way to all points of the problem, with what is set here. */
    function morePoints() {
      const all = document.querySelector("nav.trail a:last-of-type");
      if (!document.querySelector("nav[data-points]") || !all) return [];
      const link = element("a", { href: all.href, on: { click: () => { link.hash = state.read(); } } }, "All operating points in one picture");
      return [" ", link, "."];
    }

    /** The pictures that the explorer takes the place of, to be taken along. */
    function pictures() {
      const on = document.querySelector("input[name='on']:checked")?.id.slice(2);
      const all = [...document.querySelectorAll("#figures figure")].filter((each) => !on || (each.dataset.on ?? on) === on);
      const links = all.flatMap((each) => {
        const link = each.querySelector("a[download][href$='.svg']");
        if (!link) return [];
        const copy = link.cloneNode(true), made = link.nextElementSibling?.matches("button.png") ? element("button", { type: "button", class: "png", on: { click: () => link.nextElementSibling.click() } }, "PNG") : "";
        return [element("li", {}, `${each.querySelector("figcaption").firstChild.textContent.trim()} `, copy, " ", made)];
      });
      return links.length ? [element("details", {}, element("summary", {}, "Pictures for a talk"), element("ul", { class: "links" }, ...links))] : [];
    }

    /** Over all points: which problem. Only what the page lists is ever loaded. */
    function groups() {
      const all = JSON.parse(box.dataset.groups ?? "[]");
      if (all.length < 2) return [];
      const loaded = document.querySelector("script[data-board]");
      const now = all.findIndex(([address]) => loaded.getAttribute("src") === address);
      const choice = element("select", { id: "problem" }, ...all.map(([, title], i) => element("option", { value: i }, title)));
      choice.value = String(now);
      choice.addEventListener("change", () => {
        const script = element("script", { src: all[choice.value][0], "data-board": true, on: { load: effbench.startExplorer } });
        loaded.replaceWith(script);
      });
      return [element("p", {}, element("label", { for: "problem" }, "Problem "), choice)];
    }

    hide.addEventListener("change", () => { state.set("hide", hide.checked ? "1" : null); effbench.filter(); });
    box.append(panel);

    function restore() {
      sliders.forEach((each) => each.restore());
      for (const [name, select] of [["x", x], ["y", y]]) {
        const wanted = state.get(name);
        if ([...select.options].some((option) => option.value === wanted)) select.value = wanted;
      }
      hide.checked = state.get("hide") === "1";
      explore();
    }
    addEventListener("hashchange", restore, { signal });
    addEventListener("resize", draw, { signal });
    table.addEventListener("shown", () => plot.querySelectorAll("a").forEach((mark) => mark.classList.toggle("gone", rowOf.get(mark.dataset.name)?.hidden ?? false)), { signal });
    restore();
    return true;

    function draw() {
      const width = Math.min(860, Math.max(300, plot.clientWidth || 760)); // drawn at the size it has: text is never scaled
      const [height, left, right, top, bottom] = [440, 70, 18, 18, 58];
      const [mx, my] = [metrics[at.get(x.value)], metrics[at.get(y.value)]];
      const points = good.filter((row) => figure(row, mx.name) && figure(row, mx.name)[4] !== "n" && figure(row, my.name))
        .map((row) => ({ row, x: figure(row, mx.name), y: figure(row, my.name) }));
      const frontier = pareto(points, mx, my).sort((a, b) => (mx.better === "lower" ? a.x[0] - b.x[0] : b.x[0] - a.x[0]));
      const controls = pareto(points.filter((each) => !["method", "reference"].includes(each.row.kind)), mx, my);
      const first = [...controls].sort((a, b) => (my.better === "lower" ? 1 : -1) * (a.y[0] - b.y[0])).slice(0, 1);
      const sy = axis(points.map((p) => p.y), my, first.map((p) => p.y[0]), [height - bottom, top]);
      const level = points.filter((p) => holds(sy, p.y[0]));
      const sx = axis(level.map((p) => p.x), mx, level.filter((p) => frontier.includes(p) || controls.includes(p)).map((p) => p.x[0]), [left, width - right]);
      for (const p of points) {
        p.role = frontier.includes(p) ? "frontier" : controls.includes(p) ? "control" : "rest";
        const past = (scale, value, low, high) => (holds(scale, value) ? null : value > scale.domain()[1] ? high : low);
        p.off = past(sy, p.y[0], "down", "triangle") ?? past(sx, p.x[0], "left", "right");
      }
      const svg = d3.create("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("class", "plot").attr("role", "group")
        .attr("aria-label", `${my.title} against ${mx.title}, ${points.length} methods; the data stands in the table`);
      const place = (p) => [hold(sx(p.x[0]), sx), hold(sy(p.y[0]), sy)];
      const inside = svg.append("svg").attr("x", left).attr("y", top).attr("width", width - left - right).attr("height", height - top - bottom)
        .attr("viewBox", `${left} ${top} ${width - left - right} ${height - top - bottom}`);
      for (const p of controls) {
        const [px, py] = place(p);
        const [x1, x2] = mx.better === "lower" ? [px, width - right] : [left, px];
        const [y1, y2] = my.better === "lower" ? [top, py] : [py, height - bottom];
        inside.append("rect").attr("class", "reached").attr("x", x1).attr("y", y1).attr("width", Math.max(0, x2 - x1)).attr("height", Math.max(0, y2 - y1));
      }
      const format = (unit, scale) => {
        const most = Math.max(...scale.domain().map(Math.abs));
        const shown = quantity(most, unit).split("\u00a0")[1] ?? "";
        const factor = ["B", "s", "FLOP", "J", "W"].includes(unit) ? Number(quantity(most, unit).split("\u00a0")[0].replace("−", "-")) / most : 1;
        return { unit: unit === "×" ? "×" : shown || unit, tick: (value) => quantity(Number((value * factor).toPrecision(3)), "").replace(/(\.\d*?)0+(?!\d)/, "$1").replace(/\.(?!\d)/, "") };
      };
      for (const [scale, metric, side] of [[sx, mx, "x"], [sy, my, "y"]]) {
        const { unit, tick } = format(metric.unit, scale);
        const ticks = scale.base ? logTicks(scale.domain()) : scale.ticks(side === "x" ? width / 110 : 6);
        const made = side === "x" ? d3.axisBottom(scale).tickSize(-(height - top - bottom)) : d3.axisLeft(scale).tickSize(-(width - left - right));
        svg.append("g").attr("class", "ticks").attr("aria-hidden", "true")
          .attr("transform", side === "x" ? `translate(0 ${height - bottom})` : `translate(${left} 0)`)
          .call(made.tickValues(ticks).tickFormat(tick).tickPadding(8));
        svg.append("text").attr("class", "axis-title").attr("text-anchor", "middle").text(`${metric.title}${unit ? ` (${unit})` : ""}${scale.base ? ", log scale" : ""}`)
          .attr("transform", side === "x" ? `translate(${(left + width - right) / 2} ${height - 12})` : `translate(16 ${(top + height - bottom) / 2}) rotate(-90)`);
      }
      inside.append("path").attr("class", "frontier").attr("d", frontier.map((p, i) => { const [px, py] = place(p); return i ? `H${px}V${py}` : `M${px} ${py}`; }).join(""));
      const ordered = [...points].sort((a, b) => a.x[0] - b.x[0]);
      const marks = svg.append("g").selectAll("a").data(ordered).join("a")
        .attr("href", (p) => box.dataset.root + p.row.address)
        .attr("data-name", (p) => p.row.name)
        .attr("tabindex", (p, i) => (i ? -1 : 0))
        .attr("aria-label", (p) => `${p.row.name}${p.row.kind === "method" ? "" : `, ${p.row.kind}`}: ${said(my, p.y)}, ${said(mx, p.x)}`)
        .attr("class", (p) => `role-${p.role}${p.row.kind === "method" ? "" : " control"}${p.row.stale ? " stale" : ""}${within(p.row) ? "" : " over"}${rowOf.get(p.row.name)?.hidden ? " gone" : ""}`);
      marks.filter((p) => p.role !== "rest" && !p.off).append("path").attr("class", "bar").attr("d", (p) => {
        const [px, py] = place(p);
        return `${bar(p.y, (a, b) => `M${px} ${hold(sy(a), sy)}V${hold(sy(b), sy)}`)}${bar(p.x, (a, b) => `M${hold(sx(a), sx)} ${py}H${hold(sx(b), sx)}`)}`;
      });
      marks.append("use").attr("class", "mark").attr("href", (p) => `#m-${p.off ?? (p.row.kind === "method" ? "circle" : "square")}`).attr("x", (p) => place(p)[0]).attr("y", (p) => place(p)[1]);
      marks.on("mouseenter focus", (event, p) => show(p, event.currentTarget)).on("mouseleave blur", () => { tip.hidden = true; })
        .on("keydown", (event, p) => {
          const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
          if (event.key === "Escape") tip.hidden = true;
          if (!step) return;
          event.preventDefault();
          const nodes = marks.nodes();
          const next = nodes[(ordered.indexOf(p) + step + nodes.length) % nodes.length];
          nodes.forEach((node) => node.setAttribute("tabindex", node === next ? 0 : -1));
          next.focus();
        });
      labels(points, place, svg, [left, top, width - right, height - bottom]);
      const beyond = [["triangle", "↑", top + 24], ["down", "↓", height - bottom - 14], ["right", "→", height / 2], ["left", "←", height / 2]];
      for (const [edge, arrow, y] of beyond) {
        const count = points.filter((p) => p.off === edge).length;
        if (count) {
          svg.append("text").attr("class", "label quiet").attr("x", edge === "left" ? left + 14 : width - right - 4).attr("y", y)
            .attr("text-anchor", edge === "left" ? "start" : "end").text(`${count} off scale ${arrow}`);
        }
      }
      const focused = document.activeElement?.closest?.(".interactive a")?.dataset.name;
      plot.replaceChildren(svg.node());
      if (focused) [...plot.querySelectorAll("a")].find((mark) => mark.dataset.name === focused)?.focus();

      function show(p, mark) {
        tip.replaceChildren(element("strong", {}, p.row.name), ` ${p.row.kind === "method" ? p.row.family : p.row.kind}, rank ${p.row.rank}`,
          ...[[my, p.y], [mx, p.x]].map(([metric, found]) => element("div", {}, said(metric, found))));
        tip.hidden = false;
        const outer = tip.offsetParent.getBoundingClientRect();
        const spot = mark.querySelector(".mark").getBoundingClientRect();
        tip.style.left = `${Math.max(0, Math.min(spot.left - outer.left + 14, outer.width - tip.offsetWidth))}px`;
        tip.style.top = `${spot.top - outer.top - tip.offsetHeight - 6}px`;
      }
    }

    function said(metric, [value, low, high, n]) {
      const ends = low !== null && high !== null && low !== high ? ` [${quantity(low, metric.unit)}, ${quantity(high, metric.unit)}]` : "";
      return `${metric.title} ${quantity(value, metric.unit)}${ends}, n=${n}`;
    }
  }

  /** A metric as people read it: a time against the baseline's as a speed-up. kept: between that and what addresses
      keep. */
  function asRead(metric) {
    const speed = /\.ratio$/.test(metric.name) && !/energy/.test(metric.name) && metric.better === "lower";
    if (!speed) return { ...metric, speed, read: (cell) => cell, kept: (value) => value };
    const over = (value) => (value ? 1 / value : null);
    const read = (cell) => cell && [1 / cell[0], over(cell[2]), over(cell[1]), ...cell.slice(3)];
    return { ...metric, speed, title: `${metric.title}, as speed-up`, unit: "×", better: "higher", read, kept: (value) => 1 / value };
  }

  /** Runs, as first and length, as a list. */
  function unfolded(runs) {
    const list = [];
    for (let k = 0; k < runs.length; k += 2) for (let i = 0; i < runs[k + 1]; i += 1) list.push(runs[k] + i);
    return list;
  }

  const holds = (scale, value) => value >= scale.domain()[0] && value <= scale.domain()[1];
  const hold = (pixel, scale) => Math.min(Math.max(...scale.range()), Math.max(Math.min(...scale.range()), pixel));
  const bar = ([, low, high], path) => (low === null || high === null || low === high ? "" : path(low, high));

  /** Lowest and highest of the values that are worth a look, as the static pictures have them (bench/publish/axis.py). */
  function useful(values, better, kept) {
    const sign = better === "lower" ? 1 : -1;
    const ordered = [...values].sort((a, b) => sign * (a - b));
    const [best, worst, last] = [ordered[0], ordered.at(-1), ordered.length - 1];
    if (ordered.length < 5) return [Math.min(best, worst), Math.max(best, worst)];
    const wide = better === "lower" && best > 0 && worst / best > 30;
    const [first, third] = [ordered[Math.floor(0.25 * last)], ordered[Math.ceil(0.75 * last)]];
    const fence = wide ? Math.max(10 * best, ordered[Math.floor(ordered.length / 4)]) : third + 1.5 * (third - first);
    const near = ordered.filter((value) => sign * (value - fence) <= 0);
    let edge = [near.at(-1), ...kept.filter((value) => !wide || value <= 100 * best)].sort((a, b) => sign * (b - a))[0];
    if (Math.abs(worst - best) < 1.5 * Math.abs(edge - best)) edge = worst;
    return [Math.min(best, edge), Math.max(best, edge)];
  }

  /** As people read them: 50, 100, 200. */
  function logTicks([low, high]) {
    const decades = d3.range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)) + 1);
    let ticks = [];
    for (const [leads, most] of [[[1, 1.5, 2, 3, 4, 5, 7], 5], [[1, 2, 3, 5], 8], [[1, 2, 5], 8], [[1], 8]]) {
      ticks = decades.flatMap((decade) => leads.map((lead) => Number((lead * 10 ** decade).toPrecision(3)))).filter((value) => value >= low && value <= high);
      if (ticks.length <= most) return ticks;
    }
    return ticks.filter((_, i) => i % Math.ceil(ticks.length / 8) === 0);
  }

  /** A scale over the useful range, logarithmic where that spans more than a factor of five; bars are held inside. */
  function axis(all, metric, kept, range) {
    let [low, high] = useful(all.map(([value]) => value), metric.better, kept);
    const figures = all.filter(([value]) => value >= low && value <= high);
    const log = low > 0 && high / low > 5;
    const reach = log ? Math.sqrt(high / low) : Math.max(high - low, 0.15 * Math.abs(high));
    for (const [, a, b] of figures) {
      if (a !== null && a >= (log ? low / reach : low - reach)) low = Math.min(low, a);
      if (b !== null && b <= (log ? high * reach : high + reach)) high = Math.max(high, b);
    }
    if (log) return d3.scaleLog([low / (high / low) ** 0.07, high * (high / low) ** 0.07], range);
    const pad = 0.07 * (high - low) || 0.1 * Math.abs(high) || 1;
    return d3.scaleLinear([low >= 0 ? Math.max(0, low - pad) : low - pad, high + pad], range);
  }

  /** Points that no other is at least as good as in both and better in one. */
  function pareto(points, mx, my) {
    const signed = (p) => [mx.better === "lower" ? p.x[0] : -p.x[0], my.better === "lower" ? p.y[0] : -p.y[0]];
    return points.filter((p) => {
      const [a, b] = signed(p);
      return !points.some((other) => { const [c, d] = signed(other); return c <= a && d <= b && (c < a || d < b); });
    });
  }

  /** One label a point where it covers no point, no other label and not the frontier: first the frontier's names, then the
      best controls'; the others' only where there are few. */
  function labels(points, place, svg, [left, top, right, bottom]) {
    const taken = points.map((p) => { const [px, py] = place(p); return [px - 6, py - 6, px + 6, py + 6]; });
    const frontier = points.filter((p) => p.role === "frontier").sort((a, b) => a.x[0] - b.x[0]);
    const corners = frontier.map(place);
    corners.forEach(([x, y], i) => {
      if (!i) return;
      const [before, level] = corners[i - 1];
      taken.push([Math.min(before, x), level - 1, Math.max(before, x), level + 1], [x - 1, Math.min(level, y), x + 1, Math.max(level, y)]);
    });
    const wanted = ["frontier", "control", "rest"].flatMap((role) => points.filter((p) => p.role === role && !p.off && (role !== "rest" || points.length <= 12)));
    const group = svg.append("g").attr("aria-hidden", "true");
    for (const p of wanted) {
      const [px, py] = place(p);
      const name = p.row.stale ? `${p.row.name} (stale)` : p.row.name;
      const width = 6.4 * name.length;
      for (const [dx, dy, anchor] of [[10, 4, "start"], [-10, 4, "end"], [0, -11, "middle"], [0, 20, "middle"], [9, -8, "start"], [9, 17, "start"], [-9, -8, "end"], [-9, 17, "end"]]) {
        const x1 = px + dx - (anchor === "end" ? width : anchor === "middle" ? width / 2 : 0);
        const box = [x1, py + dy - 11, x1 + width, py + dy + 3];
        if (box[0] < left || box[2] > right || box[1] < top || box[3] > bottom) continue;
        if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
        taken.push(box);
        group.append("text").attr("class", "label").attr("x", px + dx).attr("y", py + dy).attr("text-anchor", anchor).text(name);
        break;
      }
    }
  }

  /** Once for each view and hardware. The page keeps the explorer's place free; with nothing to explore the static
      pictures are back. */
  let running = new AbortController();
  effbench.startExplorer = () => {
    running.abort();
    const mine = running = new AbortController();
    effbench.view.signal.addEventListener("abort", () => mine.abort());
    document.addEventListener("hardware", effbench.startExplorer, { signal: mine.signal });
    document.documentElement.classList.toggle("unexplored", !("d3" in window && effbench.board && start(mine.signal)));
  };
  effbench.startExplorer();
}

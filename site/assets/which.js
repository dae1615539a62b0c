// The front page's question: model, goal and budget are chosen, and the answer is looked up. No statistics here: the
// answers for every budget come with the page, see bench/publish/questions.py.
"use strict";
{
  const { element, state } = effbench;
  const { goals, subjects } = effbench.which;
  const place = document.getElementById("ask");
  const loaded = new Map();

  /** The answers of a suite, loaded once. */
  function answers(subject) {
    const known = () => effbench[`answers/${subject.suite}`];
    if (known()) return Promise.resolve(known());
    if (!loaded.has(subject.file)) {
      loaded.set(subject.file, new Promise((done, failed) => {
        const script = element("script", { src: subject.file, on: { load: () => done(known()), error: failed } });
        document.head.append(script);
      }));
    }
    return loaded.get(subject.file);
  }

  const choice = (id, options, work) => element("select", { id, on: { change: work } }, ...options);
  const option = (value, text) => element("option", { value }, text);
  const byArea = Map.groupBy ? Map.groupBy(subjects, (each) => each.area) : subjects.reduce((all, each) => all.set(each.area, [...(all.get(each.area) ?? []), each]), new Map());
  const subjectOf = () => subjects.find((each) => each.id === model.value) ?? subjects[0];
  const asked = () => subjectOf().questions.filter((each) => `${each.goal} ${each.metric} ${each.title}` === goal.value);
  const question = () => asked().find((each) => each.hardware === hardware.value) ?? asked()[0];

  const model = choice("ask-model", [...byArea].map(([area, all]) => element("optgroup", { label: area }, ...all.map((each) => option(each.id, each.title)))), () => { goalsOf(); ask(); });
  const goal = choice("ask-goal", [], () => { hardwareOf(); ask(); });
  const hardware = choice("ask-hardware", [], () => { ask(); });
  const budget = element("input", { id: "ask-budget", type: "number", min: "0", step: "any", inputmode: "decimal", on: { input: () => answer() } });
  const before = element("span"), after = element("span"), chips = element("span", { class: "chips" });
  const labelled = (text, control) => element("div", { class: "field" }, element("label", { for: control.id }, text), control);
  const onHardware = labelled("Hardware", hardware);
  const withBudget = element("div", { class: "budget" }, element("label", { for: "ask-budget" }, "Budget"), element("span", { class: "amount" }, before, budget, after), chips);
  const result = element("div", { id: "answer", class: "answer", "aria-live": "polite" });
  place.append(
    element("div", { class: "asking" },
      labelled("Model and task", model), labelled("Goal", goal), onHardware, withBudget),
    result,
  );

  /** How a budget is typed: its unit, and what one of it is of the limit. */
  function unit(each) {
    if (each.speed) return { before: "at least", after: "× as fast", limit: (typed) => 1 / typed, typed: (limit) => 1 / limit };
    if (each.share) return { before: "at most", after: "%", limit: (typed) => typed / 100, typed: (limit) => 100 * limit };
    const million = Math.max(...each.levels.map((level) => level.limit)) >= 1e6 ? 1e6 : 1;
    return { before: "at most", after: `${million > 1 ? "million" : ""} ${each.unit}`.trim(), limit: (typed) => typed * million, typed: (limit) => limit / million };
  }
  const round = (value) => String(Number(value.toPrecision(4)));

  function goalsOf(wanted) {
    const known = new Map(subjectOf().questions.map((each) => [`${each.goal} ${each.metric} ${each.title}`, each]));
    goal.replaceChildren(...[...known].map(([key, each]) => option(key, each.title ? `${goals[each.goal]}: ${each.title}` : `${goals[each.goal]}: ${each.levels[0].said}`)));
    if (known.has(wanted)) goal.value = wanted;
    hardwareOf();
  }

  function hardwareOf(wanted) {
    const names = asked().map((each) => each.hardware).filter(Boolean);
    const kept = wanted ?? hardware.value;
    hardware.replaceChildren(...names.map((name) => option(name, name)));
    if (names.includes(kept)) hardware.value = kept;
    onHardware.hidden = names.length === 0;
    const each = question(), as = unit(each);
    withBudget.hidden = !each.metric;
    [before.textContent, after.textContent] = [as.before, as.after];
    const middle = each.levels[Math.min(1, each.levels.length - 1)];
    budget.value = each.metric ? round(as.typed(middle.limit)) : "";
    chips.replaceChildren(...(each.metric ? each.levels : []).map((level) => element("button", { type: "button", title: level.said, on: { click: () => { budget.value = round(as.typed(level.limit)); answer(); } } }, `${round(as.typed(level.limit))}${each.speed ? "×" : each.share ? " %" : ""}`)));
  }

  /** Another question: its answers, once they are here. */
  let turn = 0;
  async function ask() {
    const mine = ++turn;
    try {
      await answers(subjectOf());
      if (mine === turn) answer();
    } catch {
      result.replaceChildren(element("p", {}, "The answers could not be loaded; they stand in the tables below too."));
    }
  }

  function answer() {
    const each = question(), as = unit(each);
    const found = effbench[`answers/${subjectOf().suite}`]?.[each.id];
    if (!found) return;
    const typed = Number(budget.value);
    const limit = each.metric ? as.limit(typed) : 0;
    state.set("model", subjectOf().id);
    state.set("goal", goal.value);
    state.set("on", onHardware.hidden ? null : hardware.value);
    state.set("at", each.metric ? budget.value : null);
    if (each.metric && !(typed > 0)) {
      result.replaceChildren(element("p", { class: "headline" }, "Type a number above 0."));
      return;
    }
    const step = found.steps.filter((one) => one.limit <= limit * (1 + 1e-9)).at(-1);
    result.replaceChildren(...(step ? shown(each, found, step, limit) : nothing(found, as)));
  }

  const quiet = (...text) => element("span", { class: "quiet" }, ...text);
  const detail = (...text) => element("span", { class: "detail" }, ...text);
  const list = (names, more) => names.length === 1 && !more ? names[0] : more ? `${names.join(", ")} and ${more} more` : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

  function shown(each, found, step, limit) {
    const names = step.first.map((pick) => pick.name);
    const one = names.length + step.more === 1;
    const on = each.speed ? `on=${encodeURIComponent(each.hardware)}&` : "";
    const board = `${step.first[0].board}${each.speed || each.share ? `#${on}max.${each.metric}=${Number(limit.toPrecision(6))}` : ""}`;
    const headline = element("p", { class: "headline" }, element("strong", {}, list(names, step.more)),
      one ? (step.of === 1 ? " is the only one within the limit" : ` is the best of ${step.of} within the limit`) : ` are not told apart, of ${step.of} within the limit`);
    const base = found.dense ? `${found.score}; ${found.baseline}: ${found.dense.text}` : found.score;
    const head = ["Method", base, "Over the best simple control", "Speed, measured", "Takes"].map((text) => element("th", { scope: "col" }, text));
    const rows = step.first.map((pick) => row(pick, step.control));
    return [
      headline,
      element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "The answer" },
        element("table", { class: "answers" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows))),
      element("p", { class: "quiet" }, element("a", { href: board }, "See the board with this limit"),
        each.speed ? `. Timed there: ${found.measured} of ${found.of} that have a result` : "", found.stale ? `. Left out as stale: ${found.stale}` : "", "."),
    ];
  }

  function nothing(found, as) {
    const least = found.least;
    if (!least) {
      return [element("p", { class: "headline" }, found.stale ? `No result of today's code; ${found.stale} stale ones, of which none is named best.` : found.of ? "Not measured." : "No method is better than guessing here.")];
    }
    return [
      element("p", { class: "headline" }, "Nothing that was measured is within this limit."),
      element("p", {}, "The nearest is ", element("a", { href: least.address }, least.name), ` at ${round(as.typed(least.cost))}${as.after.startsWith("×") ? as.after : ` ${as.after}`}.`,
        found.measured < found.of ? ` Measured: ${found.measured} of ${found.of} that have a result; what was not measured may do it.` : ""),
    ];
  }

  function row(pick, control) {
    const cell = (label, ...content) => element("td", { "data-label": label }, ...content);
    const tag = (text, kind = "") => element("span", { class: `tag ${kind}`.trim() }, text);
    const method = [element("a", { href: pick.address }, pick.name), pick.kind === "method" ? "" : " ", pick.kind === "method" ? "" : tag(pick.kind), pick.few_seeds ? tag("few seeds", "stale") : "", detail(pick.family)];
    const margin = pick.margin ? [element("span", { class: `verdict ${pick.margin.word}` }, pick.margin.text), detail(`${pick.margin.interval} over ${control}`)]
      : [quiet(control === pick.name ? "is the best control" : "no control within the limit")];
    const speeds = pick.speeds.slice(0, 2).map((each) => element("span", { class: "speed" },
      each.speeds.map((one) => `${one.text} ${one.title.toLowerCase()}`).join(", "), each.stale ? " " : "", each.stale ? tag("stale", "stale") : "",
      element("span", { class: "detail", title: each.processor }, each.hardware)));
    return element("tr", {}, cell("Method", ...method),
      cell("Score", pick.score.text, " ", detail(`${pick.score.interval} ${pick.dense ? `${pick.dense} than the baseline` : ""}`)),
      cell("Over control", ...margin), cell("Speed", ...(speeds.length ? speeds : [quiet("not measured")])),
      cell("Takes", pick.bytes || pick.cost || "–", pick.bytes && pick.cost ? detail(pick.cost) : ""));
  }

  function restore() {
    const wanted = state.get("model");
    if (subjects.some((each) => each.id === wanted)) model.value = wanted;
    goalsOf(state.get("goal"));
    hardwareOf(state.get("on") ?? undefined);
    if (Number(state.get("at")) > 0) budget.value = state.get("at");
    ask();
  }
  addEventListener("hashchange", () => { if (location.hash.includes("=")) restore(); });
  const quietly = !location.hash.includes("=");
  restore();
  if (quietly) history.replaceState(null, "", location.pathname + location.search + location.hash);
}

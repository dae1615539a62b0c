// From one operating point to the next without another page: a point's table and data take the place of those shown.
// Where that can't be done (file://, no network) the link is followed as any other.
"use strict";
{
  const { element, state } = effbench;
  const JUMP = "nav[data-points] a";
  const named = (address) => new URL(address, location.href).pathname;
  const points = new Map(); // by path: a promise of the page's text and its data
  let shown = location.pathname;
  let current = effbench.board;
  let turn = 0;
  const said = element("p", { role: "status", class: "unseen" });
  document.body.append(said);

  /** Text and data of a point, asked for once. Rejects where either can't be had. */
  function take(path) {
    if (!points.has(path)) {
      const taken = Promise.all([text(path), board(path)]);
      taken.catch(() => points.delete(path));
      points.set(path, taken);
    }
    return points.get(path);
  }

  async function text(path) {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.text();
  }

  /** The data comes as a script, as it does with a page; what is shown now keeps its own. */
  function board(path) {
    return new Promise((done, failed) => {
      const load = () => {
        const found = effbench.board;
        effbench.board = current;
        script.remove();
        done(found);
      };
      const script = element("script", { src: path.replace(/\.html$/, "") + ".js", on: { load, error: failed } });
      document.head.append(script);
    });
  }

  /** Show the point of an address, as a new entry of the history or as the one that the visitor went to. */
  async function show(address, isNew) {
    const mine = ++turn;
    const path = named(address);
    try {
      const [html, data] = await take(path);
      if (mine !== turn) return; // another was asked for meanwhile
      const page = new DOMParser().parseFromString(html, "text/html");
      const main = page.querySelector("main");
      if (!main) throw new Error(`${path}: not a page of this site`);
      effbench.view.abort();
      effbench.view = new AbortController();
      effbench.board = current = data;
      document.querySelector("main").replaceWith(main);
      document.querySelector("script[data-board]").setAttribute("src", page.querySelector("script[data-board]").getAttribute("src"));
      document.title = page.title;
    } catch {
      if (isNew) location.assign(address);
      else location.reload();
      return;
    }
    shown = path;
    if (isNew) history.pushState(null, "", address);
    effbench.startTables();
    effbench.startChoosing();
    effbench.startExplorer();
    if (isNew) forget();
    const heading = document.querySelector("h1");
    heading.tabIndex = -1;
    heading.focus();
    said.textContent = heading.textContent;
  }

  /** Drop from the address what this point has no place for: a facet's value, a column, an axis, a limit. */
  function forget() {
    const has = (selector, value) => document.querySelector(selector)?.value === value;
    for (const [name, value] of state.read()) {
      const kept = name === "q" || name === "hide" || name === "with" || (name === "on" && effbench.hardware() === value)
        || (name === "sort" && document.querySelector("table[data-main] th[aria-sort]"))
        || (name.startsWith("max.") && document.querySelector(`input[data-metric="${CSS.escape(name.slice(4))}"]`))
        || has(`#axis-${CSS.escape(name)}`, value) || has(`select[data-facet="${CSS.escape(name)}"]`, value);
      if (!kept) state.set(name, null);
    }
  }

  const inPlace = /^https?:$/.test(location.protocol);
  const jump = (event) => event.target.closest?.(JUMP);
  document.addEventListener("click", (event) => {
    const link = jump(event);
    if (!link) return;
    link.hash = state.read(); // what is set here holds there too, also in another tab
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!inPlace || !plain || link.pathname === shown) return;
    event.preventDefault();
    show(link.href, true);
  });
  if (inPlace) {
    const ahead = (event) => {
      const link = jump(event);
      if (link && link.pathname !== shown) take(link.pathname).catch(() => {}); // the click will tell
    };
    document.addEventListener("pointerover", ahead);
    document.addEventListener("focusin", ahead);
    addEventListener("popstate", () => {
      turn += 1; // what is still on its way is not wanted any more
      if (location.pathname !== shown) show(location.href, false);
    });
  }
}

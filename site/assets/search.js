// Search over methods, papers, families and suites, from every page. What there is to find is loaded when the field is
// first used; from a file:// address a page may load a script but may not fetch a file, hence the script.
"use strict";
{
  const { element } = effbench;
  const root = document.currentScript.dataset.root;
  const MOST = 12;
  const place = document.getElementById("site-search");
  const field = element("input", { type: "text", id: "find", placeholder: "Method, paper, family…", autocomplete: "off", "aria-label": "Search methods, papers, families" });
  const found = element("ul", { id: "found", class: "found", "aria-label": "Found", hidden: true });
  const said = element("span", { role: "status", class: "unseen" });
  place.append(field, found, said);

  let loading = null;
  function load() {
    loading ??= new Promise((done, failed) => {
      document.head.append(element("script", { src: `${root}data/search.js`, on: { load: () => done(effbench.search), error: failed } }));
    });
    return loading;
  }

  const text = (entry) => entry.slice(1).join(" ").toLowerCase();
  /** Each word has to be there; a name that begins with what was typed goes first. */
  function matches(all, typed) {
    const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
    const rank = (entry) => (entry[2].toLowerCase().startsWith(words[0]) || entry[1].toLowerCase().startsWith(words[0]) ? 0 : entry[2].toLowerCase().includes(words[0]) ? 1 : 2);
    return words.length ? all.filter((entry) => words.every((word) => text(entry).includes(word))).sort((a, b) => rank(a) - rank(b)) : [];
  }

  async function show() {
    const typed = field.value;
    let all;
    try {
      all = await load();
    } catch {
      loading = null;
      return;
    }
    if (typed !== field.value) return;
    const hits = matches(all, typed);
    found.replaceChildren(...hits.slice(0, MOST).map(([address, title, slug, kind, suite, family, paper]) =>
      element("li", {}, element("a", { href: root + address }, element("strong", {}, title), ` ${slug === title ? "" : slug} `,
        element("span", { class: "detail" }, [kind, suite, family, paper].filter(Boolean).join(" · "))))));
    if (!hits.length) found.append(element("li", {}, "Nothing found."));
    if (hits.length > MOST) found.append(element("li", { class: "quiet" }, `and ${hits.length - MOST} more: type more letters`));
    found.hidden = !typed.trim();
    said.textContent = found.hidden ? "" : `${hits.length} found`;
  }

  const close = () => { found.hidden = true; };
  field.addEventListener("focus", () => { load().catch(() => { loading = null; }); });
  field.addEventListener("input", show);
  place.addEventListener("keydown", (event) => {
    const stops = [field, ...found.querySelectorAll("a")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && !found.hidden) {
      event.preventDefault();
      stops[Math.max(0, Math.min(stops.length - 1, stops.indexOf(document.activeElement) + step))].focus();
    } else if (event.key === "Enter" && event.target === field) stops[1]?.click();
    else if (event.key === "Escape") {
      field.focus();
      close();
    }
  });
  place.addEventListener("focusout", (event) => { if (!place.contains(event.relatedTarget)) close(); });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea")) return;
    event.preventDefault();
    field.focus();
  });
}

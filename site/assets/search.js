// Search over methods, papers, families and suites, from every page. What there is to find is loaded when the field is
// first used; from a file:// address a page may load a script but may not fetch a file, hence the script.
"use strict";
{
  const { element } = effbench;
  const root = document.currentScript.dataset.root;
  const MOST = 12;
  const place = document.getElementById("site-search");
  const field = element("input", { type: "search", id: "find", placeholder: "Method, paper, family…", autocomplete: "off", role: "combobox", "aria-expanded": "false", "aria-controls": "found", "aria-label": "Search methods, papers, families" });
  const found = element("ul", { id: "found", class: "found", role: "listbox", "aria-label": "Found", hidden: true });
  place.append(field, found);

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
    // address, title, slug, kind, suite, family, paper
    found.replaceChildren(...hits.slice(0, MOST).map(([address, title, slug, kind, suite, family, paper], i) =>
      element("li", { role: "option", id: `hit-${i}`, "aria-selected": "false" }, element("a", { href: root + address, tabindex: "-1" },
        element("strong", {}, title), ` ${slug === title ? "" : slug} `, element("span", { class: "detail" }, [kind, suite, family, paper].filter(Boolean).join(" · "))))));
    if (typed.trim() && !hits.length) found.replaceChildren(element("li", { role: "option", "aria-selected": "false", "aria-disabled": "true" }, "Nothing found."));
    if (hits.length > MOST) found.append(element("li", { role: "option", "aria-selected": "false", "aria-disabled": "true", class: "quiet" }, `and ${hits.length - MOST} more: type more letters`));
    found.hidden = !typed.trim();
    field.setAttribute("aria-expanded", String(!found.hidden));
    choose(-1);
  }

  let chosen = -1;
  function choose(index) {
    const options = [...found.querySelectorAll("li")].filter((each) => each.querySelector("a"));
    chosen = options.length ? Math.max(-1, Math.min(options.length - 1, index)) : -1;
    options.forEach((each, i) => each.setAttribute("aria-selected", String(i === chosen)));
    if (chosen < 0) field.removeAttribute("aria-activedescendant");
    else {
      field.setAttribute("aria-activedescendant", options[chosen].id);
      options[chosen].scrollIntoView({ block: "nearest" });
    }
  }
  const close = () => { found.hidden = true; field.setAttribute("aria-expanded", "false"); };
  field.addEventListener("focus", () => { load().catch(() => { loading = null; }); });
  field.addEventListener("input", show);
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter") {
      (found.querySelectorAll("a")[Math.max(0, chosen)])?.click();
    } else if (event.key === "Escape") close();
  });
  place.addEventListener("focusout", (event) => { if (!place.contains(event.relatedTarget)) close(); });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea")) return;
    event.preventDefault();
    field.focus();
  });
}

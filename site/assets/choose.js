// Of a board: a button in each row that adds it to a comparison, and pictures that can be taken along as PNG.
"use strict";
{
  const { element, state } = effbench;
  const MOST = 6; // as many as the page of the comparison takes

  /** Once for each view. What is chosen stands in the address. */
  effbench.startChoosing = () => {
    pictures();
    const link = document.querySelector("a[data-compare]");
    if (!link) return;
    const rows = [...document.querySelectorAll("table[data-main] tr[data-status='ok'][data-name]")];
    const names = new Set(rows.map((row) => row.dataset.name));
    const target = link.getAttribute("href");
    const buttons = new Map();
    const chosen = () => (state.get("with") ?? "").split(",").filter((name) => names.has(name)).slice(0, MOST);
    const show = () => {
      const now = chosen();
      for (const [name, button] of buttons) {
        const on = now.includes(name);
        button.setAttribute("aria-pressed", String(on));
        button.textContent = on ? "✓ compared" : "+ compare";
        button.disabled = !on && now.length >= MOST;
      }
      link.setAttribute("href", target + (now.length ? `&with=${encodeURIComponent(now.join(","))}` : ""));
      link.textContent = now.length ? `Compare ${now.length} of them` : "Compare methods";
    };
    for (const row of rows) {
      const { name } = row.dataset;
      const button = element("button", { type: "button", class: "add", "aria-label": `Compare ${name}`, on: { click: () => {
        const now = chosen();
        state.set("with", (now.includes(name) ? now.filter((each) => each !== name) : [...now, name]).join(","));
        show();
      } } });
      buttons.set(name, button);
      row.querySelector("th").append(button);
    }
    addEventListener("hashchange", show, { signal: effbench.view.signal });
    show();
  };

  /** Beside each SVG a PNG of it, twice as large. From files a browser does not let a page read its own pictures. */
  function pictures() {
    if (!/^https?:$/.test(location.protocol)) return;
    for (const svg of document.querySelectorAll("a[download][href$='.svg']")) {
      if (svg.nextElementSibling?.matches("button.png")) continue;
      svg.after(" ", element("button", { type: "button", class: "png", on: { click: () => png(svg.href) } }, "PNG"));
    }
  }

  async function png(address) {
    const picture = new Image();
    picture.src = address;
    await picture.decode();
    const canvas = element("canvas", { width: 2 * picture.naturalWidth, height: 2 * picture.naturalHeight });
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    effbench.download(address.split("/").at(-1).replace(/\.svg$/, ".png"), "image/png", blob);
  }

  effbench.startChoosing();
}

"use strict";
// the page: theme, contents, tables, copying, printing; figures.js draws
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // ------------------------------------------------------------------------------- theme
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const toggle = document.getElementById("theme");
  const named = () => { toggle.textContent = dark() ? "light" : "dark"; };
  named();
  toggle.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("mmauto-theme", root.dataset.theme); } catch { /* not allowed here */ }
    named();
    figures.draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { named(); figures.draw(); });

  // ---------------------------------------------------------------------------- contents
  const links = all("nav a");
  const menu = document.getElementById("menu");
  const sections = links.map((link) => document.getElementById(link.hash.slice(1)));
  const mark = () => {
    const end = innerHeight + scrollY >= root.scrollHeight - 2 && scrollY > 0;
    let current = 0;
    sections.forEach((section, place) => {
      if (section.getBoundingClientRect().top < innerHeight / 3) current = place;
    });
    if (end) current = sections.length - 1;
    links.forEach((link, place) => {
      if (place !== current) { link.removeAttribute("aria-current"); return; }
      if (!link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "location");
        menu.querySelector("span").textContent = link.textContent;
      }
    });
  };
  const open = (state) => menu.setAttribute("aria-expanded", String(state));
  if (links.length) {
    mark();
    addEventListener("scroll", () => requestAnimationFrame(mark), { passive: true });
    menu.addEventListener("click", () => open(menu.getAttribute("aria-expanded") !== "true"));
    addEventListener("keydown", (event) => { if (event.key === "Escape") open(false); });
    for (const link of links) link.addEventListener("click", () => open(false));
  }

  // ------------------------------------------------------------------------------ tables
  const number = (cell) => cell.dataset.sort === undefined ? NaN : parseFloat(cell.dataset.sort);
  for (const table of all("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      const numeric = rows.some((row) => !isNaN(number(row.cells[column])));
      rows.sort((a, b) => {
        const [one, two] = [a.cells[column], b.cells[column]];
        // a dash is neither small nor large: it stays at the end, whichever way
        if (numeric && (isNaN(number(one)) || isNaN(number(two)))) return isNaN(number(one)) - isNaN(number(two));
        const order = numeric ? number(one) - number(two) : one.textContent.localeCompare(two.textContent);
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    }));
  }
  for (const finder of all(".finder")) {
    const [box, told] = finder.children;
    const rows = all("tbody tr", finder.parentElement);
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const cells = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
        row.hidden = !words.every((word) => cells.includes(word));
      }
      const left = rows.filter((row) => !row.hidden).length;
      told.textContent = box.value.trim() ? `${left} of ${rows.length}` : "";
    });
  }

  // --------------------------------------------------------------------------------- CSV
  const inert = (cell) => typeof cell === "string" && /^[=+\-@\t\r]/.test(cell) && isNaN(cell)
    ? `'${cell}` : String(cell ?? "");
  const written = (cell) => /[",\n\r]/.test(inert(cell))
    ? `"${inert(cell).replaceAll('"', '""')}"` : inert(cell);
  const tabled = (table) => [
    [...table.tHead.rows[0].cells].map((head) => head.textContent),
    ...[...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => [...row.cells].map(
      (cell) => cell.dataset.sort !== undefined ? Number(cell.dataset.sort)
        : cell.textContent === "–" ? "" : cell.textContent)),
  ];
  for (const button of all(".csv")) {
    button.addEventListener("click", () => {
      const table = button.closest("figure").querySelector("table");
      const rows = table ? tabled(table) : figures.rows(button.dataset.name);
      const text = rows.map((row) => row.map(written).join(",") + "\r\n").join("");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      link.download = `${button.dataset.name}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const text = button.nextElementSibling.textContent;
      try { await navigator.clipboard.writeText(text); button.textContent = "copied"; }
      catch { getSelection().selectAllChildren(button.nextElementSibling); button.textContent = "selected"; }
    });
  }

  for (const fold of all(".fold")) {
    fold.addEventListener("toggle", () => { if (fold.open) figures.inside(fold); });
  }

  // ---------------------------------------------- paper is light and narrow, and shows all
  let chosen, folded;
  addEventListener("beforeprint", () => {
    chosen = root.dataset.theme;
    folded = all("details:not([open])");
    for (const part of folded) part.open = true;
    root.dataset.theme = "light";
    root.classList.add("printing");
    figures.drawNow();
  });
  addEventListener("afterprint", () => {
    if (chosen) root.dataset.theme = chosen; else delete root.dataset.theme;
    for (const part of folded) part.open = false;
    root.classList.remove("printing");
    figures.drawNow();
  });

  figures.draw();
})();

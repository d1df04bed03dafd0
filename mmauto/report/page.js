"use strict";
(() => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

  // figures come without colours of their own for ground, text and grid: the page gives them
  const dressed = (layout) => {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(name).trim();
    const narrow = innerWidth < 640;
    const result = structuredClone(layout);
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line"), automargin: true };
    for (const key of Object.keys(result)) {
      if (/^[xy]axis\d*$/.test(key)) result[key] = { ...axis, ...result[key] };
    }
    result.xaxis = { ...axis, ...result.xaxis };
    result.yaxis = { ...axis, ...result.yaxis };
    for (const key of Object.keys(result)) {
      if (/^[xy]axis\d*$/.test(key) && result[key].title) {
        result[key].title = { standoff: 8, ...result[key].title, font: { size: narrow ? 11 : 13, color: colour("--soft") } };
      }
    }
    for (const shape of result.shapes || []) {
      if (shape.line && shape.line.color === "text") shape.line.color = colour("--soft");
    }
    for (const note of result.annotations || []) {
      if (!note.font || !note.font.color) note.font = { ...note.font, color: colour("--soft") };
    }
    const below = { orientation: "h", x: 0, xanchor: "left", y: -0.2, yanchor: "top" };
    return {
      margin: { l: narrow ? 8 : 60, r: narrow ? 8 : 24, t: 16, b: 48 },
      legend: below,
      ...result,
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 13, color: colour("--text") },
      hoverlabel: { bgcolor: colour("--raised"), bordercolor: colour("--line"), font: { color: colour("--text") } },
    };
  };

  const plots = [...document.querySelectorAll("script[data-for]")].map((script) => ({
    place: document.getElementById(script.dataset.for),
    figure: JSON.parse(script.textContent),
  }));
  const coloured = (trace) => {
    const text = getComputedStyle(root).getPropertyValue("--text").trim();
    const copy = structuredClone(trace);
    for (const part of ["marker", "line", "error_x", "error_y", "textfont"]) {
      if (copy[part] && copy[part].color === "text") copy[part].color = text;
    }
    return copy;
  };
  const draw = () => {
    for (const { place, figure } of plots) {
      Plotly.react(place, figure.data.map(coloured), dressed(figure.layout),
        { responsive: true, displaylogo: false, displayModeBar: false });
    }
  };
  if (plots.length) {
    draw();
    addEventListener("resize", () => { clearTimeout(draw.timer); draw.timer = setTimeout(draw, 150); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }

  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    if (plots.length) draw();
  });

  // paper is light and narrow, whatever the screen is
  let chosen;
  addEventListener("beforeprint", () => {
    chosen = root.dataset.theme;
    root.dataset.theme = "light";
    root.classList.add("printing");
    if (plots.length) draw();
  });
  addEventListener("afterprint", () => {
    if (chosen) root.dataset.theme = chosen; else delete root.dataset.theme;
    root.classList.remove("printing");
    if (plots.length) draw();
  });

  const number = (cell) => cell.dataset.sort === undefined ? NaN : parseFloat(cell.dataset.sort);
  for (const table of document.querySelectorAll("table.sortable")) {
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

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const text = button.nextElementSibling.textContent;
      try { await navigator.clipboard.writeText(text); button.textContent = "copied"; }
      catch { getSelection().selectAllChildren(button.nextElementSibling); button.textContent = "selected"; }
    });
  }
})();

"use strict";
// figures: drawn in the page's colours, and their data as rows
const figures = (() => {
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const plots = [...document.querySelectorAll("script[data-for]")].map((script) => ({
    place: document.getElementById(script.dataset.for),
    figure: JSON.parse(script.textContent),
  }));

  // ------------------------------------------------------------------------------ looks
  // figures come without colours of their own for ground, text and grid: the page gives them
  const dressed = (layout, narrow) => {
    const [line, soft] = [colour("--line"), colour("--soft")];
    const result = structuredClone(layout);
    if (narrow) {  // no room for what stands beside the plot
      result.annotations = (result.annotations || []).filter((note) => !(note.xref === "paper" && note.x > 1));
      if (result.margin) Object.assign(result.margin, { l: 8, r: 8 });
    }
    result.xaxis ??= {};
    result.yaxis ??= {};
    for (const key of Object.keys(result).filter((name) => /^[xy]axis\d*$/.test(name))) {
      const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, ...result[key] };
      if (axis.title) axis.title = { standoff: 8, ...axis.title, font: { size: narrow ? 11 : 12.5, color: soft } };
      result[key] = axis;
    }
    for (const shape of result.shapes || []) {
      if (shape.line && shape.line.color === "text") shape.line.color = soft;
    }
    for (const note of result.annotations || []) {
      if (!note.font || !note.font.color) note.font = { ...note.font, color: soft };
    }
    if (result.title) {
      result.title = { x: 0, xanchor: "left", ...result.title, font: { size: 14, color: colour("--text") } };
    }
    return {
      margin: { l: narrow ? 8 : 60, r: narrow ? 8 : 24, t: result.title ? 40 : 20, b: 44 },
      legend: { orientation: "h", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom" },
      ...result,
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 12.5, color: colour("--text") },
      hoverlabel: { bgcolor: colour("--raised"), bordercolor: line, font: { color: colour("--text") } },
    };
  };
  const coloured = (trace) => {
    const copy = structuredClone(trace);
    for (const part of ["marker", "line", "error_x", "error_y", "textfont"]) {
      if (copy[part] && copy[part].color === "text") copy[part].color = colour("--text");
    }
    for (const part of ["error_x", "error_y"]) {
      if (copy.type === "bar" && copy[part]) copy[part].color ??= colour("--text");
    }
    return copy;
  };

  // ---------------------------------------------------------------------------- drawing
  const drawOne = ({ place, figure }) => {
    if (place.closest("details:not([open])")) return;  // drawn when it is opened
    Plotly.react(place, figure.data.map(coloured), dressed(figure.layout, place.clientWidth < 600),
      { responsive: false, displaylogo: false, displayModeBar: false });
  };
  let turn = 0;
  const drawNow = () => { turn += 1; plots.forEach(drawOne); delete root.dataset.drawing; };
  // those on the screen first, the others one by one, so that the page answers meanwhile
  const draw = () => {
    const mine = turn += 1;
    const away = ({ place }) => Math.max(0, place.getBoundingClientRect().top - innerHeight, -place.getBoundingClientRect().bottom);
    const waiting = plots.map((plot) => [away(plot), plot]).sort((a, b) => a[0] - b[0]).map(([, plot]) => plot);
    root.dataset.drawing = "";
    const next = () => {
      if (mine !== turn) return;
      if (!waiting.length) { delete root.dataset.drawing; return; }
      drawOne(waiting.shift());
      setTimeout(next);
    };
    next();
  };
  const inside = (part) => plots.filter(({ place }) => part.contains(place)).forEach(drawOne);
  let timer, width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;  // a phone hides its address bar
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(draw, 150);
  });

  // -------------------------------------------------------------------------- as a table
  // plotly takes some characters for markup, so names come escaped
  const spoken = (value) => typeof value !== "string" ? value : value.replace(/<br\s*\/?>/g, " ")
    .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  const heading = (layout, trace, way) => {
    const axis = layout[(trace[`${way}axis`] || way).replace(way, `${way}axis`)];
    return axis?.title?.text || way;
  };
  const grid = (trace, own) => trace.z.flatMap((line, i) => line.map((z, j) => ({
    ...own, x: trace.x?.[j] ?? j, y: trace.y?.[i] ?? i, value: z, ...(trace.text ? { text: trace.text[i]?.[j] } : {}),
  })));
  const strands = (trace, own) => (trace.dimensions[0]?.values ?? []).map((_, i) => ({
    ...own,
    ...Object.fromEntries(trace.dimensions.map(({ label, values, tickvals, ticktext }) => {
      const place = ticktext && tickvals ? tickvals.indexOf(values[i]) : -1;
      return [label, place < 0 ? values[i] : ticktext[place]];
    })),
    ...(Array.isArray(trace.line?.color) ? { [trace.line.colorbar?.title?.text || "colour"]: trace.line.color[i] } : {}),
  }));
  const points = (trace, own, layout) => {
    let [x, y] = [heading(layout, trace, "x"), heading(layout, trace, "y")];
    if (x === y) [x, y] = ["x", "y"];
    const columns = [[x, trace.x], [y, trace.y], ["text", trace.text]].filter(([, values]) => Array.isArray(values));
    if (typeof trace.marker?.color?.[0] === "number") columns.push(["colour", trace.marker.color]);
    for (const [name, values, bar] of [[x, trace.x, trace.error_x], [y, trace.y, trace.error_y]]) {
      if (!Array.isArray(bar?.array)) continue;
      const down = bar.arrayminus ?? bar.array;
      columns.push([`${name} low`, values.map((value, i) => value - down[i])], [`${name} high`, values.map((value, i) => value + bar.array[i])]);
    }
    const count = Math.max(0, ...columns.map(([, values]) => values.length));
    return Array.from({ length: count }, (_, i) => ({ ...own, ...Object.fromEntries(columns.map(([name, values]) => [name, values[i]])) }));
  };
  const rows = (name) => {
    const { data, layout } = plots.find(({ place }) => place.id === name).figure;
    const named = data.some((trace) => trace.name);
    const lines = data.flatMap((trace) => {
      const own = named ? { series: trace.name } : {};
      return trace.z ? grid(trace, own) : trace.dimensions ? strands(trace, own) : points(trace, own, layout);
    });
    const heads = [...new Set(lines.flatMap(Object.keys))];
    return [heads.map(spoken), ...lines.map((line) => heads.map((head) => spoken(line[head])))];
  };

  return { draw, drawNow, inside, rows };
})();

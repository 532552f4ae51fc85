// Draws the figures of the page, in the colours of the page. `report.draw(figures)` may be called again at any time.
const report = (() => {
  // Zero is the colour of the paper.
  const diverging = {
    light: [[0, "#8e3b0b"], [0.25, "#e08a45"], [0.5, "#f4f4f2"], [0.75, "#5b96dd"], [1, "#123f86"]],
    dark: [[0, "#ffb27a"], [0.25, "#b5622a"], [0.5, "#20242a"], [0.75, "#3a72bd"], [1, "#a5ccff"]],
  };
  const sequential = [[0, "#15233f"], [0.25, "#1f5c84"], [0.5, "#2b9a94"], [0.75, "#8fd07a"], [1, "#fbf3b0"]];
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)");
  // Where page.css lays the figures out anew.
  const widths = [matchMedia("(max-width: 700px)"), matchMedia("(min-width: 1000px)")];
  const LEGEND_COLUMN = 330;
  let drawn = {};

  const theme = () => root.dataset.theme || (prefersDark.matches ? "dark" : "light");
  const colour = (name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  function template() {
    const ink = colour("ink"), quiet = colour("quiet"), line = colour("line"), card = colour("card");
    const axis = {
      gridcolor: line, linecolor: line, zerolinecolor: quiet, zerolinewidth: 1, ticks: "outside", tickcolor: line,
      tickfont: { color: quiet }, title: { font: { color: quiet, size: 13 }, standoff: 8 }, automargin: true, exponentformat: "power",
      spikecolor: quiet, spikethickness: 1, spikedash: "dot",
    };
    const family = getComputedStyle(document.body).fontFamily;
    return { layout: {
      font: { family, size: 13, color: ink }, paper_bgcolor: card, plot_bgcolor: card, xaxis: axis, yaxis: axis,
      annotationdefaults: { bgcolor: card, borderpad: 0 },
      hoverlabel: { bgcolor: card, bordercolor: quiet, font: { family, size: 13, color: ink }, align: "left" },
      coloraxis: { colorbar: { tickfont: { color: quiet }, title: { font: { color: quiet, size: 13 } } } },
    } };
  }

  function themed(layout, look, width) {
    // On a touch screen, a drag scrolls the page.
    const found = { ...layout, template: look, dragmode: touch.matches ? false : "zoom", autosize: true };
    // A long legend stands above the curves, and not in their place.
    const legend = Math.round((layout.meta.legend || 0) / Math.max(1, Math.floor(width / LEGEND_COLUMN)));
    if (legend) Object.assign(found, { height: layout.height + legend, legend: { ...layout.legend, maxheight: legend + 60 } });
    const colorscale = { diverging: diverging[theme()], sequential }[layout.meta.scale];
    return colorscale ? { ...found, coloraxis: { ...layout.coloraxis, colorscale } } : found;
  }

  function complain(sections) {
    for (const section of sections) {
      section.querySelector(".missing").textContent = "plotly.js was not fetched, so nothing can be drawn. Open this page with a network, or write it with --plotly inline.";
    }
    return Promise.resolve([]);
  }

  function draw(figures, sections = document.querySelectorAll("[data-figure]")) {
    drawn = figures;
    if (typeof Plotly === "undefined") return complain(sections);
    const look = template();
    const config = { responsive: true, displaylogo: false, displayModeBar: false };
    const waiting = [];
    for (const section of sections) {
      const figure = figures[section.dataset.figure], plot = section.querySelector(".plot");
      section.querySelector(".missing").hidden = Boolean(figure);
      plot.hidden = !figure;
      section.querySelector(".note").textContent = figure ? figure.layout.meta.note : "";
      if (figure) waiting.push(Plotly.react(plot, figure.data, themed(figure.layout, look, section.clientWidth), config));
    }
    return Promise.all(waiting);
  }

  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    draw(drawn);
  });
  for (const query of [prefersDark, ...widths]) query.addEventListener("change", () => draw(drawn));
  return { draw };
})();
report.ready = report.draw(JSON.parse(document.getElementById("figures").textContent));

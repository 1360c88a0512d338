// Draws the charts of the page by uPlot. Each line has a colour and dashes of its own; the legend shows the values at
// the pointer, and a click there hides a line. Knows nothing of what the lines mean.

"use strict";

// Seven colours and six dashes: no pair comes twice among 42 lines.
const COLOURS = {
  light: ["#0066a8", "#c44f00", "#007a5a", "#a63d7f", "#7a5c00", "#5b4fc4", "#444444"],
  dark: ["#56b4e9", "#ff9a57", "#3dd6a3", "#f29ac8", "#f0c446", "#b3a8ff", "#dddddd"],
};
const DASHES = [[], [9, 4], [2, 3], [9, 3, 2, 3], [16, 4], [6, 3, 2, 3, 2, 3]];
const MARKS = ["circle", "square", "triangle", "diamond"];
const HEIGHT = 260;

const isDark = matchMedia("(prefers-color-scheme: dark)");
const colour = (style) => {
  const colours = COLOURS[isDark.matches ? "dark" : "light"];
  return colours[style % colours.length];
};
const dashes = (style) => DASHES[style % DASHES.length];
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const written = (value, digits = 4) =>
  value === null || value === undefined ? "–" : Number(value.toPrecision(digits)).toString();

function mark(context, style, x, y, size) {
  const shape = MARKS[style % MARKS.length];
  context.moveTo(x + (shape === "circle" ? size : 0), y - (shape === "circle" ? 0 : size));
  if (shape === "circle") context.arc(x, y, size, 0, 2 * Math.PI);
  if (shape === "square") context.rect(x - size, y - size, 2 * size, 2 * size);
  if (shape === "triangle") [[size, size], [-size, size], [0, -size]].forEach(([a, b]) => context.lineTo(x + a, y + b));
  if (shape === "diamond") [[size, 0], [0, size], [-size, 0], [0, -size]].forEach(([a, b]) => context.lineTo(x + a, y + b));
}

/** A path for uPlot: a mark at each value, in the shape of its style. */
function marks(style) {
  return (plot, series, first, last) => {
    const path = new Path2D();
    for (let i = first; i <= last; i++) {
      const value = plot.data[series][i];
      if (value === null || value === undefined) continue;
      const x = plot.valToPos(plot.data[0][i], "x", true);
      mark(path, style, x, plot.valToPos(value, "y", true), 4 * devicePixelRatio);
    }
    return { stroke: path, fill: path, flags: uPlot.BAND_CLIP_FILL | uPlot.BAND_CLIP_STROKE };
  };
}

function series(line) {
  const isPoints = line.kind === "points";
  return {
    label: line.name,
    stroke: () => colour(line.style),
    fill: isPoints ? () => colour(line.style) + "66" : undefined,
    width: isPoints ? 1 : line.style === 0 ? 2.5 : 1.7,
    dash: isPoints ? undefined : dashes(line.style),
    paths: isPoints ? marks(line.style) : line.kind === "steps" ? uPlot.paths.stepped({ align: 1 }) : undefined,
    points: { show: false },
    spanGaps: true,
    value: (_, value) => written(value),
  };
}

/** The sign of a line in the legend: the line itself, in its colour and dashes. */
function sign(line) {
  const isPoints = line.kind === "points";
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 34 12");
  svg.setAttribute("aria-hidden", "true");
  const shape = {
    circle: "M21 6a4 4 0 1 1-8 0a4 4 0 1 1 8 0Z",
    square: "M13 2h8v8h-8Z",
    triangle: "M17 2l4 8h-8Z",
    diamond: "M17 2l4 4l-4 4l-4-4Z",
  }[MARKS[line.style % MARKS.length]];
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", isPoints ? shape : "M0 6H34");
  path.setAttribute("fill", isPoints ? colour(line.style) : "none");
  path.setAttribute("stroke", colour(line.style));
  path.setAttribute("stroke-width", isPoints ? 1 : line.style === 0 ? 3 : 2);
  if (!isPoints) path.setAttribute("stroke-dasharray", dashes(line.style).join(" "));
  svg.append(path);
  return svg;
}

/** Make each name of the legend a button that the keyboard reaches, with its line as its sign. */
function dressLegend(plot, chart, hidden) {
  const rows = [...plot.root.querySelectorAll(".u-legend .u-series")].slice(1);
  rows.forEach((row, i) => {
    const name = row.querySelector("th");
    const marker = row.querySelector(".u-marker");
    marker.style.border = marker.style.background = "none";
    marker.replaceChildren(sign(chart.series[i]));
    name.tabIndex = 0;
    name.setAttribute("role", "button");
    name.setAttribute("aria-pressed", !hidden.has(chart.series[i].name));
    name.title = "show or hide";
    name.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      name.click();
    });
  });
}

const DAY_MS = 86_400_000;

/** Times of the day, and the day itself where it changes; days alone where ticks are days apart. */
function timeTexts(_, times, __, ___, step) {
  let day = "";
  return times.map((time) => {
    const [date, clock] = new Date(time).toISOString().split("T");
    const isNew = date !== day;
    day = date;
    if (step >= DAY_MS) return date;
    return isNew ? `${clock.slice(0, 5)}\n${date}` : clock.slice(0, 5);
  });
}

/** 1, 2 and 5 times the powers of ten that a logarithmic axis spans; over much, the powers alone. */
function logPlaces(plot, _, least, most) {
  const powers = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power++) powers.push(power);
  const steps = powers.length > 4 ? [1] : [1, 2, 5];
  const places = powers.flatMap((power) => steps.map((step) => step * 10 ** power));
  return places.filter((place) => place >= least && place <= most);
}

function xAxis(chart) {
  const axis = { label: chart.x_label, labelSize: 22, size: 34, space: 60 };
  if (chart.x_kind === "words")
    return {
      ...axis,
      splits: () => chart.words.map((_, i) => i),
      values: (_, places) => places.map((place) => chart.words[place] ?? ""),
      space: 20,
    };
  const plain = (_, places) => places.map((place) => written(place, 3));
  if (chart.x_kind === "log") return { ...axis, splits: logPlaces, filter: (_, places) => places, values: plain };
  if (chart.x_kind === "time") return { ...axis, size: 44, values: timeTexts, space: 75 };
  return chart.x_kind === "count" ? { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], values: plain } : axis;
}

const xRange = (chart) => {
  if (chart.x_kind === "words") return () => [-0.5, chart.words.length - 0.5];
  const [first, last] = [chart.x[0], chart.x[chart.x.length - 1]];
  if (chart.x_kind === "log") return () => [first / 1.1, last * 1.1];
  const aside = (last - first || 1) * 0.02;
  return () => [first - aside, last + aside];
};

function xText(chart, value) {
  if (value === null || value === undefined) return "–";
  if (chart.x_kind === "time") return new Date(value).toISOString().slice(0, 16).replace("T", " ") + " UTC";
  return chart.x_kind === "words" ? chart.words[value] : written(value);
}

function draw(figure, chart, hidden) {
  const dressed = (axis) => ({
    stroke: () => token("--soft"),
    grid: { stroke: () => token("--rule"), width: 1 },
    ticks: { stroke: () => token("--rule"), width: 1, size: 4 },
    font: "12px system-ui, sans-serif",
    labelFont: "12px system-ui, sans-serif",
    ...axis,
  });
  const plot = new uPlot(
    {
      width: Math.max(200, figure.clientWidth),
      height: HEIGHT,
      padding: [10, 28, 0, 0], // the last label of the x axis is wider than its place
      ms: 1,
      tzDate: (time) => uPlot.tzDate(new Date(time), "Etc/UTC"),
      scales: {
        x: { time: chart.x_kind === "time", distr: chart.x_kind === "log" ? 3 : 1, range: xRange(chart) },
        y: {
          range: (_, least, most) => {
            const aside = (most - least || Math.abs(most) || 1) * 0.06;
            return [chart.from_zero ? 0 : least - aside, most + aside];
          },
        },
      },
      axes: [
        dressed(xAxis(chart)),
        dressed({ label: chart.y_label, labelSize: 20, size: 56, values: (_, places) => places.map((each) => written(each)) }),
      ],
      series: [
        { label: chart.x_label, value: (_, value) => xText(chart, value) },
        ...chart.series.map((line) => ({ ...series(line), show: !hidden.has(line.name) })),
      ],
      cursor: { drag: { x: true, y: false }, points: { size: 8 } },
      hooks: {
        setSeries: [
          (self, i) => {
            if (!i) return;
            const { show } = self.series[i];
            hidden[show ? "delete" : "add"](chart.series[i - 1].name);
            self.root.querySelectorAll(".u-legend .u-series")[i].querySelector("th").setAttribute("aria-pressed", show);
          },
        ],
      },
    },
    [chart.x, ...chart.series.map((line) => line.values)],
    figure,
  );
  dressLegend(plot, chart, hidden);
  plot.root.querySelector(".u-legend").setAttribute("aria-label", chart.title);
  plot.ctx.canvas.setAttribute("role", "img");
  plot.ctx.canvas.setAttribute("aria-label", `${chart.title}: ${chart.series.map(({ name }) => name).join(", ")}`);
  return plot;
}

for (const figure of document.querySelectorAll("figure")) {
  const chart = JSON.parse(figure.querySelector("script").textContent);
  const hidden = new Set();
  let plot = draw(figure, chart, hidden);
  new ResizeObserver(() => plot.setSize({ width: Math.max(200, figure.clientWidth), height: HEIGHT })).observe(figure);
  isDark.addEventListener("change", () => {
    plot.destroy();
    plot = draw(figure, chart, hidden);
  });
}

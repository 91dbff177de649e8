// Plots over the control steps of the running episode, and of inference over its steps.

const CAPACITY = 4000;
const MIN_STEPS = 20;

const LIGHT = ["#2457d6", "#dd6b10", "#15803d", "#a21caf", "#0891b2", "#b91c1c", "#7c8500",
  "#ec4899", "#5b21b6", "#78350f", "#475569", "#14b8a6", "#1e3a8a", "#d4a106"];
const DARK = ["#7aa2ff", "#ff9b61", "#5fd196", "#e48bf5", "#56d2e6", "#ff7a7a", "#d5dc5a",
  "#ff9fd0", "#b29bff", "#d3a17c", "#aab4c6", "#3fc4b0", "#4f86f7", "#f5c542"];

const darkScheme = matchMedia("(prefers-color-scheme: dark)");

function cssVariable(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function compact(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(1);
  return value.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3);
}

// Steps are whole numbers.
const STEP_TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];

// Room above and below; a flat line gets a scale of its own size.
function valueRange(low, high) {
  if (low === null || high === null) return [0, 1];
  if (high - low < 1e-9) return [low - 0.5, high + 0.5];
  const room = 0.08 * (high - low);
  return [low - room, high + room];
}

function durationRange(high) {
  return [0, 1.08 * (high || 1)];
}

// Two axes that say nearly the same are one.
function alike([low, high], [rightLow, rightHigh]) {
  const apart = Math.max(Math.abs(low - rightLow), Math.abs(high - rightHigh));
  return apart <= 0.25 * Math.max(high - low, rightHigh - rightLow);
}

class Chart {
  // As charts.py describes them.
  constructor(parent, { title, unit, labels, height, wide, points, right, durations, empty }) {
    this.height = height;
    this.labels = labels;
    this.points = points;
    this.right = right;
    this.range = (_, low, high) => (durations ? durationRange(high) : valueRange(low, high));
    this.data = [[]];
    this.dirty = false;
    this.card = document.createElement("section");
    this.card.className = wide ? "plot wide" : "plot";
    this.card.setAttribute("aria-label", title);
    const head = document.createElement("header");
    const heading = document.createElement("h3");
    heading.textContent = title;
    this.unit = document.createElement("span");
    this.unit.textContent = unit;
    head.append(heading, this.unit);
    this.chart = document.createElement("div");
    this.chart.className = "chart";
    this.empty = document.createElement("p");
    this.empty.className = "empty";
    this.empty.textContent = empty;
    this.chart.append(this.empty);
    this.card.append(head, this.chart);
    parent.append(this.card);
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(this.chart);
    this.rebuild = () => this.build();
    darkScheme.addEventListener("change", this.rebuild);
    this.build();
  }

  remove() {
    this.resized.disconnect();
    darkScheme.removeEventListener("change", this.rebuild);
    this.plot.destroy();
    this.card.remove();
  }

  get length() {
    return this.data[0].length;
  }

  setLabels(labels, unit) {
    this.unit.textContent = unit;
    if (labels.join("\n") === this.labels.join("\n")) return;
    this.labels = labels;
    this.build();
  }

  // `rows` is {reset, x, y} with columns, as the server sends it.
  add(rows) {
    if (rows.reset) this.data = [[]];
    if (rows.x.length === 0) {
      this.dirty = true;
      return;
    }
    const width = Math.max(rows.y.length, this.data.length - 1);
    while (this.data.length <= width) this.data.push(new Array(this.length).fill(null));
    this.data[0].push(...rows.x);
    for (let i = 0; i < width; i++) {
      this.data[i + 1].push(...(rows.y[i] ?? new Array(rows.x.length).fill(null)));
    }
    const excess = this.length - CAPACITY;
    if (excess > 0) this.data.forEach((column) => column.splice(0, excess));
    this.dirty = true;
  }

  // Called once per animation frame at most.
  draw() {
    if (!this.dirty) return;
    this.dirty = false;
    this.card.dataset.rows = this.length;
    this.empty.hidden = this.length > 0;
    if (this.data.length - 1 > this.labels.length) {
      this.labels = this.data.slice(1).map((_, i) => this.labels[i] ?? `${i}`);
      this.build();
      return;
    }
    if (this.right && this.splits() !== this.split) {
      this.build();
      return;
    }
    this.plot.setData(this.shaped());
    this.showNewest();
  }

  // Whether the line with an axis of its own needs it.
  splits() {
    if (!this.right || this.length === 0) return false;
    const ranges = [[], []];
    this.labels.forEach((label, i) => {
      for (const v of this.data[i + 1] ?? []) if (v !== null) ranges[Number(label === this.right)].push(v);
    });
    if (ranges.some((r) => r.length === 0)) return false;
    return !alike(...ranges.map((r) => valueRange(Math.min(...r), Math.max(...r))));
  }

  // The legend reads out the newest row while nobody points at another one.
  showNewest() {
    if (this.plot.cursor.idx == null && this.length > 0) this.plot.setLegend({ idx: this.length - 1 });
  }

  // uPlot wants one column per series, whatever arrived so far.
  shaped() {
    const x = this.data[0];
    return [x, ...this.labels.map((_, i) => this.data[i + 1] ?? new Array(x.length).fill(null))];
  }

  build() {
    this.plot?.destroy();
    this.split = this.splits();
    const colors = darkScheme.matches ? DARK : LIGHT;
    const ink = cssVariable("--soft");
    const grid = { stroke: cssVariable("--grid"), width: 1 };
    const axis = { stroke: ink, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.plot = new uPlot(
      {
        width: Math.max(this.chart.clientWidth, 120),
        height: this.height,
        scales: {
          x: { time: false, range: (_, low, high) => [low ?? 0, Math.max(high ?? 0, (low ?? 0) + MIN_STEPS)] },
          y: { range: this.range },
          right: { range: this.range },
        },
        axes: [
          { ...axis, size: 24, space: 60, incrs: STEP_TICKS },
          { ...axis, size: 46, space: 24, values: (_, ticks) => ticks.map((v) => `${v}`) },
          ...(this.split ? [{ ...axis, scale: "right", side: 1, size: 42, space: 24, grid: { show: false } }] : []),
        ],
        padding: [8, this.split ? 0 : 10, 0, 0],
        hooks: { setCursor: [() => this.plot && this.showNewest()] },
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        legend: { live: true },
        series: [
          { label: "step", value: (_, v) => (v === null ? "–" : `${v}`) },
          ...this.labels.map((label, i) => ({
            label,
            scale: this.split && label === this.right ? "right" : "y",
            stroke: colors[i % colors.length],
            width: 1.5,
            dash: i >= colors.length ? [5, 3] : undefined,
            spanGaps: false,
            points: { show: this.points, size: 5, fill: colors[i % colors.length] },
            value: (_, v) => compact(v),
          })),
        ],
      },
      this.shaped(),
      this.chart,
    );
    this.empty.hidden = this.length > 0;
    this.showNewest();
  }

  fit() {
    const width = this.chart.clientWidth;
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.height });
  }
}

// The charts that the monitor describes, in its order.
export class Plots {
  constructor(parent) {
    this.parent = parent;
    this.charts = new Map();
  }

  describe(charts) {
    const names = new Set(charts.map((chart) => chart.name));
    for (const [name, chart] of this.charts) {
      if (names.has(name)) continue;
      chart.remove();
      this.charts.delete(name);
    }
    for (const chart of charts) {
      const known = this.charts.get(chart.name);
      if (known) known.setLabels(chart.labels, chart.unit);
      else this.charts.set(chart.name, new Chart(this.parent, chart));
    }
  }

  add(series) {
    for (const [name, rows] of Object.entries(series)) this.charts.get(name).add(rows);
  }

  draw() {
    this.charts.forEach((chart) => chart.draw());
  }
}

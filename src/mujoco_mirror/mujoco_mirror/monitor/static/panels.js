// Numbers, episodes and diagnostics.

const LEVELS = ["ok", "warning", "error", "stale"];

function number(value, digits) {
  return value === undefined || value === null ? "–" : value.toFixed(digits);
}

// A picture counts as live up to a tenth of a second; after half a second it shows another moment.
function lateness(ms) {
  if (ms === undefined) return "";
  return ms <= 100 ? "good" : ms <= 500 ? "warn" : "bad";
}

function agreement(fidelity) {
  if (!fidelity || Number.isNaN(fidelity.positionMm)) return "";
  return fidelity.alarm ? "bad" : "good";
}

// Of the episodes that ended, with the interval that holds the true rate with 95 % confidence.
function successRate({ success }) {
  return success?.episodes ? `${percent(success.successes / success.episodes)} %` : "–";
}

function successInterval(context, { success }) {
  if (!success?.episodes) return "no episode has ended";
  return `${percent(success.low)}–${percent(success.high)} % · ${success.successes} of ${success.episodes}`;
}

function progressText(progress) {
  if (!progress) return "none is running";
  const left = progress.leftS === undefined ? "" : ` · ${duration(progress.leftS)} left`;
  return `of ${progress.episodes}${left}`;
}

function duration(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function percent(share) {
  return (100 * share).toFixed(0);
}

// key, label, unit, how to read it from the status, its tone: good, warn, bad or none
const TILES = [
  ["progress", "Rollout", "", (s, c) => c.progress?.episode ?? "–", null, (c) => progressText(c.progress)],
  ["success", "Success rate", "", successRate, null, successInterval],
  ["episode", "Episode", "", (s) => s.episode || "–"],
  ["step", "Step", "", (s, c) => `${s.step ?? "–"}`, null, (c) => (c.spec?.max_episode_steps ? `/ ${c.spec.max_episode_steps}` : "")],
  ["time", "Simulation time", "s", (s) => number(s.time_s, 2)],
  ["reward", "Reward", "", (s) => number(s.reward, 3)],
  ["return", "Return", "", (s, c) => number(c.episode?.return, 2)],
  ["rate", "Control steps", "/s", (s) => number(s.steps_per_s, 1)],
  ["step_ms", "Simulator step", "ms", (s) => number(s.step_ms, 1)],
  ["lag", "State to picture", "ms", (s) => number(s.picture_lag_ms, 0), (s) => lateness(s.picture_lag_ms)],
  ["fps", "Video", "fps", (s, c) => (c.fps === null ? "–" : number(c.fps, 0))],
  ["dropped", "Dropped states", "", (s) => s.dropped, (s) => (s.dropped > 0 ? "bad" : ""), (c, s) => (s.received ? `of ${s.received + s.dropped}` : "")],
  ["error", "Link error", "mm", (s, c) => number(c.fidelity?.positionMm, 3), (s, c) => agreement(c.fidelity)],
  ["angle", "Link angle error", "°", (s, c) => number(c.fidelity?.angleDeg, 3), (s, c) => agreement(c.fidelity)],
];

export class Tiles {
  constructor(list) {
    this.cells = TILES.map(([key, label]) => {
      const box = document.createElement("div");
      const term = document.createElement("dt");
      term.textContent = label;
      const value = document.createElement("dd");
      value.id = `tile-${key}`;
      const text = document.createTextNode("–");
      const unit = document.createElement("small");
      value.append(text, unit);
      box.append(term, value);
      list.append(box);
      return { value, text, unit };
    });
  }

  show(status, context) {
    TILES.forEach(([, , unit, read, tone, suffix], i) => {
      const cell = this.cells[i];
      cell.text.data = `${read(status, context)}`;
      cell.unit.textContent = suffix ? suffix(context, status) : unit;
      cell.value.dataset.tone = tone?.(status, context) ?? "";
    });
  }
}

// An episode that nobody ended is running only while states arrive.
export function showEpisodes(body, episodes, live) {
  if (episodes.length === 0) return;
  body.replaceChildren(
    ...[...episodes].reverse().map((episode) => {
      const row = document.createElement("tr");
      const open = episode.outcome === "running" && !live;
      const outcome = cell(open ? "unfinished" : episode.outcome);
      outcome.className = "outcome";
      outcome.dataset.outcome = episode.marked ? "success" : outcome.textContent;
      if (episode.marked) {
        const mark = document.createElement("em");
        mark.textContent = "marked success";
        outcome.append(mark);
      }
      row.append(cell(episode.number), outcome, cell(episode.steps), cell(number(episode.return, 2)));
      return row;
    }),
  );
}

function cell(text) {
  const td = document.createElement("td");
  td.textContent = text;
  return td;
}

export function showHealth(parent, statuses) {
  const open = new Set([...parent.querySelectorAll("details[open]")].map((d) => d.dataset.name));
  if (statuses.length === 0) return;
  parent.replaceChildren(...statuses.map((status) => healthEntry(status, open.has(status.name))));
}

function healthEntry(status, open) {
  const entry = document.createElement("details");
  entry.dataset.name = status.name;
  entry.dataset.level = status.level;
  entry.open = open;
  const summary = document.createElement("summary");
  const level = document.createElement("i");
  level.className = "level";
  level.title = LEVELS[status.level] ?? "unknown";
  const name = document.createElement("b");
  name.textContent = status.name;
  const message = document.createElement("span");
  message.textContent = status.level === 3 ? `${status.message} (no longer reporting)` : status.message;
  summary.append(level, name, message);
  const values = document.createElement("dl");
  values.className = "values";
  for (const [key, value] of status.values) {
    const pair = document.createElement("div");
    const term = document.createElement("dt");
    term.textContent = key;
    const text = document.createElement("dd");
    text.textContent = value;
    pair.append(term, text);
    values.append(pair);
  }
  entry.append(summary, values);
  return entry;
}

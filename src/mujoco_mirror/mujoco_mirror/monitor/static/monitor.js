// Wires the page to the monitor's two WebSockets.

import { Plots } from "./charts.js";
import { wireCommands } from "./commands.js";
import { connect } from "./connection.js";
import { Tiles, showEpisodes, showHealth } from "./panels.js";
import { Video } from "./video.js";

const TOAST_MS = 6000;
const $ = (id) => document.getElementById(id);

const LINK_TEXT = {
  connecting: "connecting",
  waiting: "waiting for simulator",
  live: "live",
  idle: "idle",
  lost: "simulator lost",
  unreachable: "monitor unreachable",
};

const video = new Video($("video"), $("no-video"));
const tiles = new Tiles($("tiles"));
const plots = new Plots($("plots"));

const known = { link: "", spec: null, episodes: [], health: [] };
let toastTimer = 0;
let drawWanted = false;

function setLink(link) {
  const pill = $("link");
  if (pill.dataset.link === link) return;
  pill.dataset.link = link;
  pill.textContent = LINK_TEXT[link];
}

// The worst alarm first, one line each.
function showAlarms(alarms) {
  const banner = $("banner");
  const text = alarms.map((alarm) => alarm.text).join("\n");
  if (banner.textContent !== text) banner.textContent = text;
  banner.dataset.tone = alarms[0]?.tone ?? "";
  banner.hidden = !text;
}

function toast(text, good) {
  const box = $("toast");
  box.textContent = text;
  box.dataset.tone = good ? "good" : "bad";
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (box.hidden = true), TOAST_MS);
}

function showLink(status) {
  setLink(status.link);
  document.querySelector(".screen").toggleAttribute("data-stale", status.link === "lost");
  showAlarms(status.alarms);
}

function showSpec(spec) {
  known.spec = spec;
  $("task").textContent = spec?.task ?? "Twinstep monitor";
  $("simulator").textContent = spec?.simulator ?? "";
  $("instruction").textContent = spec?.instruction ?? "";
  document.title = spec ? `${spec.task} · Twinstep` : "Twinstep monitor";
}

// The worst link error that anybody reports to /diagnostics.
function fidelityOf(statuses) {
  const status = statuses.find((s) => s.level !== 3 && s.values.some(([key]) => key === "link_position_error_m"));
  if (!status) return null;
  const text = (key) => status.values.find(([k]) => k === key)?.[1];
  const value = (key) => Number(text(key) ?? NaN);
  const agree = text("links_agree");
  return {
    positionMm: 1e3 * value("link_position_error_m"),
    angleDeg: (180 / Math.PI) * value("link_angle_error_rad"),
    alarm: agree ? agree === "no" : status.level > 0,
  };
}

// How far the rollout is, while one says it.
function progressOf(statuses) {
  const status = statuses.find((s) => s.name === "rollout: progress" && s.level !== 3);
  if (!status) return null;
  const { episode, episodes, time_left_s } = Object.fromEntries(status.values);
  return { episode, episodes, leftS: time_left_s === undefined ? undefined : Number(time_left_s) };
}

function apply(update) {
  if (update.spec !== undefined) showSpec(update.spec);
  if (update.charts) plots.describe(update.charts);
  if (update.episodes) known.episodes = update.episodes;
  if (update.episodes || update.status.link !== known.link) {
    known.link = update.status.link;
    showEpisodes($("episodes"), known.episodes, known.link === "live");
  }
  if (update.health) {
    known.health = update.health;
    showHealth($("health"), update.health);
  }
  plots.add(update.series ?? {});
  showLink(update.status);
  const policy = update.status.policy ? `policy ${update.status.policy}` : "";
  if ($("policy").textContent !== policy) $("policy").textContent = policy;
  tiles.show(update.status, {
    spec: known.spec,
    episode: known.episodes.find((e) => e.number === update.status.episode),
    fidelity: fidelityOf(known.health),
    progress: progressOf(known.health),
    fps: video.rate(),
  });
  if (!drawWanted) {
    drawWanted = true;
    requestAnimationFrame(() => {
      drawWanted = false;
      plots.draw();
    });
  }
}

connect("/ws/data", {
  onMessage: (text) => apply(JSON.parse(text)),
  onClose: () => {
    setLink("unreachable");
    showAlarms([{ tone: "bad", text: "The monitor is unreachable. Reconnecting." }]);
  },
});
wireCommands([$("stop"), $("reset"), $("mark_success")], toast);

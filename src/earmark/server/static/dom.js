// What views are made of: templates (text in them is never HTML), and the pieces that several views show.
import {html, nothing, render, svg} from "lit-html";
import {repeat} from "lit-html/directives/repeat.js";

export {html, nothing, render, repeat, svg};

export const percent = share => share == null ? "–" : `${Math.round(100 * share)} %`;
export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** Seconds as 3:05 or 1:02:03. */
export function time(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  const whole = Math.floor(seconds), two = number => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Seconds as "3 h 20 min". */
export function length(seconds) {
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60).toLocaleString("en")} h ${minutes % 60} min`;
}

export const fileName = path => path.split(/[/\\]/).pop();
export const titleOf = track => track.title || fileName(track.path ?? track.name ?? "");
/** One line for a player, a message or a label that is read out. */
export const lineOf = track => track.artist ? `${track.artist} – ${titleOf(track)}` : titleOf(track);

/** A head's name as it is shown, of the bundled models' and of one's own: "energy" as Energy, "time_of_day" as Time of day. */
export const headName = name => (name.slice(0, 1).toUpperCase() + name.slice(1)).replaceAll("_", " ");
const NUMBERS = {energy: "energy", positivity: "valence"};  // heads, and the features that are the same numbers
/** A record's numbers between 0 and 1 as bars, of heads and of features, in a section under a heading; nothing where it has none. */
export function inNumbers({heads, features = null}, label, kind = nothing) {
  const own = Object.keys(NUMBERS).filter(head => heads[head]?.value != null && !features?.[NUMBERS[head]]).map(head => ({name: headName(head), probability: heads[head].value}));
  const told = Object.entries(features ?? {}).filter(([name, one]) => !MEASURED.includes(name) && one.value != null);
  const found = [...own, ...told.map(([name, one]) => ({name: html`${headName(name)}${one.estimate ? html` <small class="dim">estimate</small>` : ""}`, probability: one.value}))];
  return found.length ? html`<section class=${kind}><h3>In numbers</h3>${scores(found, label)}</section>` : nothing;
}

const MEASURED = ["tempo", "key", "loudness"];
export const decibels = number => number.toFixed(1).replace("-", "−");
/** A record's tempo, key and loudness in a section under a heading, with how sure they are; nothing where it has none. */
export function measured(features, kind = nothing) {
  if (!MEASURED.some(name => features?.[name])) return nothing;
  const {tempo, key, loudness} = features, sure = one => html`<small class="dim">${percent(one.confidence)} sure</small>`;
  return html`<section class=${kind}><h3>Tempo, key and loudness</h3><dl class="measured">
    ${tempo ? html`<div><dt>Tempo</dt><dd>${tempo.value == null ? html`<span class="dim">no steady beat</span>` : html`<b>${tempo.value.toFixed(1)}</b> BPM ${sure(tempo)}${tempo.alternative ? html`<small class="dim">, or ${tempo.alternative.toFixed(1)}</small>` : ""}`}</dd></div>` : nothing}
    ${key ? html`<div><dt>Key</dt><dd>${key.value == null ? html`<span class="dim">no clear key</span>` : html`<b>${key.value}</b> ${key.camelot} ${sure(key)}`}</dd></div>` : nothing}
    ${loudness ? html`<div><dt>Loudness</dt><dd>${loudness.lufs == null ? html`<span class="dim">silent</span>` : html`<b>${decibels(loudness.lufs)}</b> LUFS <small class="dim">true peak ${decibels(loudness.true_peak)} dB, ReplayGain ${decibels(loudness.gain)} dB</small>`}</dd></div>` : nothing}</dl></section>`;
}

const TONICS = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
/** The 24 keys around the wheel, [place, name]: a fifth up is an hour further. */
export const KEYS = Array.from({length: 24}, (_, at) => {
  const hour = (at >> 1) + 1, minor = at % 2 === 0, tonic = (7 * (hour + 4) + (minor ? 9 : 0)) % 12;
  return [`${hour}${minor ? "A" : "B"}`, `${TONICS[tonic]} ${minor ? "minor" : "major"}`];
});

/** A head's word in a few words: its label, or that it is not sure and the best guess. */
export function word(head) {
  if (!head) return "–";
  if (head.label) return html`<bdi>${head.label}</bdi> <small class="dim">${percent(head.confidence)}</small>`;
  const [best] = guessesOf(head);
  return best ? html`<span class="dim">perhaps <bdi>${best.name}</bdi> <small>${percent(best.probability)}</small></span>` : html`<span class="dim">not known</span>`;
}

/** Guesses of a summary ({name, probability}) or of a record ([name, probability], or all its scores), best first. */
export function guessesOf(head, most = 3) {
  const found = head.scores ? Object.entries(head.scores) : head.guesses ?? [];
  const pairs = found.map(one => Array.isArray(one) ? {name: one[0], probability: one[1]} : one);
  if (!pairs.length && head.label) pairs.push({name: head.label, probability: head.confidence});
  return pairs.sort((a, b) => b.probability - a.probability).slice(0, most);
}

/** Bars of names with their probability; `chosen` are those that the model asserts. */
export const scores = (entries, label, chosen = []) => html`<ul class="scores" aria-label=${label}>
  ${entries.map(one => html`<li class=${chosen.includes(one.name) ? "sure" : ""}>
    <bdi>${one.name}</bdi><i class="meter" aria-hidden="true" .style=${`--part:${one.probability ?? 0}`}></i>
    <b>${percent(one.probability)}</b></li>`)}</ul>`;

export const chips = names => names?.length
  ? html`<ul class="chips" aria-label="Labels">${names.map(name => html`<li dir="auto">${name}</li>`)}</ul>` : nothing;

/** What went wrong, in a panel that is read out. */
export const problem = error => html`<div class="alert" role="alert"><strong>${error.title ?? "That did not work"}</strong>
  <p dir="auto">${error.detail ?? error.message ?? String(error)}</p></div>`;

export const empty = (title, text, action = nothing) => html`<div class="empty"><h2>${title}</h2><p>${text}</p>${action}</div>`;

/** A button that plays a song, `second` seconds in where it is given. */
export const playButton = (context, track, second = null, queue = null) => html`<button type="button" class="play"
  aria-label=${`Play ${lineOf(track)}${second == null ? "" : ` at ${time(second)}`}`} ?disabled=${Boolean(track.vanished || track.error)}
  @click=${() => context.player.play(track, second ?? 0, queue)}>${second == null ? "" : time(second)}</button>`;

export const STATES = {queued: "Waiting", running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled"};
export const isOver = job => !["queued", "running"].includes(job.state);

/** Progress of a job (its resource of the REST), with a button that cancels it. */
export function progress(job, cancel = null) {
  const {done = 0, total = 0, stage = "", unit = "", facts = {}, seconds_left: left = null} = job.progress ?? {};
  const running = !isOver(job), told = Object.entries(facts ?? {}).filter(([name]) => !["epoch", "epochs", "seconds_left"].includes(name));
  const known = told.map(([name, value]) => `${name.replaceAll("_", " ")} ${Number(value.toPrecision(3)).toLocaleString("en")}`);
  const text = [stage || job.kind, total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")} ${unit ?? ""}` : "",
    left && running ? `${time(left)} left` : "", ...known].filter(Boolean).join(" · ");
  return html`<div class="job"><p><strong>${STATES[job.state]}</strong> ${text}</p>
    ${running ? html`<progress aria-label=${`Progress of ${job.kind}`} max=${total || 1} value=${total ? done : nothing}></progress>` : nothing}
    ${(job.notices ?? []).map(one => html`<p class="dim" dir="auto">${one.message ?? one}</p>`)}
    ${job.problem ? html`<p class="warn" dir="auto">${job.problem.detail ?? job.problem}</p>` : nothing}
    ${running && cancel ? html`<button type="button" @click=${cancel}>Cancel</button>` : nothing}</div>`;
}

/** Give the browser a file to keep. */
export function download(name, text, type) {
  const link = document.createElement("a"), address = URL.createObjectURL(new Blob([text], {type}));
  link.href = address; link.download = name; link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** The last of many calls, `milliseconds` after it. */
export function debounced(call, milliseconds = 250) {
  let timer = 0;
  return (...words) => { clearTimeout(timer); timer = setTimeout(() => call(...words), milliseconds); };
}

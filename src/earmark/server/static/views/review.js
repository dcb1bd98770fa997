// Review: the songs that the model most needs help with, decided by keys while one hears them.
import {count, empty, headName, html, lineOf, nothing, percent, playButton, problem, render, time, titleOf} from "../dom.js";
import {Follower, intervals, moment, noLibrary} from "../work.js";

const KEPT = 8;  // decisions of this visit that are listed

export async function view(root, params, context) {
  const {api, announce} = context;
  const s = {queue: [], corrections: 0, head: params.query?.get("head") ?? "", heads: [], done: [], busy: false, wrong: null, hear: true, skipped: new Set()};
  let over = false;
  const effect = new Follower(context, job => { update(); if (job.state === "done") measuredLast().then(update); });
  async function measuredLast() { try { s.effect = (await api.get("/v1/review/effect")).effect; } catch { s.effect = null; } }
  const key = question => `${question.track.id} ${question.head}`;

  async function load() {
    const answer = await api.get("/v1/review", {head: s.head, count: 20 + s.skipped.size});
    s.queue = answer.questions.filter(question => !s.skipped.has(key(question)));
    s.corrections = answer.corrections;
    s.heads = answer.heads;
  }
  function next(spoken = true) {
    update();
    const heading = root.querySelector(".question h2");
    heading?.focus({preventScroll: true});
    const [question] = s.queue;
    if (!question) return;
    for (const one of s.queue.slice(0, 2)) speaking(one);
    if (s.hear) play();
    if (spoken) announce(`${lineOf(question.track)}. ${reason(question)}`);
  }
  async function play() {
    const [question] = s.queue;
    if (!question || question.track.vanished) return;
    await speaking(question);
    if (!over && s.queue[0] === question) context.player.play(question.track, question.second ?? 0);
  }
  /** Finds the second of the song that speaks most for what the model says, from its stored scores over time. */
  function speaking(question) {
    return question.asked ??= api.get(`/v1/tracks/${question.track.id}/taggram`).then(({starts, heads}) => {
      const {labels, scores} = heads[question.head] ?? {labels: [], scores: []}, at = labels.indexOf(question.predicted);
      if (at >= 0 && scores.length) question.second = starts[scores.reduce((best, row, k) => row[at] > scores[best][at] ? k : best, 0)];
      update();
    }).catch(() => {});
  }
  async function refill() { if (s.queue.length < 2) { try { await load(); } catch (error) { s.wrong = error; } } }

  async function decide(label) {
    const [question] = s.queue;
    if (!question || s.busy) return;
    s.busy = true; s.wrong = null; update();
    try {
      const kept = await api.post("/v1/review", {track: question.track.id, head: question.head, label, expected: question.correction ?? null});
      s.done.unshift({question, label, previous: kept.previous ?? null}); s.corrections++;
      announce(`${titleOf(question.track)}: ${question.head} is ${label}.`);
      s.queue.shift();
    } catch (error) { await refused(error, question); }
    s.busy = false;
    await refill();
    if (!over) next(!s.wrong);
  }
  /** Another tab was quicker: what it decided counts, and is shown. */
  async function refused(error, question) {
    s.wrong = error;
    if (error.status !== 409) return;
    try {
      const {record} = await api.get(`/v1/tracks/${question.track.id}`), now = record.correction?.[question.head];
      s.wrong = {title: "Decided elsewhere", detail: now ? `${lineOf(question.track)}: ${question.head} is “${now}” already, decided in another window. That is kept.`
        : `${lineOf(question.track)}: the decision was taken back in another window. The queue is loaded anew.`};
      await load();
    } catch (other) { s.wrong = other; }
  }
  async function skip() {
    const [question] = s.queue;
    if (!question || s.busy) return;
    s.skipped.add(key(question)); s.queue.shift(); s.wrong = null;
    announce(`${titleOf(question.track)} is skipped.`);
    await refill();
    if (!over) next();
  }
  async function undo(entry = s.done[0]) {
    if (!entry || s.busy) return;
    s.busy = true; s.wrong = null;
    const {question, label, previous} = entry;
    try {
      await api.post("/v1/review", {track: question.track.id, head: question.head, label: previous, expected: label});
      s.done.splice(s.done.indexOf(entry), 1); s.corrections--;
      s.queue.unshift({...question, correction: previous});
      announce(`Taken back: ${titleOf(question.track)}.`);
    } catch (error) { s.done.splice(s.done.indexOf(entry), 1); await refused(error, question); }
    s.busy = false;
    if (!over) next(false);
  }

  const reason = question => question.own && question.reason === "disagrees"
    ? `The model says ${question.predicted}; the file itself says ${question.own}.` : `The model is not sure of the ${question.head}.`;
  const option = ({label, probability}, k, question) => html`<li><button type="button" class="option" ?disabled=${s.busy} @click=${() => decide(label)}>
    <kbd aria-hidden="true">${k + 1}</kbd> <bdi>${label}</bdi> ${question.own === label ? html`<small class="dim">the file's own</small>` : nothing}
    <i class="meter" aria-hidden="true" .style=${`--part:${probability}`}></i><b>${percent(probability)}</b></button></li>`;
  function card(question) {
    const options = question.options.slice(0, 9), named = new Set(options.map(one => one.label)), others = (question.labels ?? []).filter(label => !named.has(label));
    return html`<section class="panel question" aria-label="The song to decide about">
      <p class="dim">${headName(question.head)}: which is it?</p>
      <h2 tabindex="-1" dir="auto">${titleOf(question.track)}</h2>
      <p dir="auto">${[question.track.artist, question.track.album, question.track.year].filter(Boolean).join(" · ")}</p>
      <p>${reason(question)}</p>
      <div class="buttons">${playButton(context, question.track, question.second ?? 0)}
        <span class="dim">${question.second != null ? `from ${time(question.second)}, which speaks for ${question.predicted}` : "from the beginning"}</span></div>
      <ol class="options" aria-label="Labels, the likeliest first">${options.map((one, k) => option(one, k, question))}</ol>
      ${others.length ? html`<label class="other">Another label
        <select @change=${event => { const label = event.target.value; event.target.value = ""; if (label) decide(label); }}><option value="">choose …</option>${others.map(label => html`<option value=${label}>${label}</option>`)}</select></label>` : nothing}
      <div class="buttons"><button type="button" @click=${skip}>Skip <kbd>0</kbd></button>
        <a class="button" href=${`#/track/${question.track.id}`}>Details</a></div></section>`;
  }
  function measured() {
    const {job} = effect, heads = Object.entries(s.effect?.heads ?? {});
    return html`<section aria-labelledby="effect-title"><h2 id="effect-title">What your corrections are worth</h2>
      <p class="dim">${count(s.corrections, "correction")} so far. Measuring trains two small heads on your files' own genre tags, with and without them, and scores both on the same songs of other artists.</p>
      <button type="button" ?disabled=${effect.running || !s.corrections} @click=${async () => { try { await effect.start("effect", {}); } catch (error) { s.wrong = error; update(); } }}>Measure now</button>
      ${job && job.state !== "done" ? effect.show() : nothing}
      ${heads.length ? html`<p class="dim">Measured ${moment(s.effect.measured)}${s.effect.current ? "" : "; you have decided more since"}.</p>` : nothing}
      ${heads.map(([name, one]) => html`<div class="panel"><h3>${headName(name)}</h3>
        <p>${count(one.tracks ?? 0, "correction")}${one.changed != null ? `, ${count(one.changed, "label")} changed` : ""}${one.added ? `, ${count(one.added, "song")} added` : ""}.</p>
        ${one.with != null ? html`${intervals([{name: "without", value: one.without, ci95: one.without_ci95, mark: "b"}, {name: "with", value: one.with, ci95: one.with_ci95}], `${headName(name)}: ${(one.figure ?? "score").replaceAll("_", " ")}`)}
          <p>${difference(one)}</p>` : html`<p class="dim">${one.note ?? "There are not enough songs to say how much they helped."}</p>`}</div>`)}</section>`;
  }
  const signed = value => `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`;
  const difference = one => `Difference: ${signed(one.difference)} points${one.ci95 ? ` (95 % interval ${signed(one.ci95[0])} to ${signed(one.ci95[1])})` : ""}${one.test_tracks ? `, on ${count(one.test_tracks, "test song")}` : ""}. ${
    !one.ci95 || one.ci95[0] <= 0 && one.ci95[1] >= 0 ? "That may be chance." : one.difference > 0 ? "They help." : "They do not help this head."}`;

  function update() {
    if (over) return;
    const [question] = s.queue;
    render(html`<header><h1>Review</h1><p>Decide about the songs that the model most needs help with. What you decide is kept at once.</p></header>
      <div class="bar"><label>Head <select @change=${async event => { s.head = event.target.value; s.wrong = null; try { await load(); } catch (error) { s.wrong = error; } next(); }}>
          <option value="">all</option>${s.heads.map(head => html`<option value=${head} ?selected=${head === s.head}>${headName(head)}</option>`)}</select></label>
        <label><input type="checkbox" .checked=${s.hear} @change=${event => { s.hear = event.target.checked; }}> Play each song as it comes</label>
        <span class="dim">Keys: 1–9 decide, 0 or space skips, U undoes, P plays</span></div>
      ${s.wrong ? problem(s.wrong) : nothing}
      <div class="two"><div>${question ? card(question) : empty("Nothing to decide", s.skipped.size ? "You skipped the rest." : "The model is sure of every song, or you have answered all.",
        s.skipped.size ? html`<button type="button" @click=${async () => { s.skipped.clear(); try { await load(); } catch (error) { s.wrong = error; } next(); }}>Ask the skipped ones again</button>` : nothing)}</div>
      <section class="panel decided" aria-labelledby="decided-title"><h2 id="decided-title">Decided</h2>
        ${s.done.length ? html`<ol>${s.done.slice(0, KEPT).map((entry, k) => html`<li><span><bdi>${titleOf(entry.question.track)}</bdi> <small class="dim">${headName(entry.question.head)}</small> <b dir="auto">${entry.label}</b></span>
          <button type="button" @click=${() => undo(entry)}>Undo<span class="quiet"> ${titleOf(entry.question.track)}</span>${k ? nothing : html` <kbd>U</kbd>`}</button></li>`)}</ol>` : html`<p class="dim">Nothing yet.</p>`}</section></div>
      ${measured()}`, root);
  }
  const keys = event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    if (event.key === " " && event.target.closest("button, a, summary")) return;
    const [question] = s.queue, digit = /^[1-9]$/.test(event.key) ? question?.options[event.key - 1] : null;
    const act = digit ? () => decide(digit.label) : {0: skip, " ": skip, u: () => undo(), p: play}[event.key.toLowerCase()];
    if (act) { event.preventDefault(); event.stopImmediatePropagation(); act(); }
  };
  try { await load(); } catch (error) {
    if (error.kind !== "no-library") throw error;
    render(html`<header><h1>Review</h1></header>${noLibrary()}`, root);
    return () => {};
  }
  update();
  for (const one of s.queue.slice(0, 2)) speaking(one);
  if (s.corrections) measuredLast().then(update);
  effect.resume("effect").catch(() => {});
  document.addEventListener("keydown", keys, true);
  return () => { over = true; effect.stop(); document.removeEventListener("keydown", keys, true); };
}

// Write tags: first what would change, file by file; then write; and take it back.
import {count, empty, fileName, headName, html, isOver, nothing, problem, render} from "../dom.js";
import {headsInUse} from "../songs.js";
import {Follower} from "../work.js";

const POLICIES = {empty: ["Fill empty fields", "what a file says already stays"], merge: ["Add", "names are added to what is there"], overwrite: ["Replace", "what is there gives way"]};
const FIELDS = ["genre", "genres", "mood", "moods", "emotions"];  // heads whose labels have a field that players read
const MEASURED = {bpm: "Tempo (BPM)", key: "Key", replaygain: "ReplayGain", energy: "Energy, in the comment"};  // of a scan with features
const SHOWS = {changed: "Changes", skipped: "Left as they are", all: "All files"};
const PAGE = 50;

export async function view(root, params, context) {
  const {api} = context;
  const s = {heads: [], request: null, search: "", runs: [], shows: "changed", page: 0, wrong: null, found: null};
  let over = false;
  const work = new Follower(context, job => {
    if (isOver(job)) {
      const counts = counted();
      if (!counts.changed) s.shows = counts.skipped ? "skipped" : "all";
      refreshRuns();
    }
    update();
  });
  const dry = () => work.job?.kind === "write-tags" && work.job.request.dry_run;
  async function refreshRuns() { try { s.runs = (await api.get("/v1/write-tags/runs")).runs; } catch (error) { s.wrong = error; } update(); }

  /** The settings as they stand in the form. */
  function settings(form) {
    const fields = new FormData(form), least = fields.get("least");
    const heads = fields.getAll("heads"), labels = heads.map(head => head.startsWith("genre") ? "genre" : "mood");
    return {tracks: s.found, policy: fields.get("policy"), fields: [...new Set([...labels, ...fields.getAll("fields")])], key_notation: fields.get("notation"), ...heads.length ? {heads} : {},
      comment: fields.has("comment"), min_confidence: least ? Number(least) / 100 : null};
  }
  async function found(words) {
    if (!words.trim()) return null;
    const ids = [];
    for (let cursor = null; ;) {
      const answer = await api.get("/v1/tracks", {q: words, limit: 200, cursor});
      ids.push(...answer.tracks.map(track => track.id));
      if (!(cursor = answer.cursor)) return ids;
    }
  }
  async function begin(dryRun, form) {
    s.wrong = null; s.page = 0; s.shows = "changed";
    try {
      if (form) {
        s.found = await found(form.elements.words.value);
        if (s.found && !s.found.length) throw Object.assign(new Error("No song of the library is found by these words."), {title: "No song is found"});
        s.request = settings(form);
      }
      if (!s.request.fields.length) throw Object.assign(new Error("Choose at least one field that is written."), {title: "Nothing to write"});
      await work.start("write-tags", s.request = {...s.request, dry_run: dryRun});
    } catch (error) { s.wrong = error; }
    update();
  }
  async function undo(run) { s.wrong = null; s.page = 0; s.shows = "all"; try { await work.start("undo", {run}); } catch (error) { s.wrong = error; } update(); }

  const form = () => html`<form class="panel fields" @submit=${event => { event.preventDefault(); begin(true, event.target); }} @change=${() => { if (dry() && !work.running) { work.stop(); work.job = null; update(); } }}>
    <fieldset><legend>How</legend>${Object.entries(POLICIES).map(([value, [name, about]]) => html`<label class="check"><input type="radio" name="policy" value=${value} ?checked=${value === "empty"}> ${name} <span class="dim">– ${about}</span></label>`)}</fieldset>
    <fieldset><legend>What</legend>${s.heads.map(name => html`<label class="check"><input type="checkbox" name="heads" value=${name} ?checked=${["genre", "mood"].includes(name)}> ${headName(name)}</label>`)}
      <label class="check"><input type="checkbox" name="comment"> a line in the comment, “genre / mood / energy”</label></fieldset>
    <fieldset><legend>What a scan of tempo and key measured</legend>
      ${Object.entries(MEASURED).map(([value, name]) => html`<label class="check"><input type="checkbox" name="fields" value=${value}> ${name}</label>`)}
      <label>Keys as <select name="notation"><option value="musical">Am</option><option value="camelot">8A</option></select></label></fieldset>
    <label>Only songs found by <input name="words" placeholder="all songs; or: calm piano" autocomplete="off"></label>
    <label>Least confidence in % <input name="least" type="number" min="0" max="100" step="1" placeholder="the model's own thresholds"></label>
    <button class="main" ?disabled=${work.running}>Show the difference first</button></form>`;

  // What a run told of each file.
  const values = list => list?.length ? list.map((value, k) => html`${k ? ", " : ""}<bdi>${value}</bdi>`) : html`<span class="dim">empty</span>`;
  const isChange = record => ["changed", "restored"].includes(record.status);
  function counted() {
    const counts = {changed: 0, skipped: 0, all: work.records.length};
    for (const record of work.records) if (isChange(record)) counts.changed++; else if (record.status === "skipped") counts.skipped++;
    return counts;
  }
  function difference() {
    if (!work.records.length) return work.job?.state === "done" ? html`<p>No file is changed.</p>` : nothing;
    const counts = counted(), rows = work.records.filter(record => s.shows === "all" || (s.shows === "skipped" ? record.status === "skipped" : isChange(record)));
    const pages = Math.max(1, Math.ceil(rows.length / PAGE)), page = Math.min(s.page, pages - 1);
    return html`<div class="by" role="group" aria-label="Which files">${Object.entries(SHOWS).map(([value, name]) => html`<button type="button" aria-pressed=${String(value === s.shows)} @click=${() => { s.shows = value; s.page = 0; update(); }}>${name} ${counts[value].toLocaleString("en")}</button>`)}</div>
      <table class="difference"><caption class="quiet">${dry() ? "What would change" : "What was changed"}, by file</caption>
        <thead><tr><th scope="col">File</th><th scope="col">${dry() ? "Would become" : "Fields"}</th></tr></thead>
        <tbody>${rows.slice(page * PAGE, (page + 1) * PAGE).map(row)}</tbody></table>
      ${rows.length ? nothing : html`<p class="dim">None.</p>`}
      ${pages > 1 ? html`<div class="buttons"><button type="button" ?disabled=${!page} @click=${() => { s.page = page - 1; update(); }}>Previous</button><span class="dim">${page + 1} of ${pages}</span>
        <button type="button" ?disabled=${page + 1 >= pages} @click=${() => { s.page = page + 1; update(); }}>Next</button></div>` : nothing}`;
  }
  function row(record) {
    const {fields} = record, file = html`<th scope="row" title=${record.path}><bdi>${fileName(record.path)}</bdi></th>`;
    if (!fields.length) return html`<tr>${file}<td class=${record.status === "skipped" ? "warn" : "dim"}><span dir="auto">${record.error?.message ?? {unchanged: "says this already", untouched: "nothing is left to take back"}[record.status] ?? record.status}</span></td></tr>`;
    return html`<tr>${file}<td><ul>${fields.map(one => html`<li><span class="dim">${one.field}</span> <span class="quiet">was </span>${values(one.before)} <span aria-hidden="true">→</span><span class="quiet"> becomes </span> <b>${values(one.after)}</b></li>`)}</ul></td></tr>`;
  }
  function shown() {
    if (!work.job) return nothing;
    const counts = counted(), ready = dry() && work.job.state === "done" && counts.changed;
    return html`<section aria-labelledby="difference-title"><h2 id="difference-title">${dry() ? "The difference" : work.job.kind === "undo" ? "Taken back" : "Written"}</h2>
      ${work.show()}
      ${ready ? html`<div class="buttons ready"><button type="button" class="main" @click=${() => begin(false)}>Write into ${count(counts.changed, "file")}</button><span class="dim">Nothing is written yet. Each run can be taken back.</span></div>` : nothing}
      ${difference()}</section>`;
  }
  const runs = () => html`<section aria-labelledby="runs-title"><h2 id="runs-title">Runs</h2>
    ${s.runs.length ? html`<table class="stack"><thead><tr><th scope="col">When</th><th scope="col">Files</th><th scope="col">How</th><th scope="col"><span class="quiet">Undo</span></th></tr></thead><tbody>${s.runs.map(run => html`<tr>
      <td data-label="When">${run.run}</td><td data-label="Files"><span>${count(run.changes, "file")}${run.undone ? `, ${run.undone.toLocaleString("en")} taken back` : ""}</span></td>
      <td data-label="How"><div>${[POLICIES[run.policy]?.[0], [...run.fields.some(field => !MEASURED[field]) ? run.heads.map(headName) : [], ...run.fields.map(field => MEASURED[field]).filter(Boolean)].join(", ")].filter(Boolean).join(": ")}
        ${run.damage.map(words => html`<p class="warn" dir="auto">${words}</p>`)}</div></td>
      <td data-label=""><button type="button" ?disabled=${work.running || run.undone >= run.changes} @click=${() => undo(run.run)}>${run.undone >= run.changes ? "Taken back" : "Undo"}<span class="quiet"> ${run.run}</span></button></td></tr>`)}</tbody></table>` : html`<p class="dim">Nothing was written yet.</p>`}</section>`;

  function update() {
    if (over) return;
    render(html`<header><h1>Write tags</h1><p>Put what the library knows into the files' own tags, where every player reads it. First you see the difference; each run can be taken back.</p></header>
      ${s.wrong ? problem(s.wrong) : nothing}
      ${s.heads.length ? form() : empty("Nothing to write yet", "The library holds no analysed songs: scan a folder first.", html`<a class="button" href="#/library">To the library</a>`)}
      ${shown()}${runs()}`, root);
  }
  s.heads = (await headsInUse(api)).map(head => head.name).filter(name => FIELDS.includes(name));
  await refreshRuns();
  work.resume("write-tags", "undo").catch(() => {});
  return () => { over = true; work.stop(); };
}

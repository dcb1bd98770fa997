// Offer folders to scan, and show a scan that runs: on the library's page, also where there is no library yet.
import {count, empty, html, isOver, nothing, problem, progress, render} from "./dom.js";
import {Follower} from "./work.js";

const ENDINGS = {done: "The scan is done.", cancelled: "The scan was cancelled; what is done is kept.", failed: "The scan failed."};

/** Draws itself into `root`; `done` is called after a scan. Returns what stops following it. */
export async function scanPanel(root, context, {first, done}) {
  let folders = [], chosen = new Set(), error = null, features = false;
  const work = new Follower(context, job => { draw(); if (isOver(job)) done(); }, ENDINGS);
  const draw = () => render(html`${first ? empty("Nothing is scanned yet", "Earmark listens to a folder of music once, and then finds, sorts and groups your songs. Your files are only read.") : nothing}
    <section class="panel" aria-labelledby="scan-title"><h2 id="scan-title">${first ? "Scan a folder" : "Scan"}</h2>
    ${error ? problem(error) : nothing}
    ${work.running ? nothing : html`<form @submit=${start}>${folders.length ? html`<fieldset><legend>Folders</legend>${folders.map(row)}</fieldset>
        <p><label><input type="checkbox" .checked=${features} @change=${event => { features = event.target.checked; }}> Tempo, key and loudness, too</label> <span class="dim">reads each song as a whole, once; takes longer</span></p>
        <button class="main" ?disabled=${!chosen.size}>Scan</button>`
      : html`<p>The server knows no folder of music. Start it with one: <code>earmark serve --music FOLDER</code></p>`}</form>`}
    ${work.job ? progress({...work.job, notices: work.job.notices.slice(-5)}, () => work.cancel()) : nothing}
    ${work.job?.state === "done" ? html`<p role="status">The scan is done. <a href="#/library" @click=${event => { event.preventDefault(); context.navigate("library", {replace: true}); }}>Show the library</a></p>` : nothing}</section>`, root);
  const row = folder => html`<p><label><input type="checkbox" .checked=${chosen.has(folder.id)} ?disabled=${!folder.available}
    @change=${event => { event.target.checked ? chosen.add(folder.id) : chosen.delete(folder.id); draw(); }}> <strong dir="auto">${folder.name}</strong></label>
    <span class="dim"><bdi>${folder.path}</bdi>${folder.scanned ? ` · scanned${folder.songs == null ? "" : `, ${count(folder.songs, "song")}`}` : ""}${folder.available ? "" : " · not there now"}</span></p>`;
  async function start(event) {
    event.preventDefault();
    error = null;
    try { await work.start("scan", {folders: [...chosen], features}); } catch (wrong) { error = wrong; draw(); }
  }
  draw();
  try {
    folders = (await context.api.get("/v1/folders")).folders;
    chosen = new Set(folders.filter(folder => folder.available && (folder.scanned || folders.length === 1)).map(folder => folder.id));
    const running = (await context.api.get("/v1/jobs")).jobs?.find(one => one.kind === "scan" && !isOver(one));
    if (running) work.follow(running); else draw();
  } catch (wrong) { error = wrong; draw(); }
  return () => work.stop();
}

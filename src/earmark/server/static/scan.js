// Offer folders to scan, and show a scan that runs: on the library's page, also where there is no library yet.
import {count, empty, html, isOver, nothing, problem, progress, render} from "./dom.js";

/** Draws itself into `root`; `done` is called after a scan. Returns what stops following it. */
export async function scanPanel(root, context, {first, done}) {
  let folders = [], chosen = new Set(), job = null, error = null, stop = () => {};
  const draw = () => render(html`${first ? empty("Nothing is scanned yet", "Earmark listens to a folder of music once, and then finds, sorts and groups your songs. Your files are only read.") : nothing}
    <section class="panel" aria-labelledby="scan-title"><h2 id="scan-title">${first ? "Scan a folder" : "Scan"}</h2>
    ${error ? problem(error) : nothing}
    ${job && !isOver(job) ? nothing : html`<form @submit=${start}>${folders.length ? html`<fieldset><legend>Folders</legend>${folders.map(row)}</fieldset>
        <button class="main" ?disabled=${!chosen.size}>Scan</button>`
      : html`<p>The server knows no folder of music. Start it with one: <code>earmark serve --music FOLDER</code></p>`}</form>`}
    ${job ? progress(job, cancel) : nothing}
    ${job?.state === "done" ? html`<p role="status">The scan is done. <a href="#/library" @click=${event => { event.preventDefault(); context.navigate("library", {replace: true}); }}>Show the library</a></p>` : nothing}</section>`, root);
  const row = folder => html`<p><label><input type="checkbox" .checked=${chosen.has(folder.id)} ?disabled=${!folder.available}
    @change=${event => { event.target.checked ? chosen.add(folder.id) : chosen.delete(folder.id); draw(); }}> <strong dir="auto">${folder.name}</strong></label>
    <span class="dim"><bdi>${folder.path}</bdi>${folder.scanned ? ` · scanned${folder.songs == null ? "" : `, ${count(folder.songs, "song")}`}` : ""}${folder.available ? "" : " · not there now"}</span></p>`;
  async function start(event) {
    event.preventDefault();
    error = null;
    try { follow(await context.api.post("/v1/jobs", {kind: "scan", folders: [...chosen]})); } catch (wrong) { error = wrong; draw(); }
  }
  async function cancel() {
    try { await context.api.delete(`/v1/jobs/${job.id}`); } catch (wrong) { error = wrong; draw(); }
  }
  function follow(found) {
    job = {...found, notices: [...(found.notices ?? [])]};
    draw();
    let spoken = 0;
    stop();
    stop = context.api.watch(job.id, {
      progress(now) {
        job = {...job, state: "running", progress: now};
        draw();
        if (now.total && now.done / now.total >= spoken + .25) { spoken = now.done / now.total; context.announce(`${Math.round(100 * spoken)} percent scanned`); }
      },
      notice(one) { job.notices = [...job.notices, one].slice(-5); draw(); },
      end(last) {
        job = {...job, ...last, notices: (last.notices ?? []).slice(-5)};
        context.announce(job.state === "done" ? "The scan is done." : job.state === "cancelled" ? "The scan was cancelled; what is done is kept." : "The scan failed.");
        draw();
        done();
      },
    });
  }
  draw();
  try {
    folders = (await context.api.get("/v1/folders")).folders;
    chosen = new Set(folders.filter(folder => folder.available && (folder.scanned || folders.length === 1)).map(folder => folder.id));
    const running = (await context.api.get("/v1/jobs")).jobs?.find(one => one.kind === "scan" && !isOver(one));
    if (running) follow(running); else draw();
  } catch (wrong) { error = wrong; draw(); }
  return () => stop();
}

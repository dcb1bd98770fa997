// The library: find in words, filter, sort, page by page; what it holds in numbers; and a scan.
import {KEYS, count, debounced, html, length, nothing, problem, render} from "../dom.js";
import {scanPanel} from "../scan.js";
import {headsInUse, numbers, onSong, songTable} from "../songs.js";

const PAGE = 50;
const FILTERS = ["genre", "mood", "cluster", "instrument", "voice", "energy_min", "energy_max", "tempo_min", "tempo_max", "key", "confidence_max", "failed", "vanished"];
const SORTS = {artist: "Artist", title: "Title", album: "Album", year: "Year", seconds: "Length", energy: "Energy", tempo: "Tempo", key: "Key", loudness: "Loudness", danceability: "Danceability", confidence: "How sure", path: "Path"};
const COLUMNS = ["title", "album", "year", "genre", "mood", "energy", "tempo", "camelot", "seconds"];
const SPARSE = {album: track => track.album, year: track => track.year, tempo: track => track.features?.tempo?.value, camelot: track => track.features?.key?.value};  // only where a song has them
const CHARTS = [["genres", "Genres", "genre"], ["moods", "Moods", "mood"], ["clusters", "Clusters", "cluster"], ["decades", "Decades", null], ["energy", "Energy", null], ["minutes", "Minutes", null], ["failures", "Not analysed", null]];

export async function view(root, params, context) {
  const server = await context.api.get("/v1");
  if (!server.library?.tracks) return emptyLibrary(root, context);
  const state = {server, wish: wishOf(params.query), answer: {tracks: [], total: 0, cursor: null}, statistics: null, labels: {}, error: null, busy: true, turn: 0, scan: false};
  const draw = () => render(page(state, act, context), root);
  const act = {
    async ask({more = false} = {}) {
      const mine = ++state.turn;
      state.busy = true; state.error = null;
      if (!more) history.replaceState(null, "", context.api.address("#/library", state.wish));
      draw();
      try {
        const answer = await context.api.get("/v1/tracks", {...state.wish, sort: state.wish.sort ?? (state.wish.q ? null : "artist"), limit: PAGE, cursor: more ? state.answer.cursor : null});
        if (mine !== state.turn) return;
        state.answer = more ? {...answer, tracks: [...state.answer.tracks, ...answer.tracks]} : answer;
        context.announce(more ? `${count(answer.tracks.length, "more song")}` : count(answer.total, "song"));
      } catch (error) { if (mine !== state.turn) return; state.error = error; }
      state.busy = false;
      draw();
    },
    change(changes) { state.wish = pruned({...state.wish, ...changes}); return act.ask(); },
    words: debounced(words => act.change({q: words}), 300),
    sort(by) { const {sort, order} = state.wish; act.change({sort: by, order: sort === by && order !== "desc" ? "desc" : null}); },
    async scan() {
      state.scan = !state.scan;
      draw();
      state.stop?.();
      if (state.scan) state.stop = await scanPanel(root.querySelector("#scan"), context, {first: false, done: () => { act.ask(); act.count(); }});
    },
    grouping: () => state.grouping,
    async group() {
      state.grouping = true;
      draw();
      try {
        const job = await context.api.post("/v1/jobs", {kind: "clusters"});
        state.stopGroup = context.api.watch(job.id, {end: last => { state.grouping = false; state.error = last.problem ?? null; context.announce(last.problem ? "The songs could not be grouped." : "The songs are grouped."); act.count(); }});
      } catch (error) { state.grouping = false; state.error = error; draw(); }
    },
    async count() { state.statistics = await numbers(context.api); draw(); },
  };
  act.ask();
  act.count();
  headsInUse(context.api).then(heads => { state.labels = Object.fromEntries(heads.map(head => [head.name, head.labels.map(name => ({name}))])); draw(); }).catch(() => {});
  const over = onSong(context, draw);
  return () => { state.turn++; state.stop?.(); state.stopGroup?.(); over(); };
}

async function emptyLibrary(root, context) {
  render(html`<h1>Library</h1><div id="scan"></div>`, root);
  return scanPanel(root.querySelector("#scan"), context, {first: true, done: () => {}});
}

const pruned = wish => Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== null && value !== "" && value !== false && value !== undefined));
const wishOf = query => pruned(Object.fromEntries(["q", "sort", "order", ...FILTERS].map(name => [name, query.get(name)])));

function page(state, act, context) {
  const {wish, answer, server, busy, error} = state, filtered = FILTERS.filter(name => wish[name] != null).length;
  return html`<div class="title-line"><div><h1>Library</h1><p class="dim">${count(server.library.tracks, "song")}, ${length(server.library.seconds)}</p></div>
      <button type="button" aria-expanded=${String(state.scan)} aria-controls="scan" @click=${act.scan}>Scan folders</button></div>
    <div id="scan" ?hidden=${!state.scan}></div>
    <form role="search" class="search" @submit=${event => { event.preventDefault(); act.change({q: event.target.q.value}); }}>
      <input name="q" type="search" aria-label="Find in words" placeholder="Find in words: calm piano, sad rock -vocal, an artist …" autocomplete="off" spellcheck="false"
        .value=${wish.q ?? ""} @input=${event => act.words(event.target.value)}></form>
    ${understood(answer, wish, act)}
    <details class="filters" ?open=${state.filtering ||= filtered > 0}><summary>Filter${filtered ? ` (${filtered})` : ""}</summary>${filters(state, act)}</details>
    ${error ? problem(error) : nothing}
    <div class="list-line"><p>${busy && !answer.tracks.length ? "Looking …" : html`<strong>${count(answer.total, "song")}</strong>${wish.q || filtered ? " found" : ""}`}</p>
      <label>Sort by <select @change=${event => act.change({sort: event.target.value, order: null})}>${wish.q ? html`<option value="" ?selected=${!wish.sort}>How well it fits</option>` : nothing}${Object.entries(SORTS).map(([by, name]) => html`<option value=${by} ?selected=${(wish.sort ?? (wish.q ? "" : "artist")) === by}>${name}</option>`)}</select></label>
      <button type="button" aria-label=${wish.order === "desc" ? "Sorted downwards: turn round" : "Sorted upwards: turn round"} @click=${() => act.change({order: wish.order === "desc" ? null : "desc"})}>${wish.order === "desc" ? "↓" : "↑"}</button></div>
    ${answer.tracks.length ? html`<div class="panel">${songTable(answer.tracks, context, {columns: COLUMNS.filter(name => !SPARSE[name] || answer.tracks.some(SPARSE[name])), sort: {by: wish.sort ?? (wish.q ? "" : "artist"), order: wish.order, choose: act.sort}, label: "Songs of the library"})}</div>`
      : !busy && !error ? html`<p class="panel">No song is like that. <button type="button" class="link" @click=${() => act.change(Object.fromEntries(["q", ...FILTERS].map(name => [name, null])))}>Show all songs</button></p>` : nothing}
    ${answer.cursor ? html`<p class="more"><button type="button" ?disabled=${busy} @click=${() => act.ask({more: true})}>Show ${Math.min(PAGE, answer.total - answer.tracks.length)} more of ${answer.total.toLocaleString("en")}</button></p>` : nothing}
    ${state.statistics ? charts(state.statistics, act) : nothing}`;
}

/** What the words were taken for, and for those that are not known the nearest that are. */
function understood(answer, wish, act) {
  if (!wish.q || (!answer.understood?.length && !answer.unknown?.length)) return nothing;
  const unknown = (answer.unknown ?? []).map(one => typeof one === "string" ? {word: one, nearest: []} : one);
  return html`<div class="understood">${answer.understood?.length ? html`<p>Understood: ${answer.understood.map(word => html`<span class="chip" dir="auto">${word}</span> `)}</p>` : nothing}
    ${unknown.map(({word, nearest}) => html`<p class="warn">Not known: <strong dir="auto">${word}</strong>${nearest.length ? html` – did you mean ${nearest.map(other => html`<button type="button" class="link"
      @click=${() => act.change({q: wish.q.replace(word, other)})}><bdi>${other}</bdi></button> `)}?` : nothing}</p>`)}</div>`;
}

function filters({wish, statistics, labels}, act) {
  const names = head => statistics?.[head] ?? labels[head] ?? [];
  const select = (name, label, head) => html`<label>${label} <select @change=${event => act.change({[name]: event.target.value})}>
    <option value="">any</option>${[...(wish[name] && !names(head).some(one => one.name === wish[name]) ? [{name: wish[name]}] : []), ...names(head)].map(one => html`<option value=${one.name} ?selected=${wish[name] === one.name}>${one.name}${one.count == null ? "" : ` (${one.count.toLocaleString("en")})`}</option>`)}</select></label>`;
  const number = (name, label) => html`<label>${label} <input type="number" min="0" max="100" step="5" .value=${wish[name] == null ? "" : String(Math.round(100 * wish[name]))}
    @change=${event => act.change({[name]: event.target.value === "" ? null : String(Math.max(0, Math.min(100, event.target.valueAsNumber)) / 100)})}></label>`;
  const beats = (name, label) => html`<label>${label} <input type="number" min="20" max="400" step="1" .value=${wish[name] ?? ""}
    @change=${event => act.change({[name]: event.target.value === "" ? null : String(Math.max(0, Math.min(1000, event.target.valueAsNumber)))})}></label>`;
  const key = () => html`<label>Key <select @change=${event => act.change({key: event.target.value})}><option value="">any</option>${KEYS.map(([place, name]) => html`<option value=${place} ?selected=${wish.key === place}>${place} ${name}</option>`)}</select></label>`;
  const check = (name, label) => html`<label class="check"><input type="checkbox" .checked=${wish[name] === "true"} @change=${event => act.change({[name]: event.target.checked ? "true" : null})}> ${label}</label>`;
  return html`<div class="fields">${select("genre", "Genre", "genres")}${select("mood", "Mood", "moods")}${select("instrument", "Instrument", "instruments")}${select("voice", "Voice", "voice")}${select("cluster", "Cluster", "clusters")}
    ${number("energy_min", "Energy from, %")}${number("energy_max", "Energy up to, %")}${beats("tempo_min", "BPM from")}${beats("tempo_max", "BPM up to")}${key()}${number("confidence_max", "At most so sure, %")}
    ${check("failed", "Not analysed")}${check("vanished", "File gone")}</div>`;
}

function charts(statistics, act) {
  const shown = CHARTS.filter(([key]) => statistics[key]?.some(one => one.count));
  return html`<div class="title-line"><h2>In numbers</h2>${statistics.clusters.length ? nothing : html`<button type="button" ?disabled=${act.grouping()} @click=${act.group}>${act.grouping() ? "Grouping …" : "Group songs that sound alike"}</button>`}</div><div class="columns">${shown.map(([key, title, filter]) => {
    const rows = statistics[key].slice(0, 14), most = Math.max(...rows.map(one => one.count));
    return html`<section class="panel"><h3>${title}</h3><ul class="scores counts" aria-label=${title}>${rows.map(one => html`<li>
      ${filter ? html`<button type="button" class="link" aria-label=${`Show ${one.name}, ${count(one.count, "song")}`} @click=${() => { act.change({[filter]: one.name}); scrollTo({top: 0}); }}><bdi>${one.name}</bdi></button>` : html`<bdi>${one.name}</bdi>`}
      <i class="meter" aria-hidden="true" .style=${`--part:${one.count / most}`}></i><b>${one.count.toLocaleString("en")}</b></li>`)}</ul></section>`;
  })}</div>`;
}

// Playlists: asked for by songs, words and numbers; tried, kept, made anew after a scan, and saved as a file.
import {count, html, length, nothing, problem, render, titleOf} from "../dom.js";
import {numbers, onSong, songFinder, songTable} from "../songs.js";

const LISTS = [["genres", "Genres"], ["moods", "Moods"]];
const EMPTY = {seeds: [], like: null, genres: [], moods: [], tags: [], without: [], cluster: null, minutes: 60, artist_gap: 5, energy_min: null, energy_max: null, tempo_min: null, tempo_max: null, key_compatible: false};

export async function view(root, params, context) {
  const {api} = context, state = {wish: {...EMPTY}, seeds: [], name: "", found: null, lists: [], open: null, statistics: null, error: null, busy: false};
  const draw = () => {
    render(page(state, act, context), root);
    const finder = root.querySelector("#finder");
    if (finder && !finder.dataset.made) { finder.dataset.made = "yes"; songFinder(finder, context, {label: "From songs", render, chosen: act.seed}); }
  };
  const attempt = async ask => {
    state.busy = true; state.error = null;
    draw();
    try { return await ask(); } catch (error) { state.error = error; return null; } finally { state.busy = false; draw(); }
  };
  const body = () => ({...state.wish, seeds: state.seeds.map(track => track.id)});
  const act = {
    change(changes) { Object.assign(state.wish, changes); draw(); },
    seed(track) { if (!state.seeds.some(one => one.id === track.id)) state.seeds = [...state.seeds, track]; draw(); },
    unseed(track) { state.seeds = state.seeds.filter(one => one !== track); draw(); },
    preview: event => { event?.preventDefault(); return attempt(async () => { state.found = await api.post("/v1/playlists/preview", body()); context.announce(`${count(state.found.tracks.length, "song")}, ${length(state.found.seconds)}`); }); },
    keep: () => attempt(async () => {
      const name = state.name.trim(), wish = body();
      const made = state.open ? await api.put(`/v1/playlists/${state.open.id}`, {name, wish}) : await api.post("/v1/playlists", {name, wish});
      context.announce(`${name} is kept`);
      context.navigate(`playlists/${(made ?? state.open).id}`);
      if (state.open) await act.load(state.open.id);
    }),
    remove: list => attempt(async () => { await api.delete(`/v1/playlists/${list.id}`); context.announce(`${list.name} is removed`); context.navigate("playlists"); state.open = null; await act.list(); }),
    list: () => attempt(async () => { state.lists = (await api.get("/v1/playlists")).playlists; }),
    load: id => attempt(async () => {
      const {playlist, tracks} = await api.get(`/v1/playlists/${id}`);
      state.open = {...playlist, tracks};
      state.name = state.open.name;
      state.wish = {...EMPTY, ...state.open.wish};
      state.seeds = await lookup(api, state.wish.seeds);
    }),
  };
  draw();
  const first = [act.list()];
  if (params.id) first.push(act.load(params.id));
  for (const [name, value] of params.query) if (name in EMPTY && name !== "seeds") state.wish[name] = Array.isArray(EMPTY[name]) ? value.split(",") : value;
  const seeds = params.query.get("seeds");
  if (seeds) first.push(lookup(api, seeds.split(",").map(Number)).then(tracks => { state.seeds = tracks; }));
  await Promise.all(first);
  if (seeds) await act.preview();
  state.statistics = await numbers(api);
  draw();
  return onSong(context, draw);
}

const lookup = async (api, ids) => ids?.length ? (await api.post("/v1/tracks/lookup", {ids})).tracks : [];

function page(state, act, context) {
  const {open, lists, error, found, busy} = state;
  return html`<h1>${open ? html`<bdi>${open.name}</bdi>` : "Playlists"}</h1>${open ? html`<p><a href="#/playlists">All playlists</a></p>` : nothing}
    ${error ? problem(error) : nothing}
    ${open ? shown(open, act, context) : kept(lists, busy)}
    ${open && !open.wish ? nothing : html`<h2>${open ? "What it is made from" : "Make one"}</h2>${form(state, act)}`}
    ${found ? html`<h2>Preview</h2><p class="dim">${count(found.tracks.length, "song")}, ${length(found.seconds)}</p>${(found.notices ?? []).map(one => html`<p class="warn" dir="auto">${one.message ?? one}</p>`)}
      <div class="panel">${songTable(found.tracks, context, {label: "Preview"})}</div>
      <form class="search end" @submit=${event => { event.preventDefault(); act.keep(); }}><input required aria-label="Name of the playlist" placeholder="Name of the playlist" .value=${state.name} @input=${event => { state.name = event.target.value; }}>
        <button class="main" ?disabled=${busy || !found.tracks.length}>${open ? "Save" : "Keep"}</button></form>
      <p class="dim">A kept playlist is made anew after each scan.</p>` : nothing}`;
}

const kept = (lists, busy) => lists.length ? html`<ul class="columns plain">${lists.map(list => html`<li class="panel"><h3><a href=${`#/playlists/${list.id}`} dir="auto">${list.name}</a></h3>
    <p class="dim">${count(list.tracks, "song")}, ${length(list.seconds)}${list.wish ? "" : " · chosen by hand"}</p>
    <a class="button" href=${`/v1/playlists/${list.id}.m3u8`} download>Save .m3u8</a></li>`)}</ul>`
  : busy ? html`<p class="dim">Looking …</p>` : html`<p class="dim">None is kept yet: make one below, look at it, and keep it.</p>`;

const shown = (list, act, context) => html`<p class="dim">${count(list.tracks.length, "song")}, ${length(list.seconds)}</p>
  <div class="buttons"><button type="button" class="main play" ?disabled=${!list.tracks.length} @click=${() => context.player.play(list.tracks[0], 0, list.tracks)}>Play all</button>
    <a class="button" href=${`/v1/playlists/${list.id}.m3u8`} download>Save .m3u8</a><button type="button" @click=${() => act.remove(list)}>Remove</button></div>
  <div class="panel end">${songTable(list.tracks, context, {label: list.name})}</div>`;

function form({wish, seeds, statistics, busy}, act) {
  const words = list => (list ?? []).join(", "), parsed = text => text.split(",").map(one => one.trim()).filter(Boolean);
  const number = (name, label, {share = false, ...limits} = {}) => html`<label>${label} <input type="number" min=${limits.min ?? 0} max=${limits.max ?? nothing} .value=${wish[name] == null ? "" : String(share ? Math.round(100 * wish[name]) : wish[name])}
    @change=${event => act.change({[name]: event.target.value === "" ? null : share ? event.target.valueAsNumber / 100 : event.target.valueAsNumber})}></label>`;
  const names = head => (statistics?.[head] ?? []).map(one => one.name);
  return html`<form class="panel" @submit=${act.preview}><div id="finder"></div>
    ${seeds.length ? html`<ul class="chips" aria-label="Songs to start from">${seeds.map(track => html`<li><bdi>${titleOf(track)}</bdi> <button type="button" class="link" aria-label=${`Without ${titleOf(track)}`} @click=${() => act.unseed(track)}>×</button></li>`)}</ul>` : nothing}
    <div class="fields"><label class="wide">Like these words <input .value=${wish.like ?? ""} placeholder="calm piano, no vocals" @change=${event => act.change({like: event.target.value.trim() || null})}></label>
      ${LISTS.map(([name, label]) => html`<label>${label} <input list=${`names-${name}`} .value=${words(wish[name])} placeholder="any" @change=${event => act.change({[name]: parsed(event.target.value)})}>
        <datalist id=${`names-${name}`}>${names(name).map(one => html`<option value=${one}></option>`)}</datalist></label>`)}
      <label>With labels <input .value=${words(wish.tags)} placeholder="guitar, live" @change=${event => act.change({tags: parsed(event.target.value)})}></label>
      <label>Without labels <input .value=${words(wish.without)} placeholder="vocal" @change=${event => act.change({without: parsed(event.target.value)})}></label>
      <label>Cluster <select @change=${event => act.change({cluster: event.target.value || null})}><option value="">any</option>${[...new Set([...(wish.cluster ? [wish.cluster] : []), ...names("clusters")])].map(one => html`<option value=${one} ?selected=${one === wish.cluster}>${one}</option>`)}</select></label>
      ${number("minutes", "Minutes", {min: 1, max: 6000})}${number("artist_gap", "Songs between one artist", {max: 100})}
      ${number("energy_min", "Energy from, %", {share: true, max: 100})}${number("energy_max", "Energy up to, %", {share: true, max: 100})}
      ${number("tempo_min", "BPM from", {max: 1000})}${number("tempo_max", "BPM up to", {max: 1000})}
      <label class="check"><input type="checkbox" .checked=${wish.key_compatible} @change=${event => act.change({key_compatible: event.target.checked})}> Matching keys</label></div>
    <div class="buttons end"><button class="main" ?disabled=${busy}>Preview</button></div></form>`;
}

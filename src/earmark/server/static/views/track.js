// A song: what it is and why, songs like it with the seconds that match, and a path to another.
import {chips, count, guessesOf, headName, html, inNumbers, lineOf, measured, nothing, playButton, problem, render, scores, time, titleOf, word} from "../dom.js";
import {onSong, songFinder, songTable} from "../songs.js";

const FIRST = ["genre", "mood", "instruments", "voice"], REST = ["genres", "moods", "tags", "valence", "arousal"];

export async function view(root, params, context) {
  const track = await context.api.get(`/v1/tracks/${params.id}`);
  const state = {track, similar: null, why: null, path: null, target: null, lists: null, busy: {}, errors: {}};
  const draw = () => {
    render(page(state, act, context), root);
    const finder = root.querySelector("#finder");
    if (finder && !finder.dataset.made) { finder.dataset.made = "yes"; songFinder(finder, context, {label: "To", render, chosen: act.path}); }
  };
  const work = async (name, ask) => {
    state.busy[name] = true; state.errors[name] = null;
    draw();
    try { state[name] = await ask(); } catch (error) { state.errors[name] = error; }
    state.busy[name] = false;
    draw();
  };
  const {api} = context;
  const act = {
    similar: () => work("similar", async () => (await api.get(`/v1/tracks/${track.id}/similar`, {count: 20})).tracks),
    why: () => work("why", async () => (await api.post("/v1/predict", {track: track.id}, {why: true})).heads),
    path(target) {
      state.target = target;
      return work("path", async () => { const {tracks} = await api.get("/v1/path", {from: track.id, to: target.id, count: 10}); context.announce(`A path of ${count(tracks.length, "song")}`); return tracks; });
    },
    lists: () => state.lists ? (state.lists = null, draw()) : work("lists", async () => (await api.get("/v1/playlists")).playlists.filter(list => !list.wish)),
    async add(event) {
      event.preventDefault();
      const data = new FormData(event.target), id = data.get("list"), name = data.get("name")?.trim();
      await work("added", async () => {
        if (id) {
          const {playlist, tracks} = await api.get(`/v1/playlists/${id}`);
          await api.put(`/v1/playlists/${id}`, {name: playlist.name, tracks: [...tracks.map(one => one.id), track.id]});
          return playlist.name;
        }
        await api.post("/v1/playlists", {name, tracks: [track.id]});
        return name;
      });
      if (state.added) { state.lists = null; context.announce(`Added to ${state.added}`); draw(); }
    },
  };
  draw();
  document.title = `${titleOf(track)} – Earmark`;
  if (!track.error && !track.vanished) { if (!context.player.playing) context.player.show(track); act.similar(); }
  return onSong(context, draw);
}

function page(state, act, context) {
  const {track, busy, errors} = state, facts = [track.album && html`<bdi>${track.album}</bdi>`, track.year, track.seconds && time(track.seconds), track.cluster && html`cluster <bdi>${track.cluster}</bdi>`].filter(Boolean);
  return html`<header><h1><bdi>${titleOf(track)}</bdi></h1><p><bdi>${track.artist || "No artist is known"}</bdi></p>
      <p class="dim">${facts.map((fact, k) => html`${k ? " · " : ""}${fact}`)}</p><p class="dim small"><bdi>${track.path}</bdi></p></header>
    ${track.error ? problem({title: "This song could not be analysed", detail: track.error.message}) : nothing}
    ${track.vanished ? problem({title: "The file is gone", detail: "The library keeps what it knows of it. Put the file back, and scan again."}) : nothing}
    <div class="buttons end">${playButton(context, track)}<a class="button" href=${`#/playlists?seeds=${track.id}`}>Playlist from this song</a>
      <button type="button" aria-expanded=${String(Boolean(state.lists))} @click=${act.lists} ?disabled=${busy.lists}>Add to a playlist</button></div>
    ${state.lists ? addForm(state, act) : nothing}
    ${errors.lists || errors.added ? problem(errors.lists ?? errors.added) : nothing}
    ${state.added ? html`<p class="dim">Added to <bdi>${state.added}</bdi>.</p>` : nothing}
    ${chips(track.tags)}
    ${track.record?.heads ? found(state, act, context) : nothing}
    ${track.copies?.length ? html`<p class="dim">The same recording: ${track.copies.map(id => html`<a href=${`#/track/${id}`}>song ${id}</a> `)}</p>` : nothing}
    <h2>Songs like it</h2>${errors.similar ? problem(errors.similar) : busy.similar ? html`<p class="dim">Looking …</p>` : similar(state, context)}
    <h2>Path to another song</h2><p class="dim">Songs that lead from this one to another, each like the one before.</p><div id="finder"></div>
    ${errors.path ? problem(errors.path) : busy.path ? html`<p class="dim">Looking …</p>` : state.path ? html`<div class="panel">${songTable(state.path, context, {label: `Path to ${lineOf(state.target)}`})}</div>` : nothing}`;
}

const addForm = (state, act) => html`<form class="panel fields" @submit=${act.add}>
  <label>Playlist <select name="list"><option value="">a new one</option>${state.lists.map(list => html`<option value=${list.id}>${list.name} (${list.tracks})</option>`)}</select></label>
  <label>Name of a new one <input name="name" value="My songs" required></label><button class="main">Add</button></form>`;

function found(state, act, context) {
  const {track, why, busy, errors} = state, {heads, correction} = track.record, rest = REST.filter(head => heads[head]);
  const bars = (head, most) => {
    const own = correction?.[head] ?? null, {labels, label} = heads[head], reason = why?.[head]?.why;
    return html`<section class="panel"><h3>${headName(head)}</h3>${own ? html`<p>Your own label: <strong dir="auto">${[own].flat().join(", ")}</strong></p>` : nothing}
      ${labels ? nothing : html`<p class="answer">${word(heads[head])}</p>`}${scores(guessesOf(heads[head], most), headName(head), labels ?? [label])}
      ${reason ? html`<p class="dim">For <bdi>${reason.name}</bdi> speaks ${playButton(context, track, reason.seconds[0])} to ${time(reason.seconds[1])}.
        ${reason.nearest?.length ? html`Nearest in what the model learned from: ${reason.nearest.map((one, k) => html`${k ? ", " : ""}<bdi>${one.labels.join(" + ")}</bdi> (distance ${one.distance.toFixed(2)})`)}.` : nothing}</p>` : nothing}</section>`;
  };
  return html`<h2>What Earmark found</h2><div class="columns">${FIRST.filter(head => heads[head]).map(head => bars(head, 5))}
      ${measured(track.features, "panel")}${inNumbers(track.record, "Numbers", "panel")}</div>
    ${errors.why ? problem(errors.why) : nothing}
    <div class="buttons end">${why ? nothing : html`<button type="button" ?disabled=${busy.why || track.vanished} @click=${act.why}>${busy.why ? "Listening again …" : "Why?"}</button>`}</div>
    ${rest.length ? html`<details><summary>All heads</summary><div class="columns">${rest.map(head => bars(head, 8))}</div></details>` : nothing}`;
}

function similar({similar: rows, track}, context) {
  if (!rows) return nothing;
  if (!rows.length) return html`<p class="dim">The library holds no other song to compare with.</p>`;
  const both = row => row.seconds ? html`<span class="pair">${playButton(context, track, row.seconds[0])} and ${playButton(context, row.track, row.seconds[1])}</span>` : "";
  return html`<div class="panel">${songTable(rows, context, {columns: ["title", "genre", "mood"], label: "Songs like it",
    extra: [["Why", row => html`<bdi>${row.why}</bdi> <small class="dim">distance ${row.distance?.toFixed(2)}</small>`], ["Where they match: here and there", both]]})}</div>`;
}

// Lists of songs, and the field that finds one: shared by library, track and playlists.
import {debounced, html, lineOf, nothing, percent, playButton, repeat, time, titleOf, word} from "./dom.js";

const COLUMNS = {  // name: [heading, what the REST sorts by, template]
  title: ["Title", "title", track => html`<a href=${`#/track/${track.id}`}><bdi>${titleOf(track)}</bdi></a>
    <span class="artist"><bdi>${track.artist}</bdi></span>${track.error ? html`<p class="warn">Could not be analysed: <bdi>${track.error.message}</bdi></p>` : nothing}
    ${track.vanished ? html`<p class="warn">The file is gone.</p>` : nothing}`],
  album: ["Album", "album", track => track.album ? html`<bdi>${track.album}</bdi>` : ""],
  year: ["Year", "year", track => track.year || ""],
  genre: ["Genre", null, track => track.genre ? word(track.genre) : ""],
  mood: ["Mood", null, track => track.mood ? word(track.mood) : ""],
  energy: ["Energy", "energy", track => track.energy == null ? "" : html`<i class="meter small" aria-hidden="true" .style=${`--part:${track.energy}`}></i> <span class="n">${percent(track.energy)}</span>`],
  tempo: ["BPM", "tempo", track => track.features?.tempo?.value == null ? "" : html`<span class="n">${track.features.tempo.value.toFixed(1)}</span>`],
  camelot: ["Key", "key", track => track.features?.key?.value ? html`${track.features.key.camelot} <small class="dim">${track.features.key.value}</small>` : ""],
  seconds: ["Length", "seconds", track => track.seconds ? time(track.seconds) : ""],
};

/** A table of songs. `rows`: summaries, or {track, ...} with more; `extra`: further columns [heading, row => template];
 *  `sort`: {by, order, choose(by)}; `actions`: track => template; a press of play goes on through the rows. */
export function songTable(rows, context, {columns = ["title", "genre", "mood", "energy", "seconds"], extra = [], sort = null, actions = null, label = "Songs"} = {}) {
  const found = rows.map(row => row.track ? row : {track: row}), queue = found.map(row => row.track).filter(track => !track.error && !track.vanished);
  const playing = context.player.song?.id;
  const heading = name => {
    const [text, by] = COLUMNS[name];
    if (!sort || !by) return html`<th scope="col" role="columnheader">${text}</th>`;
    const order = sort.by === by ? (sort.order === "desc" ? "descending" : "ascending") : nothing;
    return html`<th scope="col" role="columnheader" aria-sort=${order}><button type="button" @click=${() => sort.choose(by)}>${text}</button></th>`;
  };
  return html`<table class="songs" role="table" aria-label=${label}>
    <thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader"><span class="quiet">Play</span></th>${columns.map(heading)}
      ${extra.map(([text]) => html`<th scope="col" role="columnheader">${text}</th>`)}${actions ? html`<th scope="col" role="columnheader"><span class="quiet">More</span></th>` : nothing}</tr></thead>
    <tbody role="rowgroup">${repeat(found, row => row.track.id, row => html`<tr role="row" class=${row.track.id === playing ? "current" : ""}>
      <td role="cell">${playButton(context, row.track, null, queue)}</td>
      ${columns.map(name => html`<td role="cell" class=${name} data-label=${COLUMNS[name][0]}>${COLUMNS[name][2](row.track)}</td>`)}
      ${extra.map(([text, show]) => html`<td role="cell" class="why" data-label=${text}>${show(row)}</td>`)}
      ${actions ? html`<td role="cell" class="actions">${actions(row.track)}</td>` : nothing}</tr>`)}</tbody></table>`;
}

/** The artist and title of a song as a choice in a list. */
const choice = track => html`<bdi>${lineOf(track)}</bdi>`;

/** A field that finds a song by words: `chosen(track)` is called; draws itself into `root`. */
export function songFinder(root, context, {label, chosen, render}) {
  let tracks = null, words = "", turn = 0;
  const look = debounced(async () => {
    const mine = ++turn;
    const found = words.trim() ? (await context.api.get("/v1/tracks", {q: words, limit: 8}).catch(() => ({tracks: []}))).tracks : null;
    if (mine !== turn) return;
    tracks = found;
    if (tracks) context.announce(tracks.length ? `${tracks.length} songs found` : "No song found");
    draw();
  });
  const take = track => { tracks = null; words = ""; turn++; draw(); chosen(track); };
  const draw = () => render(html`<label>${label} <input type="search" autocomplete="off" placeholder="Title, artist, or words" .value=${words}
      @input=${event => { words = event.target.value; look(); }}></label>
    ${tracks ? html`<ul class="finder" aria-label="Songs found">${tracks.map(track => html`<li><button type="button" @click=${() => take(track)}>${choice(track)}</button></li>`)}
      ${tracks.length ? nothing : html`<li class="dim">No song found.</li>`}</ul>` : nothing}`, root);
  draw();
}

/** Draw again when another song plays; returns what ends it. */
export function onSong(context, draw) {
  let last = context.player.song;
  const changed = () => { if (context.player.song !== last) { last = context.player.song; draw(); } };
  context.player.addEventListener("change", changed);
  return () => context.player.removeEventListener("change", changed);
}

/** The heads [{name, task, labels}] of the model that the library's labels are of. */
export async function headsInUse(api) {
  const {models} = await api.get("/v1/models");
  return (models.find(model => model.in_use) ?? models[0])?.heads ?? [];
}

/** The library in numbers, with its clusters; null where it cannot be told. */
export async function numbers(api) {
  const [statistics, clusters] = await Promise.all([api.get("/v1/statistics").catch(() => null), api.get("/v1/clusters").catch(() => null)]);
  const energy = statistics?.energy?.map((bar, tenth) => ({...bar, name: `${10 * tenth}–${10 * tenth + 10} %`}));
  return statistics && {...statistics, energy, clusters: (clusters?.clusters ?? []).map(one => ({name: one.name, count: one.size}))};
}

// The map: every song a dot, songs that sound alike near each other. Click plays; a line around songs makes a playlist.
import {count as plural, debounced, download, empty, headName, html, lineOf, nothing, playButton, problem, render, titleOf} from "../dom.js";
import {Plane, steps} from "../plane.js";
import {STATE, createPoints} from "../webgl.js";
import {Follower, noLibrary} from "../work.js";

const NONE = 65535, OWN = 12;  // a song without a name; names with a colour of their own: all others share one
const NAMES = [
  ["#3b76b0", "#d97d1f", "#3f9447", "#c53f49", "#8560b8", "#8a5d42", "#cf5c99", "#21908c", "#a59a1d", "#4a56c9", "#5d7f1e", "#a8481a", "#807d76", "#b3b0a8"],
  ["#6fa8dc", "#f2a65a", "#7cc47f", "#e5737b", "#b99ae0", "#c9a27e", "#f29fc5", "#5ec9c4", "#d8d36a", "#9fb4ff", "#8fbf4d", "#e08a5b", "#8b919a", "#5a6068"]];
const RANGES = [["#3b4cc0", "#6f91e0", "#a8a29a", "#dd7a5f", "#b40426"], ["#6a8bff", "#9db8ff", "#c9c5bd", "#f5a28a", "#ff6b6b"]];
const FIFTHS = ["0 to 20 %", "20 to 40 %", "40 to 60 %", "60 to 80 %", "80 to 100 %"];
const PAGE = 50;
const slotOf = k => k === NONE ? OWN + 1 : Math.min(k, OWN);
const parts = colour => (colour[0] === "#" ? [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16)) : colour.match(/[\d.]+/g).slice(0, 3).map(Number)).map(v => v / 255);

/** The ways to colour the map, as arrays: which name each song has, by view. */
function viewsOf(data) {
  const count = data.ids.length;
  const found = Object.entries(data.views).map(([name, {names, of, values, sure}]) => ({
    name: headName(name), names: names ?? FIFTHS, ordered: !names, sure,
    index: Uint16Array.from(of ?? values, k => k === null || k < 0 ? NONE : names ? k : Math.min(4, Math.floor(k * 5))),
  }));
  return found.length ? found : [{name: "All", names: [], ordered: false, index: new Uint16Array(count).fill(NONE)}];
}

/** Before there are places: one button makes them. */
async function unmade(root, context) {
  let wrong = null;
  const work = new Follower(context, job => { update(); if (job.state === "done") dispatchEvent(new Event("hashchange")); });
  const update = () => render(html`<div class="alone"><h1>Map</h1>
    ${wrong ? problem(wrong) : nothing}${work.running ? work.show() : empty("The map is not made yet", "Every song gets a place, near to what sounds like it. That takes a moment.",
      html`<button type="button" class="main" @click=${async () => { try { await work.start("map", {}); } catch (error) { wrong = error; update(); } }}>Make the map</button>`)}</div>`, root);
  update();
  return () => work.stop();
}

export async function view(root, params, context) {
  const {api, announce} = context;
  let data;
  try { data = await api.get("/v1/map"); } catch (error) {
    if (error.kind !== "no-library") throw error;
    render(html`<div class="alone"><h1>Map</h1>${noLibrary()}</div>`, root);
    return () => {};
  }
  if (!data.ids.length) return unmade(root, context);
  const count = data.ids.length, views = viewsOf(data);
  const rowOf = new Map(data.ids.map((id, i) => [id, i]));
  const plane = new Plane(steps(data.x, data.y)), looks = new Uint8Array(2 * count), picked = new Uint8Array(count);
  const narrow = matchMedia("(max-width: 720px)"), ending = new AbortController();
  const s = {view: 0, hidden: new Set(), lit: null, matches: null, found: null, at: -1, words: "", hover: -1, chosen: -1, similar: null,
    line: null, lasso: false, picked: 0, list: false, page: 0, open: false, finding: 0, note: "", saved: null, counts: null, shown: count};

  // Names of songs come when they are asked for, and are kept; whoever asks for one that is on its way waits for it.
  const songs = new Map(), coming = new Map();
  async function know(list) {
    const wanted = list.map(i => data.ids[i]).filter(id => !songs.has(id)), ids = wanted.filter(id => !coming.has(id));
    for (let k = 0; k < ids.length; k += 500) {
      const some = ids.slice(k, k + 500);
      const found = api.post("/v1/tracks/lookup", {ids: some})
        .then(answer => { for (const song of answer.tracks) songs.set(song.id, song); })
        .finally(() => { for (const id of some) coming.delete(id); });
      for (const id of some) coming.set(id, found);
    }
    await Promise.all(wanted.map(id => coming.get(id)));
  }
  const song = i => songs.get(data.ids[i]);
  const nameOf = (v, k) => k === NONE ? v.names.length ? "no label" : "all songs" : v.names[k];
  const labelsOf = i => views.filter(v => v.index[i] !== NONE).map(v => [v.name, (v.sure && !v.sure[i] ? "perhaps " : "") + v.names[v.index[i]]]);
  const isShown = i => !s.hidden.has(views[s.view].index[i]) && !(s.found && !s.found[i]);
  const shownRows = () => Array.from({length: count}, (_, i) => i).filter(isShown);
  const pickedRows = () => Array.from({length: count}, (_, i) => i).filter(i => picked[i]);

  // The stage.
  
  render(html`<h1 class="quiet">Map</h1><div class="plan">
    <div class="stage">
      <canvas tabindex="0" role="application" aria-roledescription="map" aria-describedby="map-keys"
        aria-label="Map of the library: each dot is a song; songs that sound alike are near each other"></canvas>
      <svg class="over" aria-hidden="true"><circle class="hover"></circle><circle class="chosen"></circle><polygon></polygon></svg>
      <div class="zoom" role="group" aria-label="Zoom">
        <button type="button" aria-label="Zoom in" @click=${() => zoom(1.6)}>+</button>
        <button type="button" aria-label="Zoom out" @click=${() => zoom(1 / 1.6)}>−</button>
        <button type="button" aria-label="All: show the whole map" @click=${() => { plane.whole(); draw(); }}>All</button>
      </div>
      <div class="tip" aria-hidden="true" hidden></div>
      <section class="song" aria-label="Chosen song" hidden></section>
      <section class="list" aria-label="Songs as a list" hidden></section>
    </div>
    <section class="side" aria-label="Find, colours and playlist"></section></div>`, root);
  const $ = name => root.querySelector(name);
  const [stage, canvas, side, card, tip, list] = [".stage", "canvas", ".side", ".song", ".tip", ".list"].map($);
  const [hoverRing, chosenRing, line] = [".over .hover", ".over .chosen", ".over polygon"].map($);
  const cloud = createPoints(canvas);
  if (!cloud) { s.list = true; stage.classList.add("listed"); }
  // In an order of no meaning, so that no name lies on top of the others, and some of them show what all do.
  const order = Uint32Array.from({length: count}, (_, i) => i);
  for (let i = count - 1, seed = 1; i > 0; i--) { seed = (seed * 48271) % 2147483647; const k = seed % (i + 1); [order[i], order[k]] = [order[k], order[i]]; }
  const shuffled = new Uint16Array(2 * count);
  order.forEach((i, k) => { shuffled[2 * k] = plane.places[2 * i]; shuffled[2 * k + 1] = plane.places[2 * i + 1]; });
  cloud?.place(shuffled);

  let inks = null, colours = [];
  function repaint() {  // after a change of theme or of view
    const style = getComputedStyle(canvas), dark = +(style.getPropertyValue("color-scheme") === "dark" || parts(style.backgroundColor)[0] < .5);
    colours = Array.from({length: 14}, (_, k) => (views[s.view].ordered ? RANGES[dark][k] : null) ?? NAMES[dark][k]);
    inks = {palette: new Float32Array(48), paper: parts(style.backgroundColor), ink: parts(style.color)};
    colours.forEach((colour, k) => inks.palette.set(parts(colour), 3 * k));
  }
  function relook() {  // after a change of what is shown, found, lit or picked
    const {index} = views[s.view];
    s.shown = 0;
    for (let k = 0; k < count; k++) {
      const i = order[k], name = index[i];
      s.shown += isShown(i);
      looks[2 * k] = slotOf(name);
      looks[2 * k + 1] = (s.hidden.has(name) ? STATE.HIDDEN : s.found && !s.found[i] || s.lit !== null && s.lit !== name ? STATE.FAINT
        : s.found || s.lit !== null ? STATE.FOUND : STATE.SHOWN) + (picked[i] && !s.hidden.has(name) ? STATE.PICKED : 0);
    }
    cloud?.look(looks);
  }
  function redraw(part = 1) {
    if (!cloud) return;
    cloud.draw({scale: plane.scale, left: plane.left, top: plane.top, radius: plane.radius}, inks, part);
    for (const [ring, i] of [[hoverRing, s.hover], [chosenRing, s.chosen]]) {
      ring.toggleAttribute("hidden", i < 0);
      if (i < 0) continue;
      const p = plane.point(i);
      ring.setAttribute("cx", p.x); ring.setAttribute("cy", p.y); ring.setAttribute("r", plane.radius / plane.ratio + 5);
    }
    line.setAttribute("points", (s.line ?? []).map(p => p.join(",")).join(" "));
    place();
  }
  // Without a graphics card the browser draws slowly: while the map moves it shows as many songs as keep up, at rest all.
  let waiting = 0, part = 1, rest = 0;
  function draw() {
    clearTimeout(rest); rest = 0;
    if (waiting) return;
    const asked = performance.now();
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      const late = performance.now() - asked;
      part = late > 60 ? Math.max(Math.min(1, 2000 / count), part / 2) : late < 25 ? Math.min(1, part * 1.2) : part;
      redraw(part);
      if (part < 1) rest = setTimeout(() => { rest = 0; redraw(); }, 300);
    });
  }
  if (cloud) cloud.restored = draw;
  const middle = () => [stage.clientWidth / 2, stage.clientHeight / 2];
  function zoom(factor, x = middle()[0], y = middle()[1]) { plane.zoom(factor, x, y); draw(); }
  function move(dx, dy) { plane.move(dx, dy); draw(); }
  function size() {
    const ratio = Math.min(2, devicePixelRatio || 1);
    plane.resize(stage.clientWidth, stage.clientHeight, ratio);
    canvas.width = plane.width; canvas.height = plane.height;
    if (s.chosen >= 0 && !card.hidden) uncover(s.chosen);
    redraw();
  }

  // The chosen song and its card.
  async function choose(i, {play = false, spoken = true} = {}) {
    s.chosen = i; s.similar = null; showTip(-1); showCard(); draw();
    if (i < 0) return;
    await know([i]);
    if (s.chosen !== i || ending.signal.aborted) return;
    const found = song(i);
    if (play && found) context.player.play(found);
    if (spoken && found) announce([lineOf(found), ...labelsOf(i).map(pair => pair.join(" ")), ...(picked[i] ? ["selected"] : [])].join(", "));
    showCard(); uncover(i); draw();
    try { s.similar = await api.get(`/v1/tracks/${data.ids[i]}/similar`, {count: 8}); } catch (error) { s.similar = {error: error.message}; }
    if (s.chosen === i && !ending.signal.aborted) { for (const one of s.similar.tracks ?? []) songs.set(one.track.id, one.track); showCard(); draw(); }
  }
  function showCard() {
    card.hidden = s.chosen < 0 || s.list;
    if (s.chosen < 0) return;
    const i = s.chosen, one = song(i);
    render(html`
      <button class="close" type="button" aria-label="Close" @click=${() => { choose(-1); canvas.focus(); }}>×</button>
      ${one ? html`<p class="artist" dir="auto">${one.artist}</p><h2 dir="auto">${titleOf(one)}</h2>` : html`<h2>…</h2>`}
      <ul class="labels">${labelsOf(i).map(([name, label]) => html`<li><b>${name}</b> ${label}</li>`)}</ul>
      ${one ? html`<div class="buttons">
        <button type="button" @click=${() => context.player.play(one)}>Play</button>
        <button type="button" aria-pressed=${String(picked[i] === 1)} @click=${() => select([i], picked[i] ? 0 : 1)}>${picked[i] ? "Selected" : "Select"}</button>
        <a class="button" href=${`#/track/${one.id}`}>Details</a></div>
        <h3>Similar songs</h3>
        ${s.similar?.tracks?.length ? html`<ol class="similar">${s.similar.tracks.map(other => similarItem(one, other))}</ol>`
          : html`<p class="dim" role="status">${s.similar?.error ?? (s.similar ? "No song of the library is similar." : "Looking …")}</p>`}` : nothing}`, card);
  }
  function similarItem(one, {track, why, seconds}) {
    const row = rowOf.get(track.id), there = row !== undefined;
    return html`<li><button type="button" class="bare" ?disabled=${!there} @click=${() => { goTo(row); card.querySelector("h2")?.focus(); }}>
        <span dir="auto">${titleOf(track)}</span> <small dir="auto">${track.artist}</small></button>
      <small class="dim why">${why}</small>
      ${seconds ? html`<span class="pair">${playButton(context, one, seconds[0])} ${playButton(context, track, seconds[1])}</span>` : playButton(context, track)}</li>`;
  }
  function goTo(i) {
    if (s.hidden.has(views[s.view].index[i])) { s.hidden.clear(); filtered(); }
    plane.center(i, narrow.matches ? .25 : .5);
    return choose(i);
  }
  function uncover(i) {  // moves the map where the dot is outside of it, or under the card on a narrow screen
    const p = plane.point(i), wide = stage.clientWidth, low = stage.clientHeight - (narrow.matches && !card.hidden ? card.offsetHeight + 24 : 16);
    const dx = p.x < 16 ? 40 - p.x : p.x > wide - 16 ? wide - 40 - p.x : 0;
    const dy = p.y < 16 ? 40 - p.y : p.y > low ? Math.max(24, low - 24) - p.y : 0;
    if (dx || dy) plane.move(dx, dy);
  }
  function place() {
    if (s.chosen < 0 || card.hidden) return;
    const p = plane.point(s.chosen), w = card.offsetWidth, h = card.offsetHeight, wide = stage.clientWidth, high = stage.clientHeight;
    const beside = p.x + 16 + w < wide - 8 ? p.x + 16 : p.x - 16 - w;
    card.style.left = `${Math.max(8, Math.min(beside, wide - w - 8))}px`;
    card.style.top = `${narrow.matches ? high - h - 12 : Math.max(8, Math.min(beside < 8 ? p.y + 16 : p.y - h / 3, high - h - 8))}px`;
  }
  let soon = 0;
  function showTip(i, px, py) {
    clearTimeout(soon);
    tip.hidden = i < 0 || i === s.chosen;
    if (tip.hidden) return;
    const one = song(i);
    render(html`<strong dir="auto">${one ? lineOf(one) : "…"}</strong><span>${labelsOf(i).map(pair => pair[1]).join(" · ")}</span>`, tip);
    tip.style.left = `${Math.max(8, Math.min(px + 14, stage.clientWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${py + 18 + tip.offsetHeight > stage.clientHeight ? py - tip.offsetHeight - 12 : py + 18}px`;
    if (!one) soon = setTimeout(async () => { await know([i]); if (s.hover === i && song(i)) showTip(i, px, py); }, 60);
  }

  // Colours and filter: the first press leaves this name alone on the map; further ones add or take away.
  function counted() { s.counts = new Uint32Array(65536); for (const k of views[s.view].index) s.counts[k]++; }
  function press(k, used) {
    if (!s.hidden.size) for (const other of used) { if (other !== k) s.hidden.add(other); }
    else if (s.hidden.has(k)) s.hidden.delete(k); else s.hidden.add(k);
    if (s.hidden.size === used.length) s.hidden.clear();
    filtered();
  }
  function filtered() {
    s.page = 0; relook();
    if (s.chosen >= 0 && !isShown(s.chosen)) choose(-1);
    update(); draw();
  }
  function light(k) { s.lit = k; relook(); draw(); }
  function colourBy(k) { s.view = k; s.hidden.clear(); s.lit = null; counted(); repaint(); filtered(); }

  // Find: the library's own search in words, shown on the map.
  async function search(words) {
    s.words = words; const turn = ++s.finding;
    if (!words.trim()) { s.found = s.matches = null; s.note = ""; s.at = -1; filtered(); return; }
    let answer;
    try { answer = await api.get("/v1/find", {q: words, count: 200}); } catch (error) { answer = {tracks: [], unknown: [], error: error.message}; }
    if (turn !== s.finding || ending.signal.aborted) return;
    for (const one of answer.tracks) songs.set(one.track.id, one.track);
    s.matches = answer.tracks.map(one => rowOf.get(one.track.id)).filter(row => row !== undefined);
    s.found = new Uint8Array(count); s.at = -1;
    for (const i of s.matches) s.found[i] = 1;
    const odd = (answer.unknown ?? []).map(one => `“${one.word ?? one}” is not known${one.nearest?.length ? ` (nearest: ${one.nearest.join(", ")})` : ""}`);
    s.note = answer.error ?? [s.matches.length ? `${plural(s.matches.length, "song")} found; Enter goes to the next` : "No song is found", ...odd].join(". ") + ".";
    if (s.matches.length) plane.fit(s.matches);
    s.open = true; announce(s.note); filtered();
  }
  const later = debounced(words => words === s.words || ending.signal.aborted || search(words));
  async function nextMatch(by = 1) {
    if (!s.matches?.length) return;
    s.at = s.at < 0 && by < 0 ? s.matches.length - 1 : (s.at + by + s.matches.length) % s.matches.length;
    const i = s.matches[s.at];
    update(); side.querySelector("[aria-current]")?.scrollIntoView({block: "nearest"});
    await goTo(i);
    if (song(i)) announce(`${s.at + 1} of ${s.matches.length}: ${lineOf(song(i))}`);
  }
  const findKeys = event => {
    if (event.key === "Enter") { event.preventDefault(); if (event.target.value !== s.words) search(event.target.value).then(() => nextMatch()); else nextMatch(event.shiftKey ? -1 : 1); }
    if (event.key === "Escape" && event.target.value) { event.preventDefault(); event.target.value = ""; search(""); }
  };

  // Selection and playlist.
  const pickedWords = () => s.picked ? `${plural(s.picked, "song is", "songs are")} selected.` : "No song is selected.";
  function select(rows, on = 1) {
    for (const i of rows) { s.picked += on - picked[i]; picked[i] = on; }
    s.saved = null; relook(); update(); showCard(); announce(pickedWords()); draw();
  }
  const toggle = () => s.chosen >= 0 && select([s.chosen], picked[s.chosen] ? 0 : 1);
  function clear() { picked.fill(0); s.picked = 0; s.saved = null; relook(); update(); showCard(); announce(pickedWords()); draw(); }
  function setLasso(on) {
    s.lasso = on; s.line = null; canvas.classList.toggle("drawing", on); update();
    if (on) announce("Draw a line around songs on the map.");
  }
  async function keep(event) {
    event.preventDefault();
    const form = event.target, name = form.elements.name.value.trim();
    try {
      const kept = await api.post("/v1/playlists", {name, tracks: pickedRows().map(i => data.ids[i])});
      s.saved = {words: `“${kept.name ?? name}” is kept with ${plural(s.picked, "song")}.`};
      form.reset();
    } catch (error) { s.saved = {words: error.message, bad: true}; }
    announce(s.saved.words); update();
  }
  async function save() {
    const rows = pickedRows();
    await know(rows);
    const lines = rows.map(song).filter(Boolean).sort((a, b) => a.path < b.path ? -1 : 1)
      .map(one => `#EXTINF:${Math.round(one.seconds) || -1},${[one.artist, titleOf(one)].filter(Boolean).join(" - ").replace(/\s+/g, " ")}\n${one.path}\n`);
    download("earmark-map.m3u8", "#EXTM3U\n" + lines.join(""), "audio/x-mpegurl");
    announce(`A playlist of ${plural(lines.length, "song")} was saved.`);
  }

  // The side: find, colours, playlist; and the list that stands in for the canvas.
  function legend() {
    const v = views[s.view], used = [...v.names.keys(), NONE].filter(k => s.counts[k]), others = used.filter(k => k >= OWN && k !== NONE);
    const item = k => html`<li><button type="button" data-name=${k} aria-pressed=${String(!s.hidden.has(k))}
      @click=${() => press(k, used)} @pointerenter=${() => light(k)} @pointerleave=${() => light(null)} @focus=${() => light(k)} @blur=${() => light(null)}>
      <svg viewBox="0 0 12 12" aria-hidden="true"><circle cx="6" cy="6" r="5" fill=${s.hidden.has(k) ? "none" : colours[slotOf(k)]} stroke=${s.hidden.has(k) ? "currentColor" : "none"}></circle></svg>
      <span dir="auto">${nameOf(v, k)}</span><b>${s.counts[k].toLocaleString("en")}<span class="quiet"> ${s.counts[k] === 1 ? "song" : "songs"}</span></b></button></li>`;
    return html`<ul class="legend" aria-label="Colours; press one to see only these songs">${used.filter(k => !others.includes(k)).map(item)}
      ${others.length ? html`<li><details><summary>${others.length} more, in grey</summary><ul>${others.map(item)}</ul></details></li>` : nothing}</ul>
      ${v.sure?.some(sure => !sure) ? html`<p class="dim">“Perhaps” marks a best guess: the model is not sure.</p>` : nothing}
      ${s.hidden.size ? html`<button type="button" @click=${() => { s.hidden.clear(); filtered(); }}>Show all songs</button>` : nothing}`;
  }
  function matchList() {
    if (!s.matches) return nothing;
    return html`<ol class="matches" aria-label="Songs found" ?hidden=${!s.matches.length}>${s.matches.map((i, k) => html`<li>
      <button type="button" aria-current=${k === s.at ? "true" : nothing} @click=${() => { s.at = k - 1; nextMatch(); }}>
        <span dir="auto">${titleOf(song(i))}</span> <small dir="auto">${song(i).artist}</small></button></li>`)}</ol>`;
  }
  function update() {
    side.classList.toggle("open", s.open);
    render(html`
      <button class="grip" type="button" aria-expanded=${String(s.open)} aria-controls="map-drawer" @click=${() => { s.open = !s.open; update(); }}>Colours and playlist</button>
      <div class="search"><input type="search" placeholder="Find: a name, calm piano, -rock …" aria-label="Find songs, in words" autocomplete="off" spellcheck="false" @input=${event => later(event.target.value)} @keydown=${findKeys}>
        ${s.matches?.length ? html`<button type="button" @click=${() => nextMatch()}>Next</button>` : nothing}</div>
      ${s.note ? html`<p class="dim found">${s.note}</p>` : nothing}
      <div id="map-drawer">${matchList()}
        <h2 class="count">${plural(count, "song")}</h2>
        <p class="dim">Songs that sound alike are near each other (${data.method === "t-SNE" ? "neighbours by t-SNE" : "the two main directions, PCA"}).</p>
        ${cloud ? html`<div class="by" role="group" aria-label="Show as">${["Map", "List"].map((name, k) => html`<button type="button" aria-pressed=${String(s.list === !!k)} @click=${() => { s.list = !!k; update(); showCard(); draw(); }}>${name}</button>`)}</div>` : nothing}
        <h2 id="map-by">Colour by</h2>
        <div class="by" role="group" aria-labelledby="map-by">${views.map((v, k) => html`<button type="button" aria-pressed=${String(k === s.view)} @click=${() => colourBy(k)}>${v.name}</button>`)}</div>
        ${legend()}
        <h2>Playlist</h2>
        <p class="dim picked">${pickedWords()}</p>
        <div class="buttons">
          ${cloud && !s.list ? html`<button type="button" class="lasso" aria-pressed=${String(s.lasso)} @click=${() => setLasso(!s.lasso)}>Draw around songs</button>` : nothing}
          <button type="button" class="visible" ?disabled=${!s.shown} @click=${() => select(shownRows())}>${s.shown === count ? "Select all songs" : `Select the ${s.shown.toLocaleString("en")} shown`}</button>
          <button type="button" class="clear" ?disabled=${!s.picked} @click=${clear}>Clear</button>
          <button type="button" class="save" ?disabled=${!s.picked} @click=${save}>Save .m3u8</button></div>
        <form class="keep" @submit=${keep}><input name="name" required maxlength="200" aria-label="Name of the playlist" placeholder="Name of the playlist" autocomplete="off">
          <button ?disabled=${!s.picked}>Keep</button></form>
        ${s.saved ? html`<p class=${s.saved.bad ? "warn" : "dim"}>${s.saved.words}</p>` : nothing}
        <details><summary>Keys</summary><p id="map-keys" class="dim">On the map: arrow keys go from song to song, Enter plays the song, Space selects it, Escape closes it; plus and minus zoom, 0 shows all, Shift with arrow keys moves the map. In Find: Enter goes to the next song.</p></details>
      </div>`, side);
    showList();
  }
  async function showList() {
    list.hidden = !s.list;
    canvas.inert = s.list;
    if (!s.list) return;
    const rows = shownRows(), pages = Math.max(1, Math.ceil(rows.length / PAGE)), here = rows.slice(s.page * PAGE, (s.page + 1) * PAGE);
    const draw_ = () => render(html`
      ${cloud ? nothing : html`<p class="warn" role="alert">This browser cannot draw the map: it has no WebGL 2, or it is switched off. Here are the same songs as a list.</p>`}
      <table><caption class="quiet">Songs ${s.page * PAGE + 1} to ${s.page * PAGE + here.length} of ${rows.length}</caption>
        <thead><tr><th scope="col">Song</th>${views.map(v => html`<th scope="col">${v.name}</th>`)}<th scope="col">Playlist</th></tr></thead>
        <tbody>${here.map(i => html`<tr><th scope="row"><button type="button" class="bare" @click=${() => choose(i, {play: true, spoken: false})}>
          <span class="quiet">Play </span><span dir="auto">${song(i) ? titleOf(song(i)) : "…"}</span> <small class="dim" dir="auto">${song(i)?.artist ?? ""}</small></button></th>
          ${views.map(v => html`<td dir="auto">${v.index[i] === NONE ? "" : v.names[v.index[i]]}</td>`)}
          <td><input type="checkbox" aria-label=${`Select ${song(i) ? titleOf(song(i)) : "the song"}`} .checked=${picked[i] === 1} @change=${() => select([i], picked[i] ? 0 : 1)}></td></tr>`)}</tbody></table>
      <div class="buttons"><button type="button" ?disabled=${!s.page} @click=${() => { s.page--; showList(); }}>Previous</button>
        <span class="dim">${s.page + 1} of ${pages}</span>
        <button type="button" ?disabled=${s.page + 1 >= pages} @click=${() => { s.page++; showList(); }}>Next</button></div>`, list);
    draw_();
    await know(here);
    if (!ending.signal.aborted) draw_();
  }

  // Pointer: drag moves, two fingers zoom, a tap or a click chooses; with the lasso on (or Shift) a drag draws.
  const held = new Map(); let apart = 0, from = null;
  const where = event => { const box = stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.onpointerdown = event => {
    const p = where(event);
    held.set(event.pointerId, p); canvas.setPointerCapture(event.pointerId); apart = 0; showTip(-1);
    from = held.size === 1 ? p : null; s.line = held.size === 1 && (s.lasso || event.shiftKey) ? [p] : null;
    canvas.classList.toggle("held", !s.line);
  };
  canvas.onpointermove = event => {
    const p = where(event), was = held.get(event.pointerId);
    if (!was) { const i = plane.nearest(...p, 10, isShown); if (i !== s.hover) { s.hover = i; draw(); } showTip(i, ...p); return; }
    if (from && Math.hypot(p[0] - from[0], p[1] - from[1]) > (event.pointerType === "mouse" ? 4 : 10)) from = null;
    if (s.line) { const end = s.line.at(-1); if (Math.hypot(p[0] - end[0], p[1] - end[1]) >= 4) { s.line.push(p); draw(); } return; }
    held.set(event.pointerId, p);
    if (held.size === 2) {
      const [a, b] = [...held.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (apart) zoom(now / apart, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      apart = now;
    } else if (!from) move(p[0] - was[0], p[1] - was[1]);
  };
  canvas.onpointerup = canvas.onpointercancel = event => {
    const p = where(event), up = event.type === "pointerup", drawn = s.line;
    held.delete(event.pointerId); apart = 0; s.line = null;
    if (!held.size) canvas.classList.remove("held");
    if (drawn?.length > 3 && up) { select(plane.inside(drawn, isShown)); setLasso(false); }
    else if (from && up) choose(plane.nearest(...p, event.pointerType === "mouse" ? 10 : 22, isShown), {play: true});
    from = null; draw();
  };
  canvas.onpointerleave = () => { showTip(-1); if (s.hover >= 0) { s.hover = -1; draw(); } };
  canvas.addEventListener("wheel", event => { event.preventDefault(); zoom(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0016)), ...where(event)); }, {passive: false});
  canvas.ondblclick = event => zoom(2, ...where(event));
  function step(dx, dy) {
    const i = plane.step(s.chosen, dx, dy, isShown);
    if (i >= 0) choose(i); else announce("No song further that way.");
  }
  canvas.onkeydown = event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    const act = way ? () => event.shiftKey ? move(-60 * way[0], -60 * way[1]) : step(...way)
      : {"+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), "0": () => { plane.whole(); draw(); }, " ": toggle,
         Enter: () => s.chosen < 0 ? step(0, 0) : choose(s.chosen, {play: true}), Escape: () => { setLasso(false); choose(-1); }}[event.key];
    if (act) { event.preventDefault(); event.stopPropagation(); act(); }
  };

  const theme = () => { repaint(); update(); draw(); };
  addEventListener("themechange", theme, {signal: ending.signal});
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme, {signal: ending.signal});
  const watch = new ResizeObserver(size);
  colourBy(0); watch.observe(stage); size();
  const wanted = Number(params.id || NaN);
  if (rowOf.has(wanted)) goTo(rowOf.get(wanted));
  // For measuring and for tests.
  canvas.earmark = {plane, cloud, redraw, draw, choose, state: () => ({...s, part, view: views[s.view].name, hidden: [...s.hidden], scale: plane.scale})};
  return () => { ending.abort(); watch.disconnect(); cancelAnimationFrame(waiting); clearTimeout(soon); clearTimeout(rest); cloud?.dispose(); };
}

"use strict";
(() => {
const $ = id => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const places = new Uint16Array(bytes(data.places).buffer), count = places.length / 2, songs = data.songs;
const NONE = 65535, OWN = 12;  // a song without a name; names with a colour of their own: all others share one
if (!data.views.length) data.views.push({name: "All", names: [], index: null, sure: null, ordered: false});
const slotOf = k => k === NONE ? OWN + 1 : Math.min(k, OWN);
const views = data.views.map(v => {
  const index = v.index ? new Uint16Array(bytes(v.index).buffer) : new Uint16Array(count).fill(NONE);
  const slots = Uint8Array.from(index, slotOf);
  return {...v, index, slots, sure: v.sure ? bytes(v.sure) : new Uint8Array(count).fill(1)};
});
const canvas = $("map"), stage = $("stage"), ctx = canvas.getContext("2d", {alpha: false});
const narrow = matchMedia("(max-width: 720px)");

// Colours: of names, of ranges of a number, and the same paler for a best guess.
const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const NAMES = [
  ["#3b76b0", "#d97d1f", "#3f9447", "#c53f49", "#8560b8", "#8a5d42", "#cf5c99", "#21908c", "#a59a1d", "#4a56c9", "#5d7f1e", "#a8481a", "#807d76", "#b3b0a8"],
  ["#6fa8dc", "#f2a65a", "#7cc47f", "#e5737b", "#b99ae0", "#c9a27e", "#f29fc5", "#5ec9c4", "#d8d36a", "#9fb4ff", "#8fbf4d", "#e08a5b", "#8b919a", "#5a6068"]];
const RANGES = [["#3b4cc0", "#6f91e0", "#a8a29a", "#dd7a5f", "#b40426"], ["#6a8bff", "#9db8ff", "#c9c5bd", "#f5a28a", "#ff6b6b"]];
const parts = colour => colour[0] === "#" ? [1, 3, 5].map(at => parseInt(colour.slice(at, at + 2), 16)) : colour.match(/\d+/g).slice(0, 3).map(Number);
const packed = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
const mixed = (one, other, share) => parts(one).map((v, k) => Math.round(v * share + parts(other)[k] * (1 - share)));
let tint = null, pale = null, paper = 0, ink = 0, faint = 0, colours = [];
function repaint() {
  const style = getComputedStyle(canvas), ground = style.backgroundColor, dark = +isDark();
  colours = views[view].ordered ? RANGES[dark] : NAMES[dark];
  const all = Array.from({length: 14}, (_, k) => colours[k] || NAMES[dark][k]);
  paper = packed(parts(ground)); ink = packed(parts(style.color)); faint = packed(mixed(style.color, ground, .13));
  tint = Uint32Array.from(all, c => packed(parts(c))); pale = Uint32Array.from(all, c => packed(mixed(c, ground, .45)));
  colours = all;
}

// State.
let view = 0, hidden = new Set(), matches = null, found = null, at = -1, hover = -1, chosen = -1, drawing = null, lasso = false;
let picked = new Uint8Array(count), pickedCount = 0;
let scale = 1, left = 0, top_ = 0, ratio = 1, width = 0, height = 0, image = null, pixels = null, moved = false;
const isShown = i => !hidden.has(views[view].index[i]) && !(found && !found[i]);

// A grid of cells over the plane: what is under the pointer, and what is on the screen, is found without asking all.
const CELLS = 128, start = new Uint32Array(CELLS * CELLS + 1), order = new Uint32Array(count);
{
  const cell = new Uint16Array(count);
  for (let i = 0; i < count; i++) { cell[i] = (places[2 * i + 1] >> 9) * CELLS + (places[2 * i] >> 9); start[cell[i] + 1]++; }
  for (let c = 0; c < CELLS * CELLS; c++) start[c + 1] += start[c];
  const next = start.slice(); for (let i = 0; i < count; i++) order[next[cell[i]]++] = i;
}

function size() {
  const was = [width, height];
  ratio = Math.min(2, devicePixelRatio || 1);
  width = Math.max(1, Math.round(stage.clientWidth * ratio)); height = Math.max(1, Math.round(stage.clientHeight * ratio));
  canvas.width = width; canvas.height = height;
  image = ctx.createImageData(width, height); pixels = new Uint32Array(image.data.buffer);
  if (!moved) whole(); else { left += (width - was[0]) / 2; top_ += (height - was[1]) / 2; }
  if (chosen >= 0) { uncover(chosen); place(); }
  redraw();
}
function whole() {
  moved = false;
  const room = Math.min(width, height) * .92;
  scale = room / 65536; left = (width - room) / 2; top_ = (height - room) / 2;
}
const discs = new Map();
function disc(radius) {
  if (!discs.has(radius)) {
    const spans = [];
    for (let y = -radius; y <= radius; y++) spans.push(Math.floor(Math.sqrt((radius + .3) ** 2 - y * y)));
    discs.set(radius, spans);
  }
  return discs.get(radius);
}
function radius() {
  const zoom = scale * 65536 / Math.min(width, height);
  const base = 3.8 * Math.sqrt(2000 / Math.max(count, 400)) * Math.pow(Math.max(zoom, 1), .55);
  return Math.max(1, Math.min(9, Math.round(base * ratio)));
}
function dot(x, y, spans, r, colour) {
  if (x < -r || y < -r || x >= width + r || y >= height + r) return;
  for (let dy = -r; dy <= r; dy++) {
    const row = y + dy; if (row < 0 || row >= height) continue;
    const reach = spans[dy + r], from = Math.max(0, x - reach), to = Math.min(width - 1, x + reach);
    for (let p = row * width + from, end = row * width + to; p <= end; p++) pixels[p] = colour;  // short: quicker than fill
  }
}
function redraw() {
  const began = performance.now(), r = radius(), spans = disc(r), {slots, sure, index} = views[view];
  const show = new Uint8Array(65536).fill(1); for (const k of hidden) show[k] = 0;
  pixels.fill(paper);
  const all = scale * 65536 <= Math.min(width, height) * 1.05;
  const single = r === 1, ring = r > 2 ? disc(r + 1) : null;
  const paint = i => {
    const x = (places[2 * i] * scale + left) | 0, y = (places[2 * i + 1] * scale + top_) | 0;
    if (x < -r || y < -r || x >= width + r || y >= height + r) return;
    const colour = found && !found[i] ? faint : sure[i] ? tint[slots[i]] : pale[slots[i]];
    if (single && x > 0 && y > 0 && x < width - 1 && y < height - 1) {
      const p = y * width + x; pixels[p] = pixels[p - 1] = pixels[p + 1] = pixels[p - width] = pixels[p + width] = colour;
    } else { if (ring) dot(x, y, ring, r + 1, paper); dot(x, y, spans, r, colour); }
  };
  const some = i => { if (show[index[i]] && !(found && found[i])) paint(i); };
  if (all) for (let i = 0; i < count; i++) some(i);
  else {
    const x0 = Math.max(0, Math.floor((-left / scale - 600) / 512)), x1 = Math.min(CELLS - 1, Math.floor(((width - left) / scale + 600) / 512));
    const y0 = Math.max(0, Math.floor((-top_ / scale - 600) / 512)), y1 = Math.min(CELLS - 1, Math.floor(((height - top_) / scale + 600) / 512));
    for (let y = y0; y <= y1; y++) for (let x = x0; x <= x1; x++) {
      const c = y * CELLS + x;
      for (let k = start[c]; k < start[c + 1]; k++) some(order[k]);
    }
  }
  if (found) for (const i of matches) if (show[index[i]]) paint(i);
  if (pickedCount) {  // with an edge; first all edges, so that none lies on a neighbour
    const edge = disc(r + (single ? 1 : 2)), reach = single ? 2 : r + 2;
    for (let i = 0; i < count; i++) if (picked[i]) dot((places[2 * i] * scale + left) | 0, (places[2 * i + 1] * scale + top_) | 0, edge, reach, ink);
    for (let i = 0; i < count; i++) if (picked[i] && isShown(i)) paint(i);
  }
  ctx.putImageData(image, 0, 0);
  ctx.strokeStyle = getComputedStyle(canvas).color;
  for (const i of new Set([hover, chosen])) if (i >= 0) {
    ctx.beginPath(); ctx.lineWidth = (i === chosen ? 3 : 2) * ratio;
    ctx.arc(places[2 * i] * scale + left, places[2 * i + 1] * scale + top_, r + 5 * ratio, 0, 7); ctx.stroke();
  }
  if (drawing && drawing.length > 1) {
    ctx.beginPath(); ctx.lineWidth = 2 * ratio; ctx.setLineDash([6 * ratio, 4 * ratio]);
    drawing.forEach(([x, y]) => ctx.lineTo(x * ratio, y * ratio)); ctx.closePath(); ctx.stroke(); ctx.setLineDash([]);
  }
  return performance.now() - began;
}
let asked = false;
function draw() { if (!asked) { asked = true; requestAnimationFrame(() => { asked = false; redraw(); place(); }); } }
const point = i => ({x: (places[2 * i] * scale + left) / ratio, y: (places[2 * i + 1] * scale + top_) / ratio});

function nearest(px, py, slack) {
  const x = (px * ratio - left) / scale, y = (py * ratio - top_) / scale, reach = slack * ratio / scale + radius() / scale;
  let best = -1, least = reach * reach;
  const x0 = Math.max(0, (x - reach) >> 9), x1 = Math.min(CELLS - 1, (x + reach) >> 9), y0 = Math.max(0, (y - reach) >> 9), y1 = Math.min(CELLS - 1, (y + reach) >> 9);
  for (let cy = y0; cy <= y1; cy++) for (let cx = x0; cx <= x1; cx++) {
    const c = cy * CELLS + cx;
    for (let k = start[c]; k < start[c + 1]; k++) {
      const i = order[k], dx = places[2 * i] - x, dy = places[2 * i + 1] - y, d = dx * dx + dy * dy;
      if (d < least && isShown(i)) { least = d; best = i; }
    }
  }
  return best;
}
function zoom(factor, px = stage.clientWidth / 2, py = stage.clientHeight / 2) {
  const least = Math.min(width, height) * .5 / 65536, most = Math.min(width, height) * 200 / 65536;
  factor = Math.max(least / scale, Math.min(most / scale, factor));
  left = px * ratio - (px * ratio - left) * factor; top_ = py * ratio - (py * ratio - top_) * factor; scale *= factor; moved = true; draw();
}
function move(dx, dy) { left += dx * ratio; top_ += dy * ratio; moved = true; draw(); }
function center(i) {
  scale = Math.max(scale, Math.min(width, height) * 3 / 65536); moved = true;
  left = width / 2 - places[2 * i] * scale; top_ = height * (narrow.matches ? .25 : .5) - places[2 * i + 1] * scale;
}
function fit(list) {
  let [x0, x1, y0, y1] = [65536, 0, 65536, 0];
  for (const i of list) { const x = places[2 * i], y = places[2 * i + 1]; x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y); }
  scale = Math.min(.8 * width / Math.max(x1 - x0, 8000), .8 * height / Math.max(y1 - y0, 8000), .92 * Math.min(width, height) / 8000); moved = true;
  left = width / 2 - (x0 + x1) / 2 * scale; top_ = height / 2 - (y0 + y1) / 2 * scale;
}

// What a song is called, and the one that is chosen.
const titleOf = i => songs[i][1] || songs[i][2].split(/[\\/]/).pop();
const lineOf = i => songs[i][0] ? `${songs[i][0]} – ${titleOf(i)}` : titleOf(i);
const labelsOf = i => views.flatMap(v => v.index[i] === NONE ? [] : [[v.name, (v.sure[i] ? "" : "perhaps ") + v.names[v.index[i]]]]);
const made = (kind, text, inside = []) => { const one = document.createElement(kind); one.textContent = text; one.append(...inside); return one; };
const announce = text => { $("live").textContent = ""; $("live").textContent = text; };

function choose(i, spoken = true) {
  chosen = i; $("song").hidden = i < 0;
  if (i < 0) { draw(); return; }
  tip(-1);
  $("artist").textContent = songs[i][0]; $("name").textContent = titleOf(i);
  $("labels").replaceChildren(...labelsOf(i).map(([name, label]) => made("li", "", [made("b", name + " "), label])));
  const path = $("path"); path.replaceChildren();
  songs[i][2].split(/(?<=[/\\_])/).forEach((part, k) => path.append(...(k ? [document.createElement("wbr"), part] : [part])));
  $("copy").textContent = "Copy path"; sayPicked();
  if (spoken) announce([lineOf(i), ...labelsOf(i).map(pair => pair.join(" ")), ...(picked[i] ? ["selected"] : [])].join(", "));
  uncover(i); place(); draw();
}
function uncover(i) {  // moves the map where the dot is outside of it, or under the card on a narrow screen
  const p = point(i), low = narrow.matches && !$("song").hidden ? stage.clientHeight - $("song").offsetHeight - 24 : stage.clientHeight - 16;
  const dx = p.x < 16 ? 40 - p.x : p.x > stage.clientWidth - 16 ? stage.clientWidth - 40 - p.x : 0;
  const dy = p.y < 16 ? 40 - p.y : p.y > low ? Math.max(24, low - 24) - p.y : 0;
  if (dx || dy) move(dx, dy);
}
function place() {
  if (chosen < 0) return;
  const card = $("song"), p = point(chosen), w = card.offsetWidth, h = card.offsetHeight;
  const beside = p.x + 16 + w < stage.clientWidth - 8 ? p.x + 16 : p.x - 16 - w;
  card.style.left = `${Math.max(8, Math.min(beside, stage.clientWidth - w - 8))}px`;
  const below = beside < 8 ? p.y + 16 : p.y - h / 3;
  card.style.top = `${narrow.matches ? stage.clientHeight - h - 12 : Math.max(8, Math.min(below, stage.clientHeight - h - 8))}px`;
}
function tip(i, px, py) {
  const box = $("tip");
  box.hidden = i < 0 || i === chosen;
  if (box.hidden) return;
  box.replaceChildren(made("strong", lineOf(i)), made("span", labelsOf(i).map(pair => pair[1]).join(" · ")));
  box.style.left = `${Math.max(8, Math.min(px + 14, stage.clientWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${py + 18 + box.offsetHeight > stage.clientHeight ? py - box.offsetHeight - 12 : py + 18}px`;
}
async function copy() {
  const [, , path, , address] = songs[chosen], text = address || path;
  let done = true;
  try { await navigator.clipboard.writeText(text); } catch {
    const area = made("textarea", text); area.className = "quiet"; area.setAttribute("readonly", ""); stage.append(area); area.select();
    done = document.execCommand("copy"); area.remove();
  }
  if (!done) getSelection().selectAllChildren($("path"));
  $("copy").textContent = done ? "Copied" : "Press Ctrl+C";
  announce(done ? `Copied: ${text}` : "The browser does not let a page copy; the path is marked, press Ctrl+C.");
}
function step(dx, dy) {  // to the nearest song in a direction, or the one nearest to the middle
  let best = -1, least = Infinity;
  const from = chosen >= 0 ? [places[2 * chosen], places[2 * chosen + 1]] : [(width / 2 - left) / scale, (height / 2 - top_) / scale];
  for (let i = 0; i < count; i++) {
    if (i === chosen || !isShown(i)) continue;
    const x = places[2 * i] - from[0], y = places[2 * i + 1] - from[1], along = x * dx + y * dy, across = Math.abs(x * dy - y * dx);
    if (chosen >= 0 && (along <= 0 || across > along)) continue;
    const far = Math.hypot(x, y) * (chosen >= 0 ? 1 + across / along : 1);
    if (far < least) { least = far; best = i; }
  }
  if (best >= 0) choose(best); else announce("No song further that way.");
}

// Colours and filter.
function legend() {
  const v = views[view], counts = new Uint32Array(65536), wasOpen = document.querySelector("#legend details")?.open;
  for (let i = 0; i < count; i++) counts[v.index[i]]++;
  const used = [...v.names.keys(), NONE].filter(k => counts[k]), nameOf = k => k === NONE ? (v.names.length ? "no label" : "all songs") : v.names[k];
  const items = list => list.map(k => {
    const mark = made("i", ""), button = made("button", "", [mark, made("span", nameOf(k)), made("b", counts[k].toLocaleString())]);
    mark.style.background = colours[slotOf(k)]; button.type = "button"; button.dataset.name = k;
    button.setAttribute("aria-pressed", String(!hidden.has(k)));
    button.setAttribute("aria-label", `${nameOf(k)}, ${counts[k]} song${counts[k] === 1 ? "" : "s"}`);
    button.onclick = () => {  // the first press leaves this one alone on the map; further ones add or take away
      if (!hidden.size) used.forEach(other => { if (other !== k) hidden.add(other); });
      else if (hidden.has(k)) hidden.delete(k); else hidden.add(k);
      if (hidden.size === used.length) hidden.clear();
      filtered(); document.querySelector(`#legend [data-name="${k}"]`).focus();
    };
    return made("li", "", [button]);
  });
  const others = used.filter(k => k >= OWN && k !== NONE);
  $("legend").replaceChildren(...items(used.filter(k => !others.includes(k))));
  if (others.length) {
    const more = made("details", "", [made("summary", `${others.length} more, in grey`), made("ul", "", items(others))]);
    more.open = wasOpen || false; $("legend").append(made("li", "", [more]));
  }
  $("paler").hidden = v.sure.every(Boolean); $("everything").hidden = !hidden.size;
}
function filtered() {
  legend();
  if (chosen >= 0 && !isShown(chosen)) choose(-1);
  sayShown(); draw();
}
function sayShown() {
  let shown = 0; for (let i = 0; i < count; i++) shown += isShown(i);
  $("visible").textContent = shown === count ? "Select all songs" : `Select the ${shown.toLocaleString()} shown`;
  $("visible").disabled = !shown;
}
function colourBy(k) {
  view = k; hidden.clear();
  [...$("by").children].forEach((button, j) => button.setAttribute("aria-pressed", String(j === k)));
  repaint(); filtered();
}
views.forEach((v, k) => { const button = made("button", v.name); button.type = "button"; button.onclick = () => colourBy(k); $("by").append(button); });
$("everything").onclick = () => { hidden.clear(); filtered(); $("legend").querySelector("button")?.focus(); };

// Find: all words, without case and accents, in artist, title and what sets its path apart.
const folded = text => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
let hay = null;
const root = songs.reduce((shared, s) => { while (!s[2].startsWith(shared)) shared = shared.slice(0, -1); return shared; }, songs[0]?.[2] ?? "").search(/[^/\\]*$/);
function search() {
  const words = folded($("find").value).split(/\s+/).filter(Boolean);
  hay ||= songs.map(s => folded(`${s[0]} ${s[1]} ${s[2].slice(root)}`));
  found = matches = null; at = -1;
  if (words.length) {
    found = new Uint8Array(count); matches = [];
    for (let i = 0; i < count; i++) if (words.every(word => hay[i].includes(word))) { found[i] = 1; matches.push(i); }
    const key = new Map(matches.map(i => [i, folded(lineOf(i))]));
    matches.sort((a, b) => key.get(a) < key.get(b) ? -1 : key.get(a) > key.get(b) ? 1 : a - b);
    if (matches.length) fit(matches); else if (!narrow.matches) whole();
    open(true);
  }
  list(); filtered();
}
function list() {
  $("found").hidden = $("matches").hidden = !found; $("next").hidden = !found || !matches.length;
  $("matches").hidden ||= !matches?.length;
  if (!found) return;
  $("found").textContent = matches.length ? `${matches.length.toLocaleString()} found${at >= 0 ? `, ${at + 1} is shown` : "; Enter goes to the next"}` : "No song is called that.";
  const first = Math.max(0, Math.min(at - 50, matches.length - 200)), some = matches.slice(first, first + 200);
  $("matches").replaceChildren(...some.map((i, k) => {
    const button = made("button", titleOf(i), songs[i][0] ? [made("small", songs[i][0])] : []); button.type = "button";
    if (first + k === at) button.setAttribute("aria-current", "true");
    button.onclick = () => { goTo(first + k); document.querySelector("#matches [aria-current]")?.focus(); };
    return made("li", "", [button]);
  }));
  const left_ = matches.length - first - some.length;
  if (left_ > 0) $("matches").append(made("li", `and ${left_.toLocaleString()} more`));
  document.querySelector("#matches [aria-current]")?.scrollIntoView({block: "nearest"});
}
function goTo(k) {
  if (!matches?.length) return;
  at = (k + matches.length) % matches.length;
  if (hidden.has(views[view].index[matches[at]])) { hidden.clear(); legend(); sayShown(); }
  center(matches[at]); choose(matches[at], false); list();
  announce(`${at + 1} of ${matches.length}: ${lineOf(matches[at])}`);
}
$("find").oninput = search;
$("find").onkeydown = e => {
  if (e.key === "Enter") { e.preventDefault(); goTo(at + (e.shiftKey ? -1 : 1)); }
  if (e.key === "Escape" && $("find").value) { e.preventDefault(); $("find").value = ""; search(); }
};
$("next").onclick = () => goTo(at + 1);

// Selection and playlist.
function sayPicked() {
  $("picked").textContent = !pickedCount ? "No song is selected." : pickedCount === 1 ? "1 song is selected." : `${pickedCount.toLocaleString()} songs are selected.`;
  $("clear").disabled = $("save").disabled = !pickedCount;
  const has = chosen >= 0 && picked[chosen] === 1;
  $("pick").setAttribute("aria-pressed", String(has)); $("pick").textContent = has ? "Selected" : "Select";
}
function select(list, on = 1) {
  for (const i of list) { pickedCount += on - picked[i]; picked[i] = on; }
  sayPicked(); announce($("picked").textContent); draw();
}
function around(line) {
  const shape = line.map(([x, y]) => [(x * ratio - left) / scale, (y * ratio - top_) / scale]), inside = [];
  const xs = shape.map(p => p[0]), ys = shape.map(p => p[1]), x0 = Math.min(...xs), x1 = Math.max(...xs), y0 = Math.min(...ys), y1 = Math.max(...ys);
  for (let i = 0; i < count; i++) {
    const x = places[2 * i], y = places[2 * i + 1];
    if (x < x0 || x > x1 || y < y0 || y > y1 || !isShown(i)) continue;
    let odd = false;
    for (let a = 0, b = shape.length - 1; a < shape.length; b = a++)
      if (shape[a][1] > y !== shape[b][1] > y && x < (shape[b][0] - shape[a][0]) * (y - shape[a][1]) / (shape[b][1] - shape[a][1]) + shape[a][0]) odd = !odd;
    if (odd) inside.push(i);
  }
  return inside;
}
function setLasso(on) { lasso = on; $("lasso").setAttribute("aria-pressed", String(on)); canvas.classList.toggle("drawing", on); if (on) announce("Draw a line around songs on the map."); }
function playlist() {
  const rows = []; for (let i = 0; i < count; i++) if (picked[i]) rows.push(i);
  rows.sort((a, b) => songs[a][2] < songs[b][2] ? -1 : 1);
  return "#EXTM3U\n" + rows.map(i => `#EXTINF:${songs[i][3] || -1},${lineOf(i).replace(" – ", " - ").replace(/\s+/g, " ")}\n${songs[i][4] || songs[i][2]}\n`).join("");
}
function save() {
  const link = document.createElement("a"), address = URL.createObjectURL(new Blob([playlist()], {type: "audio/x-mpegurl"}));
  link.href = address; link.download = "earmark-map.m3u8"; link.click(); setTimeout(() => URL.revokeObjectURL(address), 10_000);
  announce(`A playlist of ${pickedCount} songs was saved.`);
}
const shownSongs = () => Array.from({length: count}, (_, i) => i).filter(isShown);
const toggle = () => chosen >= 0 && select([chosen], picked[chosen] ? 0 : 1);
$("lasso").onclick = () => setLasso(!lasso);
$("visible").onclick = () => select(shownSongs());
$("clear").onclick = () => { picked.fill(0); pickedCount = 0; sayPicked(); announce("No song is selected."); draw(); };
$("save").onclick = save; $("pick").onclick = toggle; $("copy").onclick = copy;
$("close").onclick = () => { choose(-1); canvas.focus(); };

// Pointer: drag moves, two fingers zoom, a tap or a click chooses; with the lasso on (or Shift) a drag draws.
const held = new Map(); let apart = 0, from = null;
const where = e => { const box = stage.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
canvas.onpointerdown = e => {
  const p = where(e); held.set(e.pointerId, p); canvas.setPointerCapture(e.pointerId); apart = 0; tip(-1);
  from = held.size === 1 ? p : null; drawing = held.size === 1 && (lasso || e.shiftKey) ? [p] : null;
  if (!drawing) canvas.classList.add("held");
};
canvas.onpointermove = e => {
  const p = where(e), was = held.get(e.pointerId);
  if (!was) { const i = nearest(...p, 10); tip(i, ...p); if (i !== hover) { hover = i; draw(); } return; }
  if (from && Math.hypot(p[0] - from[0], p[1] - from[1]) > (e.pointerType === "mouse" ? 4 : 10)) from = null;
  if (drawing) { const end = drawing.at(-1); if (Math.hypot(p[0] - end[0], p[1] - end[1]) >= 4) { drawing.push(p); draw(); } return; }
  held.set(e.pointerId, p);
  if (held.size === 2) {
    const [a, b] = [...held.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
    if (apart) zoom(now / apart, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
    apart = now;
  } else if (!from) move(p[0] - was[0], p[1] - was[1]);
};
canvas.onpointerup = canvas.onpointercancel = e => {
  const p = where(e); held.delete(e.pointerId); apart = 0;
  if (!held.size) canvas.classList.remove("held");
  const line = drawing; drawing = null;
  if (line && line.length > 3 && e.type === "pointerup") { select(around(line)); setLasso(false); }
  else if (from && e.type === "pointerup") choose(nearest(...p, e.pointerType === "mouse" ? 10 : 22));
  from = null; draw();
};
canvas.onpointerleave = () => { tip(-1); if (hover >= 0) { hover = -1; draw(); } };
canvas.addEventListener("wheel", e => { e.preventDefault(); zoom(Math.exp(-e.deltaY * (e.deltaMode ? .05 : .0016)), ...where(e)); }, {passive: false});
canvas.ondblclick = e => zoom(2, ...where(e));
canvas.onkeydown = e => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
  const act = way ? () => e.shiftKey ? move(-60 * way[0], -60 * way[1]) : step(...way)
    : {"+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), "0": () => { whole(); draw(); }, " ": toggle, Enter: () => chosen < 0 ? step(0, 0) : toggle(),
       c: () => chosen >= 0 && copy(), Escape: () => { setLasso(false); drawing = null; choose(-1); }}[e.key];
  if (act) { e.preventDefault(); act(); }
};
$("nearer").onclick = () => zoom(1.6); $("farther").onclick = () => zoom(1 / 1.6); $("whole").onclick = () => { whole(); draw(); };

function open(on) { $("panel").classList.toggle("open", on); $("grip").setAttribute("aria-expanded", String(on)); }
$("grip").onclick = () => open(!$("panel").classList.contains("open"));
addEventListener("themechange", () => { repaint(); legend(); draw(); });
repaint(); colourBy(0); sayPicked();
new ResizeObserver(size).observe(stage); size();
// For measuring and for tests: draws once and says how many milliseconds it took; where a song is; what a playlist would hold.
window.earmarkMap = {redraw, zoom, count, point, playlist, labelsOf, state: () => ({chosen, picked: pickedCount, shown: shownSongs().length, view: views[view].name, scale})};
})();

// Drop files: each is analysed by the server as soon as there is room, and shown as it is ready.
import {count, guessesOf, headName, html, inNumbers, measured, nothing, playButton, render, scores, time, word} from "../dom.js";

const AT_ONCE = 2;
const AUDIO = /\.(aac|aif|aiff|aifc|alac|ape|au|caf|dsf|flac|m4a|m4b|mka|mp2|mp3|mp4|mpc|oga|ogg|opus|ra|snd|spx|tta|w64|wav|webm|wma|wv)$/i;
const FIRST = {genre: 3, mood: 4, instruments: 5, voice: 3};  // how many labels of a head are shown

// What was dropped stays while the page is open, and goes on when another view is looked at.
const items = [];
let running = 0, left = 0, draw = () => {};

export async function view(root, params, context) {
  let over = 0;
  draw = () => render(page(context, over), root);
  const entered = by => event => { event.preventDefault(); over += by; draw(); };
  const handlers = {dragenter: entered(1), dragleave: entered(-1), dragover: event => event.preventDefault(),
    drop: async event => { event.preventDefault(); over = 0; draw(); add(await dropped(event.dataTransfer), context); }};
  for (const [name, handler] of Object.entries(handlers)) document.addEventListener(name, handler);
  draw();
  return () => {
    draw = () => {};
    for (const [name, handler] of Object.entries(handlers)) document.removeEventListener(name, handler);
  };
}

function page(context, over) {
  const done = items.filter(item => item.state !== "waiting" && item.state !== "running").length;
  const choose = folder => event => { add([...event.target.files], context, folder); event.target.value = ""; };
  return html`<section class=${`dropzone ${over > 0 ? "over" : ""} ${items.length ? "small" : ""}`} aria-labelledby="drop-title"><h1 id="drop-title">Drop music here</h1>
      <p class="dim">Files or folders: genre, mood, instruments and voice, where in the song, tempo and key. They go no further than this server, and are not kept.</p>
      <div class="buttons"><button type="button" class="main" @click=${() => root("#files").click()}>Choose files</button>
        <button type="button" @click=${() => root("#folder").click()}>Choose a folder</button></div>
      <input id="files" type="file" multiple hidden aria-label="Files" @change=${choose(false)}>
      <input id="folder" type="file" webkitdirectory hidden aria-label="Folder" @change=${choose(true)}></section>
    ${items.length ? html`<div class="buttons end"><p id="drop-state">${done} of ${count(items.length, "file")} ${done === items.length ? "done" : "analysed"}${left ? `, ${count(left, "other file")} left alone` : ""}.</p>
      ${done < items.length ? html`<button type="button" @click=${cancel}>Cancel the rest</button>` : nothing}
      <button type="button" @click=${() => clear()} ?disabled=${done < items.length}>Clear</button></div>` : nothing}
    <ul class="results">${items.map(item => html`<li class=${`panel result ${item.state}`}>${result(item, context)}</li>`)}</ul>`;
}

const root = selector => document.querySelector(selector);

function result(item, context) {
  const song = songOf(item), queue = items.filter(one => one.state === "done").map(songOf);
  const button = item.state === "done" ? html`<button type="button" class="play" aria-label=${`Play ${item.name}`} @click=${() => context.player.play(song, 0, queue)}></button>` : nothing;
  return html`<header>${button}<div><h2 dir="auto">${item.name}</h2>${STATES[item.state](item)}</div></header>
    ${item.state === "done" ? heads(item, song, context) : nothing}`;
}
const STATES = {
  waiting: () => html`<p class="dim">Waits for its turn</p>`, running: () => html`<p class="dim">Is being analysed …</p>`, cancelled: () => html`<p class="dim">Cancelled</p>`,
  failed: item => html`<p class="warn" dir="auto">Could not be analysed: ${item.problem.detail}</p>`,
  done: ({record}) => html`<p class="dim">${time(record.seconds)}${record.warning ? html` · <span class="warn">${record.warning}</span>` : ""}</p>`,
};

function heads({record, name}, song, context) {
  const shown = Object.entries(FIRST).filter(([head]) => record.heads[head]);
  return html`<div class="heads">${shown.map(([head, most]) => {
    const title = headName(head), found = record.heads[head], sure = found.labels ?? [found.label], at = found.why?.seconds?.[0];
    return html`<section><h3>${title}</h3>${found.labels ? nothing : html`<p class="answer">${word(found)}</p>`}
      ${scores(guessesOf(found, most), `${title} of ${name}`, sure)}
      ${at == null ? nothing : html`<p class="dim"><bdi>${found.why.name}</bdi> most at ${playButton(context, song, at)}</p>`}</section>`;
  })}
    ${measured(record.features)}${inNumbers(record, `Numbers of ${name}`)}</div>`;
}

const songOf = item => ({file: item.file, title: item.name, artist: "", seconds: item.record?.seconds, record: item.record, peaks: item.record?.peaks});

/** Queue files; of a folder only what is audio by its name or type, the rest is counted. */
function add(files, context, folder = false) {
  for (const file of files) {
    if ((folder || file.fromFolder) && !AUDIO.test(file.name) && !/^(audio|video)\//.test(file.type)) { left++; continue; }
    items.push({file, name: file.name, state: "waiting", record: null, problem: null});
  }
  if (files.length) context.announce(`${count(files.length, "file")} added`);
  draw();
  for (let free = AT_ONCE - running; free > 0; free--) next(context);
}

async function next(context) {
  const item = items.find(one => one.state === "waiting");
  if (!item) return;
  running++;
  item.state = "running";
  item.abort = new AbortController();
  draw();
  try {
    item.record = await context.api.upload("/v1/predict", item.file, {taggram: true, why: true, features: true, peaks: 800}, item.abort.signal);
    if (item.record.error) throw Object.assign(Error(), {detail: item.record.error.message});
    item.state = "done";
    const {genre, mood} = item.record.heads, words = [genre, mood].filter(Boolean).map(head => head.label ?? `perhaps ${guessesOf(head, 1)[0]?.name}`);
    context.announce(`${item.name}: ${words.join(", ")}`);
    if (!context.player.playing && !context.player.song?.file) context.player.show(songOf(item));
  } catch (error) {
    item.state = error.name === "AbortError" ? "cancelled" : "failed";
    item.problem = {detail: error.detail ?? "The page could not read the answer."};
    if (item.state === "failed") context.announce(`${item.name} could not be analysed`);
  }
  running--;
  draw();
  next(context);
}

function cancel() {
  for (const item of items) if (item.state === "waiting") item.state = "cancelled"; else item.abort?.abort();
  draw();
}

function clear() { items.length = 0; left = 0; draw(); }

/** All files of a drop, folders with what is below them. */
async function dropped(data) {
  const entries = [...data.items].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...data.files];
  return (await Promise.all(entries.map(entry => walk(entry, false)))).flat();
}

async function walk(entry, below) {
  if (entry.isFile) return new Promise(done => entry.file(file => { if (below) file.fromFolder = true; done([file]); }, () => done([])));
  if (entry.name.startsWith(".")) return [];
  const reader = entry.createReader(), found = [];
  for (;;) {  // a reader gives a hundred at a time
    const some = await new Promise(done => reader.readEntries(done, () => done([])));
    if (!some.length) break;
    found.push(...some);
  }
  found.sort((a, b) => a.name < b.name ? -1 : 1);
  return (await Promise.all(found.map(one => walk(one, true)))).flat();
}

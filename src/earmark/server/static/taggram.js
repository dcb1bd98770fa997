// The taggram: for each chosen label a band over time, dark where the model is sure of it; a click or Enter plays there.
import {headName, html, nothing, percent, render, time} from "./dom.js";

const ROW = 17, GAP = 3;
const ORDER = ["mood", "voice", "instruments", "genre", "moods", "genres", "tags", "valence", "arousal", "positivity", "energy"];
const FIRST = {mood: 4, voice: 1, instruments: 2, genre: 1};  // how many labels of a head are shown unasked

/** Bands [{head, label, scores}] with the stretches that were analysed, from `/v1/tracks/ID/taggram` or from a record. */
export function taggramOf(answer) {
  const bands = [];
  let starts = answer.starts ?? [], ends = starts.map(start => start + (answer.seconds ?? 0));
  for (const [head, found] of Object.entries(answer.heads ?? {})) {
    if (found.labels && found.scores?.length === starts.length && Array.isArray(found.scores[0]) && answer.starts)
      found.labels.forEach((label, k) => bands.push({head, label, scores: found.scores.map(row => row[k])}));
    else if (found.taggram) {
      ({start: starts, end: ends} = found.taggram);
      for (const [label, scores] of Object.entries(found.taggram.scores)) bands.push({head, label, scores});
    }
  }
  const rank = band => { const at = ORDER.indexOf(band.head); return at < 0 ? ORDER.length : at; };
  bands.forEach(band => { band.best = band.scores.indexOf(Math.max(...band.scores)); band.key = `${band.head}:${band.label}`; });
  return {starts, ends, bands: bands.sort((a, b) => rank(a) - rank(b) || b.scores[b.best] - a.scores[a.best])};
}

export class Taggram {
  #root; #play; #data = null; #missing = ""; #seconds = 1; #chosen = new Set(); #at = 0; #now = 0; #watch;

  /** `play(second)` is called where a place is chosen. */
  constructor(root, play) {
    this.#root = root; this.#play = play;
    this.#watch = new ResizeObserver(() => this.#paint());
    addEventListener("themechange", () => this.#paint());
  }

  /** `missing` says why there is no data. */
  show(data, seconds = 0, missing = "") {
    this.#data = data; this.#missing = missing; this.#seconds = Math.max(seconds || 0, data?.ends.at(-1) ?? 0, .1); this.#at = 0;
    const kept = data?.bands.filter(band => this.#chosen.has(band.key)) ?? [];
    if (data && kept.length < 3) {
      const taken = {};
      this.#chosen = new Set(data.bands.filter(band => (taken[band.head] = (taken[band.head] ?? 0) + 1) <= (FIRST[band.head] ?? 0)).map(band => band.key));
      if (!this.#chosen.size) this.#chosen = new Set(data.bands.slice(0, 6).map(band => band.key));
    }
    this.#draw();
  }

  /** The second that is playing. */
  now(second) { this.#now = second; this.#line(); }

  get #bands() { return this.#data?.bands.filter(band => this.#chosen.has(band.key)) ?? []; }

  #draw() {
    if (!this.#data?.bands.length) return render(this.#missing ? html`<p class="dim" dir="auto">${this.#missing}</p>` : nothing, this.#root);
    const bands = this.#bands, heads = [...new Set(this.#data.bands.map(band => band.head))];
    const toggle = band => { if (!this.#chosen.delete(band.key)) this.#chosen.add(band.key); this.#draw(); };
    render(html`<div class="bands">
      <ul class="band-names" aria-label="Where each label is strongest">${bands.map(band => html`<li><button type="button"
        aria-label=${`Play where ${band.label} is strongest, ${percent(band.scores[band.best])} at ${time(this.#data.starts[band.best])}`}
        title=${`strongest at ${time(this.#data.starts[band.best])}: ${percent(band.scores[band.best])}`}
        @click=${() => this.#play(this.#data.starts[band.best])}><bdi>${band.label}</bdi></button></li>`)}</ul>
      <div class="heat" tabindex="0" role="slider" aria-label="Taggram: time" aria-valuemin="0" aria-valuemax=${Math.round(this.#seconds)}
        aria-valuenow=${Math.round(this.#data.starts[this.#at] ?? 0)} aria-valuetext=${this.#words(this.#at)}
        @click=${event => this.#click(event)} @keydown=${event => this.#key(event)} @pointermove=${event => this.#hover(event)} @pointerleave=${() => this.#tip(null)}>
        <canvas aria-hidden="true"></canvas><i class="now" aria-hidden="true"></i><span class="tip" aria-hidden="true" hidden></span></div></div>
      <details class="choice"><summary>Labels and numbers</summary>
        ${heads.map(head => html`<fieldset><legend>${headName(head)}</legend>${this.#data.bands.filter(band => band.head === head).map(band => html`<label>
          <input type="checkbox" .checked=${this.#chosen.has(band.key)} @change=${() => toggle(band)}><bdi>${band.label}</bdi></label>`)}</fieldset>`)}
        <div class="scroll" tabindex="0" role="group" aria-label="The taggram as numbers"><table><thead><tr><th scope="col">Label</th>${this.#data.starts.map(start => html`<th scope="col" class="n">${time(start)}</th>`)}</tr></thead>
        <tbody>${bands.map(band => html`<tr><th scope="row"><bdi>${band.label}</bdi></th>${band.scores.map(score => html`<td class="n">${percent(score)}</td>`)}</tr>`)}</tbody></table></div>
      </details>`, this.#root);
    this.#watch.disconnect();
    this.#watch.observe(this.#root.querySelector(".heat"));
    this.#paint();
  }

  #words(at) {
    const strong = this.#bands.map(band => [band.label, band.scores[at]]).sort((a, b) => b[1] - a[1]).slice(0, 3);
    return `${time(this.#data.starts[at])}: ${strong.map(([label, score]) => `${label} ${percent(score)}`).join(", ")}`;
  }

  #paint() {
    const canvas = this.#root.querySelector("canvas"), bands = this.#bands;
    if (!canvas || !this.#data) return;
    const ratio = devicePixelRatio || 1, wide = canvas.parentElement.clientWidth, high = Math.max(1, bands.length * ROW);
    canvas.width = Math.round(wide * ratio); canvas.height = Math.round(high * ratio);
    canvas.style.height = `${high}px`;
    const ctx = canvas.getContext("2d"), style = getComputedStyle(canvas), {starts, ends} = this.#data, x = second => second / this.#seconds * wide;
    ctx.scale(ratio, ratio);
    const ink = style.color, cell = style.backgroundColor;
    bands.forEach((band, row) => {
      const top = row * ROW + GAP / 2, tall = ROW - GAP;
      ctx.globalAlpha = 1; ctx.fillStyle = cell; ctx.fillRect(0, top, wide, tall);
      ctx.fillStyle = ink;
      starts.forEach((start, k) => {  // paler up to the middle between two stretches: what lies there was not analysed
        const from = k ? (ends[k - 1] + start) / 2 : 0, to = k + 1 < starts.length ? (ends[k] + starts[k + 1]) / 2 : this.#seconds;
        ctx.globalAlpha = .5 * band.scores[k]; ctx.fillRect(x(from), top, Math.max(1, x(to) - x(from)), tall);
        ctx.globalAlpha = Math.min(1, .1 + band.scores[k]); ctx.fillRect(x(start), top, Math.max(2, x(ends[k]) - x(start)), tall);
      });
    });
    this.#line();
  }

  #line() {
    const line = this.#root.querySelector(".now");
    if (line) line.style.left = `${Math.min(100, 100 * this.#now / this.#seconds)}%`;
  }

  #place(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const second = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * this.#seconds;
    const middles = this.#data.starts.map((start, k) => Math.abs((start + this.#data.ends[k]) / 2 - second));
    return {second, at: middles.indexOf(Math.min(...middles)), row: Math.floor((event.clientY - box.top) / ROW), x: event.clientX - box.left, box};
  }

  #click(event) { const {second, at} = this.#place(event); this.#at = at; this.#play(second); }

  #hover(event) {
    const {at, row, x, box} = this.#place(event), band = this.#bands[row];
    this.#tip(band ? `${band.label} ${percent(band.scores[at])} at ${time(this.#data.starts[at])}` : null, x, box.width);
  }

  #tip(text, x = 0, wide = 0) {
    const tip = this.#root.querySelector(".tip");
    if (!tip) return;
    tip.hidden = !text;
    if (text) { tip.textContent = text; tip.style.left = `${Math.max(0, Math.min(x + 10, wide - tip.offsetWidth))}px`; }
  }

  #key(event) {
    const last = this.#data.starts.length - 1, step = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -last, End: last}[event.key];
    if (step) { this.#at = Math.max(0, Math.min(last, this.#at + step)); this.#draw(); }
    else if (event.key === "Enter" || event.key === " ") this.#play(this.#data.starts[this.#at]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

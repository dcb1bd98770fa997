// Long work in the server: start it, find it again after the page was closed, follow it; and curves and intervals as pictures.
import {count, empty, html, isOver, nothing, percent, progress, svg} from "./dom.js";

export const KINDS = {scan: "Scan folders", train: "Train a model", "from-tags": "Learn from the files' own tags", extend: "Extend a model",
  "write-tags": "Write tags", undo: "Undo written tags", clusters: "Make clusters", map: "Lay out the map", effect: "Measure corrections"};

/** Keeps one job of a view up to date: `changed` is called with it, at most once a frame, until `stop`. Each quarter and
 *  the end are read out, an end by its sentence in `endings` where it has one there. */
export class Follower {
  constructor(context, changed, endings = {}) { Object.assign(this, {context, changed, endings, job: null, records: [], epochs: []}); }

  /** Starts a job; an error of the server is thrown. */
  async start(kind, request) { this.follow(await this.context.api.post("/v1/jobs", {kind, ...request})); }

  /** The newest job of these kinds, where there is one: it goes on without the page. */
  async resume(...kinds) {
    const {jobs} = await this.context.api.get("/v1/jobs"), mine = jobs.filter(job => kinds.includes(job.kind));
    const newest = mine.sort((a, b) => a.created < b.created ? 1 : -1)[0];
    if (newest) this.follow(newest);
    return newest;
  }

  follow(job) {
    this.stop();
    Object.assign(this, {job: {...job, notices: [...job.notices ?? []]}, records: [], epochs: []});
    const say = words => { if (!isOver(job)) this.context.announce(words); };
    let quarter = 0;
    this.unwatch = this.context.api.watch(job.id, {
      progress: now => {
        this.job.progress = now;
        const share = now.total ? now.done / now.total : 0, was = quarter;
        quarter = Math.floor(4 * share);
        if (quarter > was) say(`${now.stage || KINDS[job.kind]}: ${percent(share)}`);
        if (!isOver(job)) this.job.state = "running";
        if (now.stage === "epochs") this.epochs.push({epoch: now.done, train_loss: now.facts.loss, valid_loss: now.facts.valid_loss, valid_score: now.facts.valid_score});
        this.#soon();
      },
      record: record => { this.records.push(record); this.#soon(); },
      notice: notice => { const words = notice.message ?? notice; if (!this.job.notices.includes(words)) this.job.notices.push(words); this.#soon(); },
      end: last => {
        this.stop();  // also a frame that waits: the end is told once
        this.job = {...this.job, ...last};
        say(this.endings[last.state] ?? `${KINDS[job.kind]}: ${last.state}.`);
        this.changed(this.job, this);
      },
    });
    this.changed(this.job, this);
  }
  #soon() { this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.changed(this.job, this); }); }

  async cancel() { try { await this.context.api.delete(`/v1/jobs/${this.job.id}`); } catch (error) { this.context.announce(error.message); } }
  /** Forgets it here; the job itself goes on. */
  stop() { this.unwatch?.(); this.unwatch = null; cancelAnimationFrame(this.frame); this.frame = 0; }

  get running() { return Boolean(this.job && !isOver(this.job)); }
  /** Its progress, with a button that cancels; and the curves of a training. */
  show() {
    if (!this.job) return nothing;
    return html`<div class="panel work"><h3>${KINDS[this.job.kind]}</h3>
      ${progress(this.job, () => this.cancel())}
      ${this.epochs.length ? curves(this.epochs) : nothing}
      ${this.running ? html`<p class="dim">It goes on when you close this page.</p>` : nothing}</div>`;
  }
}

/** What became of a job, in a sentence; "" where its kind has none. */
export function outcome({kind, result, state}) {
  if (state !== "done" || !result) return "";
  if (["train", "from-tags", "extend"].includes(kind)) return html`The model <a href=${`#/models/${encodeURIComponent(result.name)}`}>${result.name}</a> is ready.`;
  const counts = Object.entries(result).filter(([, value]) => typeof value === "number").map(([name, value]) => `${value.toLocaleString("en")} ${name.replaceAll("_", " ")}`);
  return counts.length ? `${counts.join(", ")}.` : "";
}

const WIDE = 460, HIGH = 190, LEFT = 46, BOTTOM = 26;
const LINES = [["train_loss", "training loss", "a"], ["valid_loss", "validation loss", "b"]];

/** Learning curves: losses in one picture, scores in another, and all figures in a table. */
export function curves(epochs) {
  const scores = [["train_score", "training score", "a"], ["valid_score", "validation score", "b"]];
  const columns = [...LINES, ...scores].filter(([key]) => epochs.some(one => one[key] != null));
  return html`<div class="curves">${[["Loss by epoch", LINES], ["Score by epoch", scores]].map(([title, lines]) => chart(title, lines.filter(line => columns.includes(line)), epochs))}</div>
    <details><summary>Figures of all epochs</summary><div class="scroll" tabindex="0" role="region" aria-label="Figures of all epochs"><table><thead><tr><th scope="col">Epoch</th>${columns.map(([, name]) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${epochs.map(one => html`<tr><th scope="row">${one.epoch}</th>${columns.map(([key]) => html`<td class="n">${one[key]?.toFixed(4) ?? ""}</td>`)}</tr>`)}</tbody></table></div></details>`;
}
function chart(title, lines, epochs) {
  const values = lines.flatMap(([key]) => epochs.map(one => one[key])).filter(value => value != null);
  if (!values.length) return nothing;
  const [low, high] = [Math.min(...values), Math.max(...values)], room = high - low || 1, last = epochs.at(-1).epoch, first = epochs[0].epoch;
  const x = epoch => LEFT + (epoch - first) / Math.max(last - first, 1) * (WIDE - LEFT - 10), y = value => 14 + (high - value) / room * (HIGH - BOTTOM - 14);
  const told = lines.map(([key, name]) => { const seen = epochs.map(one => one[key]).filter(value => value != null); return `${name} from ${seen[0].toFixed(3)} to ${seen.at(-1).toFixed(3)}`; });
  return html`<figure><figcaption>${title}: ${lines.map(([, name, mark]) => html`<span class=${`key ${mark}`}>${name}</span> `)}</figcaption>
    <svg viewBox=${`0 0 ${WIDE} ${HIGH}`} role="img" aria-label=${`${title}: ${told.join(", ")}, ${count(epochs.length, "epoch")}`}>
    ${[low, (low + high) / 2, high].map(value => svg`<line class="grid" x1=${LEFT} x2=${WIDE - 10} y1=${y(value)} y2=${y(value)}></line>
      <text class="dim small end" x=${LEFT - 6} y=${y(value) + 4}>${value.toPrecision(3)}</text>`)}
    <text class="dim small" x=${LEFT} y=${HIGH - 6}>epoch ${first}</text>${last > first ? svg`<text class="dim small end" x=${WIDE - 10} y=${HIGH - 6}>${last}</text>` : nothing}
    ${lines.map(([key, , mark]) => { const there = epochs.filter(one => one[key] != null); return there.length > 1
      ? svg`<polyline class=${`line ${mark}`} points=${there.map(one => `${x(one.epoch).toFixed(1)},${y(one[key]).toFixed(1)}`).join(" ")}></polyline>`
      : svg`<circle class=${mark} cx=${x(there[0].epoch)} cy=${y(there[0][key])} r="3"></circle>`; })}</svg></figure>`;
}

/** Scores between 0 and 1 as dots with their 95 % intervals, a row each: `[{name, value, ci95}]`. */
export function intervals(rows, label) {
  const x = value => (Math.max(0, Math.min(1, value)) * 200 + 4).toFixed(1);
  return html`<table class="intervals"><caption class="quiet">${label}, with 95 % intervals</caption><tbody>${rows.map(row => html`<tr><th scope="row">${row.name}</th>
    <td><svg viewBox="0 0 208 16" aria-hidden="true"><line class="grid" x1="4" x2="204" y1="8" y2="8"></line>
      ${row.ci95 ? svg`<line class="whisker" x1=${x(row.ci95[0])} x2=${x(row.ci95[1])} y1="8" y2="8"></line>` : nothing}<circle class=${row.mark ?? "a"} cx=${x(row.value)} cy="8" r="4.5"></circle></svg></td>
    <td class="n">${percent(row.value)}${row.ci95 ? html` <small class="dim">${percent(row.ci95[0])} to ${percent(row.ci95[1])}</small>` : nothing}</td></tr>`)}</tbody></table>`;
}

/** The time of day of a job, as the reader's clock has it. */
export const moment = words => words ? new Date(typeof words === "number" ? words * 1000 : words).toLocaleString([], {dateStyle: "medium", timeStyle: "short"}) : "";

/** What stands where there is no library yet. */
export const noLibrary = () => empty("There is no library yet", "Scan a folder of music first: every song gets its genre, mood and place.", html`<a class="button" href="#/library">To the library</a>`);

// Models: what each says of itself and how well it does; and new ones, trained from here.
import {count, headName, html, nothing, percent, problem, render} from "../dom.js";
import {Follower, curves, intervals, outcome} from "../work.js";

const FIGURES = {accuracy: "accuracy", macro_f1: "macro F1", roc_auc_macro: "ROC AUC", pr_auc_macro: "PR AUC", r2: "R²", coverage: "coverage", precision: "precision of its answers"};
const FORMS = {
  train: ["Train", "A folder with a folder of songs for each label (genre/artist/song.mp3), or one with a dataset.toml."],
  "from-tags": ["Learn from tags", "The genre tags of your library's own files teach; doubtful tags are found on the way."],
  extend: ["Extend", "A model learns more labels from a folder of songs for each, without the music that it was trained on."],
};

export async function view(root, params, context) {
  const {api} = context;
  const s = {models: [], recipes: [], folders: [], chosen: params.id, model: null, form: "train", wrong: null, refused: null};
  let over = false;
  const work = new Follower(context, job => { if (!over && job.state === "done") load().then(update); update(); });

  async function load() {
    s.models = (await api.get("/v1/models")).models;
    s.chosen ||= s.models.find(model => model.in_use)?.name ?? s.models[0]?.name ?? "";
    try { s.model = s.chosen ? await api.get(`/v1/models/${encodeURIComponent(s.chosen)}`) : null; s.wrong = null; } catch (error) { s.model = null; s.wrong = error; }
  }
  const size = bytes => `${(bytes / 1e6).toFixed(1)} MB`;
  const list = () => html`<ul class="model-list">${s.models.map(model => html`<li><a class="panel" href=${`#/models/${encodeURIComponent(model.name)}`} aria-current=${model.name === s.chosen ? "true" : nothing}>
    <strong dir="auto">${model.name}</strong>${model.in_use ? html` <span class="tag">in use</span>` : nothing}
    <small class="dim">${model.id ?? ""} · ${size(model.bytes)}</small>
    ${model.error ? html`<small class="warn" dir="auto">${model.error}</small>` : html`<small class="dim">${(model.heads ?? []).map(head => headName(head.name ?? head)).join(", ")}</small>`}</a></li>`)}</ul>`;

  // One model.
  function shown() {
    const {model} = s;
    if (!model) return nothing;
    const {card, scores, data, notes} = model, short = model.model;
    return html`<section aria-labelledby="model-title"><h2 id="model-title" dir="auto">${short.name}</h2>
      ${short.error ? html`<p class="warn" dir="auto">${short.error}</p>` : nothing}
      ${card.recipe?.about ?? card.about ? html`<p dir="auto">${card.recipe?.about ?? card.about}</p>` : nothing}
      <dl class="facts">${facts(short, card, model.licence).map(([name, value]) => html`<div><dt>${name}</dt><dd dir="auto">${value}</dd></div>`)}</dl>
      ${data.length ? html`<details><summary>What it was trained on</summary><ul>${data.map(words => html`<li dir="auto">${words}</li>`)}</ul></details>` : nothing}
      ${notes.length ? html`<details><summary>Notes</summary>${notes.map(note => html`<p dir="auto">${note}</p>`)}</details>` : nothing}
      <h3>Scores</h3><p class="dim">${Object.keys(scores).length ? "Measured on songs whose artists the model did not learn from, with 95 % intervals." : "None are kept in this model."}</p>
      <div class="panels">${(card.heads ?? []).filter(head => scores[head.name]).map(head => score(head, scores[head.name]))}</div>
      ${model.history.length ? html`<h3>How it learned</h3>${curves(model.history)}` : html`<p class="dim">This model keeps no learning curves.</p>`}</section>`;
  }
  const facts = (model, card, licence) => [
    ["Identity", [model.id, (model.digest ?? "").slice(0, 12)].filter(Boolean).join(" · ")], ["Size", size(model.bytes)],
    ["Network", [card.backbone, card.recipe?.name && `recipe ${card.recipe.name}`].filter(Boolean).join(", ")],
    ["Hears", card.clip ? `${card.clip.count} clips of ${card.clip.seconds} s` : ""],
    ["Licence", licence],
  ].filter(([, value]) => value);
  function score(head, one) {
    const known = Object.entries(FIGURES).filter(([key]) => typeof one[key] === "number"), name = headName(head.name);
    return html`<section class=${`panel${one.confusion?.length > 6 ? " full" : ""}`} aria-label=${name}><h4>${name}</h4>
      <p class="dim">${[head.meaning, one.tracks != null ? count(one.tracks, "song") : "", one.part ? `${one.part} part, apart by ${one.group}` : ""].filter(Boolean).join(" · ")}</p>
      <div class="scored"><div>${intervals(known.map(([key, figure]) => ({name: figure, value: one[key], ci95: one[`${key}_ci95`], mark: ["coverage", "precision"].includes(key) ? "b" : "a"})), name)}
      ${one.mae != null ? html`<p class="dim">Mean error ${one.mae}${one.mae_ci95 ? ` (${one.mae_ci95.join(" to ")})` : ""}</p>` : nothing}</div>
      ${one.confusion ? confusion(name, one) : nothing}</div></section>`;
  }
  /** Rows are the truth; the shade is the share of the row, the number counts songs. */
  const confusion = (name, {labels, confusion: table}) => html`<div class="scroll" tabindex="0" role="region" aria-label=${`Confusion table of ${name}`}>
    <table class="confusion"><caption>Confusion: rows are the truth, columns what the model says; the share of the row is the shade.</caption>
    <thead><tr><td></td>${labels.map(label => html`<th scope="col" dir="auto"><span>${label}</span></th>`)}</tr></thead>
    <tbody>${table.map((row, i) => { const sum = row.reduce((a, b) => a + b, 0) || 1; return html`<tr><th scope="row" dir="auto">${labels[i]}</th>${row.map((value, k) => html`<td
      class=${`n shade-${Math.round(10 * value / sum)}${i === k ? " right" : ""}`} title=${`${labels[i]} taken for ${labels[k]}: ${value} (${percent(value / sum)})`}>${value || html`<span class="dim">0</span>`}</td>`)}</tr>`; })}</tbody></table></div>`;

  // New ones.
  const option = (value, words, chosen = false) => html`<option value=${value} ?selected=${chosen}>${words}</option>`;
  const folders = () => html`<label>Songs <select name="folder" required>
    ${option("corrections", "your corrections in the library")}
    ${s.folders.map(folder => option(folder.id, `${folder.name} – ${folder.path}${folder.available === false ? " (not there now)" : ""}`))}</select></label>`;
  function form() {
    const [words, about] = FORMS[s.form];
    return html`<section aria-labelledby="new-title"><h2 id="new-title">A new model</h2>
      <div class="by" role="group" aria-label="How to make a model">${Object.entries(FORMS).map(([kind, [name]]) => html`<button type="button" aria-pressed=${String(kind === s.form)} @click=${() => { s.form = kind; s.refused = null; update(); }}>${name}</button>`)}</div>
      <form class="panel fields" @submit=${start}><p class="dim">${about}</p>
        ${s.form === "extend" ? html`<label>Model <select name="model">${s.models.filter(model => !model.error).map(model => option(model.name, model.name, model.name === s.chosen))}</select></label>` : nothing}
        ${s.form === "from-tags" ? nothing : folders()}
        ${s.form === "train" ? html`<label>Recipe <select name="recipe">${s.recipes.map(recipe => option(recipe.name, recipe.about ? `${recipe.name}: ${recipe.about.slice(0, 80)}` : recipe.name, recipe.name === "transfer"))}</select></label>
          <label>Heads <input name="heads" placeholder="all; or genre, mood" autocomplete="off" spellcheck="false"></label>
          <label>Settings <textarea name="settings" rows="2" placeholder="training.epochs = 5" spellcheck="false"></textarea></label>` : nothing}
        ${s.form === "extend" ? html`<label>Label of all these songs <input name="label" placeholder="none: its folders are the labels" autocomplete="off"></label>` : nothing}
        <label>Name of the new model <input name="name" required pattern="[A-Za-z0-9][A-Za-z0-9_\\-]*" maxlength="64" title="Letters, digits, hyphen and underscore" autocomplete="off" spellcheck="false"></label>
        <button class="main" ?disabled=${work.running}>${words}</button>
        ${s.refused ? problem(s.refused) : nothing}</form>
      ${work.show()}${work.job && work.job.state === "done" ? html`<p role="status">${outcome(work.job)}</p>` : nothing}</section>`;
  }
  async function start(event) {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.target)), request = {name: fields.name.trim()};
    if ("folder" in fields) request.folder = fields.folder === "corrections" ? null : fields.folder;
    if (s.form === "extend") { request.model = fields.model; if (fields.label.trim()) request.label = fields.label.trim(); }
    if (s.form === "train") {
      request.recipe = fields.recipe;
      request.heads = fields.heads.split(",").map(name => name.trim()).filter(Boolean);
      request.settings = Object.fromEntries(fields.settings.split("\n").filter(line => line.includes("=")).map(line => { const at = line.indexOf("="); return [line.slice(0, at).trim(), line.slice(at + 1).trim()]; }));
    }
    s.refused = null;
    try { await work.start(s.form, request); } catch (error) { s.refused = error; }
    update();
  }
  function update() {
    if (over) return;
    render(html`<header><h1>Models</h1><p>What names your music, how well it does, and how to teach it your own labels.</p></header>
      ${s.wrong ? problem(s.wrong) : nothing}${list()}${shown()}${form()}`, root);
  }
  await load();
  update();
  const [recipes, places] = await Promise.allSettled([api.get("/v1/recipes"), api.get("/v1/folders")]);
  s.recipes = recipes.value?.recipes ?? []; s.folders = places.value?.folders ?? [];
  update();
  work.resume("train", "from-tags", "extend").catch(() => {});
  return () => { over = true; work.stop(); };
}

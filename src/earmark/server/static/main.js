// The shell: which view is open, what all views share, and what holds for the whole page.
import {Api, GONE} from "./api.js";
import {html, problem, render} from "./dom.js";
import {Player} from "./player.js";

const VIEWS = {  // by the first word of the address after "#/"
  drop: ["Drop", "drop"], library: ["Library", "library"], map: ["Map", "map"], playlists: ["Playlists", "playlists"],
  review: ["Review", "review"], models: ["Models", "models"], tags: ["Write tags", "tags"], jobs: ["Jobs", "jobs"], track: ["Song", "track"],
};
const main = document.querySelector("main"), bar = document.querySelector(".top .pages"), gone = document.getElementById("gone"), quiet = document.getElementById("live");
const api = new Api();
const announce = text => { quiet.textContent = ""; setTimeout(() => { quiet.textContent = text; }, 50); };
const navigate = (address, {replace = false} = {}) => {
  const target = address.startsWith("#") ? address : `#/${address}`;
  if (replace) { history.replaceState(null, "", target); open(); } else location.hash = target;
};
const context = {api, announce, navigate};
context.player = new Player(document.getElementById("player"), context);

let dispose = null, turn = 0, from = null, waiting = false;
/** Show the view that the address names; one that is still being made is dropped. */
async function open() {
  const mine = ++turn, [path, words = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [first = "", id = ""] = path.split("/"), [name, module] = VIEWS[first || "library"] ?? [];
  try { dispose?.(); } catch (error) { console.error(error); }
  dispose = null;
  for (const link of bar.querySelectorAll("a")) {
    const here = link.hash === `#/${first || "library"}` || (first === "track" && link.hash === "#/library");
    if (here) { link.setAttribute("aria-current", "page"); link.scrollIntoView({block: "nearest", inline: "nearest"}); } else link.removeAttribute("aria-current");
  }
  document.title = name ? `${name} – Earmark` : "Earmark";
  document.body.dataset.view = module ?? "";
  const root = document.createElement("div");
  root.className = `view ${module ?? "unknown"}`;
  main.replaceChildren(root);
  if (from !== null && from !== path) { scrollTo(0, 0); main.focus({preventScroll: true}); announce(document.title); }
  from = path;
  if (!module) return render(html`<h1>There is no such page</h1><p><a href="#/library">Go to the library</a></p>`, root);
  try {
    const {view} = await import(`./views/${module}.js`);
    const made = await view(root, {id: decodeURIComponent(id), query: new URLSearchParams(words)}, context);
    if (mine === turn) dispose = made; else made?.();
  } catch (error) {
    if (!error.detail) await api.get("/v1").catch(() => {});  // a part that did not come: is the server gone, or the token?
    if (mine !== turn || waiting || error.status === 401 || error.name === "AbortError") return;
    console.error(error);
    const known = error.detail ? error : {title: "This page could not be shown", detail: "Load it again; if that does not help, the server may be of another version."};
    render(html`${problem(known)}<p><button type="button" @click=${open}>Try again</button></p>`, root);
  }
}

/** The server is gone: say so, ask until it is back, and then show the view again. */
async function wait() {
  if (waiting) return;
  waiting = true;
  gone.textContent = GONE.replaceAll("`", "");
  gone.hidden = false;
  while (waiting) {
    await new Promise(done => setTimeout(done, 2000));
    try {
      const answer = await fetch("/v1", {credentials: "same-origin"});
      if (answer.status < 500) waiting = false;
    } catch { /* not yet */ }
  }
  gone.hidden = true;
  announce("The server answers again.");
  open();
}

/** A token is needed: ask for it, and then show the view again. */
function login(error = null) {
  turn++;
  const send = async event => {
    event.preventDefault();
    try {
      await api.login(new FormData(event.target).get("token"));
      announce("You are logged in.");
      open();
    } catch (wrong) { login(wrong); }
  };
  const root = document.createElement("div");
  main.replaceChildren(root);
  document.title = "Log in – Earmark";
  render(html`<form class="panel login" @submit=${send}><h1>Log in</h1>
    <p>This server wants the token that it was started with (<code>--token</code> or <code>EARMARK_TOKEN</code>).</p>
    ${error ? problem(error.status === 401 || error.status === 403 ? {title: "That is not the token", detail: "Check it, and try again."} : error) : ""}
    <label>Token <input name="token" type="password" autocomplete="current-password" required></label>
    <button class="main">Log in</button></form>`, root);
  main.querySelector("input").focus();
}

api.addEventListener("gone", wait);
api.addEventListener("token", () => login());
addEventListener("hashchange", open);
document.querySelector(".skip").addEventListener("click", event => { event.preventDefault(); main.focus(); });  // its address is no view's
const tall = new ResizeObserver(() => document.documentElement.style.setProperty("--player", `${document.getElementById("player").offsetHeight}px`));
tall.observe(document.getElementById("player"));
await open();

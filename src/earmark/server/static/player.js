// One player for all views, at the foot of the page: what plays, its waveform, its taggram, and what comes next.
import WaveSurfer from "wavesurfer.js";
import {html, lineOf, nothing, render, time, titleOf} from "./dom.js";
import {Taggram, taggramOf} from "./taggram.js";

const nonce = document.querySelector("script[nonce]")?.nonce ?? "";
const FAILED = {2: "The server stopped sending the song.", 3: "The browser cannot decode this song.", 4: "The browser cannot play this format."};

/** A song is {id | file, title, artist} and, where it is known already, its `record` (heads with a taggram) and `peaks`. */
export class Player extends EventTarget {
  #root; #context; #audio = new Audio(); #wave = null; #taggram; #song = null; #queue = []; #at = -1; #address = null; #message = ""; #turn = 0; #folded = false; #wanted = 0;

  constructor(root, context) {
    super();
    this.#root = root; this.#context = context;
    this.#folded = matchMedia("(max-width: 640px)").matches;
    try { this.#folded = (localStorage.getItem("earmark-taggram") ?? (this.#folded ? "folded" : "open")) === "folded"; } catch { /* kept by no one */ }
    this.#draw();
    this.#taggram = new Taggram(root.querySelector(".taggram"), second => this.seek(second, true));
    const audio = this.#audio;
    audio.preload = "metadata";
    for (const name of ["play", "pause", "loadedmetadata"]) audio.addEventListener(name, () => { this.#draw(); this.dispatchEvent(new Event("change")); });
    audio.addEventListener("loadedmetadata", () => { if (this.#wanted) audio.currentTime = this.#wanted; });
    audio.addEventListener("timeupdate", () => { this.#taggram.now(audio.currentTime); this.#clock(); });
    audio.addEventListener("ended", () => { if (this.#queue[this.#at + 1]) this.#step(1); });
    audio.addEventListener("error", () => this.#broken());
    addEventListener("themechange", () => this.#wave?.setOptions(this.#colours()));
    addEventListener("keydown", event => {  // the space bar, where nothing else has a use for it
      if (event.key !== " " || !this.#song || event.target.closest("button, input, select, textarea, a, summary, [tabindex='0']")) return;
      event.preventDefault();
      this.toggle();
    });
    for (const [action, step] of [["nexttrack", 1], ["previoustrack", -1]])
      navigator.mediaSession?.setActionHandler(action, () => this.#step(step));
  }

  get song() { return this.#song; }
  get playing() { return !this.#audio.paused; }

  /** Play a song from a second on; `queue` (songs, with this one among them) is what follows. */
  play(song, second = 0, queue = null) {
    this.#queue = queue ?? [song];
    this.#at = Math.max(0, this.#queue.findIndex(one => same(one, song)));
    this.show(song, second);
    this.#audio.play().catch(error => { if (error.name === "NotAllowedError") this.#say("The browser wants a press of the play button first."); });
  }

  /** Show a song with its waveform and taggram, without playing it. */
  show(song, second = 0) {
    if (this.#song && same(this.#song, song)) { this.seek(second); return; }
    const mine = ++this.#turn;
    this.#clear();
    this.#song = song; this.#message = ""; this.#wanted = second;
    if (!this.#queue.some(one => same(one, song))) { this.#queue = [song]; this.#at = 0; }
    this.#address = song.file ? URL.createObjectURL(song.file) : null;
    this.#audio.src = this.#address ?? `/v1/tracks/${song.id}/audio`;
    this.#root.hidden = false;
    this.#draw();
    if (navigator.mediaSession) navigator.mediaSession.metadata = new MediaMetadata({title: titleOf(song), artist: song.artist ?? ""});
    this.#context.announce(lineOf(song));
    this.dispatchEvent(new Event("change"));
    this.#look(song, mine);
  }

  toggle() { if (this.#audio.paused) this.#audio.play().catch(() => {}); else this.#audio.pause(); }

  seek(second, play = false) {
    this.#wanted = second;
    if (this.#audio.readyState) this.#audio.currentTime = second;
    if (play) this.#audio.play().catch(() => {});
  }

  close() {
    this.#turn++;
    this.#clear();
    this.#song = null; this.#queue = []; this.#root.hidden = true;
    this.dispatchEvent(new Event("change"));
  }

  #clear() {
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    this.#wave?.destroy(); this.#wave = null;
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = null;
    this.#taggram.show(null);
  }

  /** Waveform and taggram: from the song where they came with it, else from the server; the song plays without them too. */
  async #look(song, mine) {
    const {api} = this.#context, ask = (what, query) => api.get(`/v1/tracks/${song.id}/${what}`, query).catch(error => ({error}));
    const [peaks, taggram] = await Promise.all([
      song.peaks ? {peaks: song.peaks, seconds: song.record?.seconds ?? song.seconds} : song.id != null ? ask("peaks", {count: 800}) : null,
      Object.values(song.record?.heads ?? {}).some(head => head.taggram) ? song.record : song.id != null ? ask("taggram") : null]);  // a library's record has none
    if (mine !== this.#turn) return;
    const seconds = peaks?.seconds ?? song.seconds ?? this.#audio.duration;
    if (peaks?.peaks?.length) {
      this.#wave = WaveSurfer.create({container: this.#root.querySelector(".wave"), media: this.#audio, peaks: [peaks.peaks], duration: seconds, height: 40,
        barWidth: 2, barGap: 1, barRadius: 1, normalize: true, cspNonce: nonce, dragToSeek: true, ...this.#colours()});
      this.#wave.on("interaction", second => { this.#wanted = second; });
    }
    if (taggram?.error) this.#taggram.show(null, 0, `There is no taggram: ${taggram.error.message}`);
    else if (taggram) this.#taggram.show(taggramOf(taggram), seconds);
  }

  #colours() {
    const style = getComputedStyle(this.#root), colour = name => {
      const probe = document.createElement("i");
      probe.style.color = `var(${name})`; this.#root.append(probe);
      const found = getComputedStyle(probe).color; probe.remove();
      return found;
    };
    return {waveColor: colour("--dim"), progressColor: colour("--a"), cursorColor: style.color};
  }

  #broken() {
    if (!this.#song || !this.#audio.getAttribute("src")) return;
    const code = this.#audio.error?.code, own = this.#song.id != null;
    this.#say(`${FAILED[code] ?? "The song cannot be played."} ${own ? "Its analysis holds all the same; open the file in a player." : "What Earmark found in it holds all the same."}`);
  }

  #say(message) { this.#message = message; this.#draw(); this.#context.announce(message); }

  #step(by) { const next = this.#queue[this.#at + by]; if (next) this.play(next, 0, this.#queue); }

  #fold() {
    this.#folded = !this.#folded;
    try { localStorage.setItem("earmark-taggram", this.#folded ? "folded" : "open"); } catch { /* kept by no one */ }
    this.#draw();
  }

  #clock() {
    const clock = this.#root.querySelector(".clock"), range = this.#root.querySelector("input[type=range]"), {currentTime: now, duration} = this.#audio;
    if (!clock) return;
    clock.textContent = `${time(now)} / ${time(Number.isFinite(duration) ? duration : this.#song?.seconds)}`;
    range.max = String(Number.isFinite(duration) ? duration : this.#song?.seconds || 0); range.value = String(now);
    range.setAttribute("aria-valuetext", `${time(now)} of ${time(Number(range.max))}`);
  }

  #draw() {
    const song = this.#song, playing = this.playing;
    render(html`<div class="line">
        <button type="button" class="step back" aria-label="Previous song" ?disabled=${!this.#queue[this.#at - 1]} @click=${() => this.#step(-1)}></button>
        <button type="button" class=${playing ? "play on" : "play"} aria-label=${playing ? "Pause" : "Play"} @click=${() => this.toggle()}></button>
        <button type="button" class="step" aria-label="Next song" ?disabled=${!this.#queue[this.#at + 1]} @click=${() => this.#step(1)}></button>
        <p class="what">${song?.id != null ? html`<a href=${`#/track/${song.id}`} ><bdi>${titleOf(song)}</bdi></a>` : html`<strong><bdi>${song ? titleOf(song) : ""}</bdi></strong>`}
          ${song?.artist ? html`<span><bdi>${song.artist}</bdi></span>` : nothing}</p>
        <span class="clock"></span>
        <button type="button" aria-expanded=${String(!this.#folded)} aria-controls="taggram" @click=${() => this.#fold()}>Taggram</button>
        <button type="button" class="close" aria-label="Close the player" @click=${() => this.close()}>×</button></div>
      <p class="warn" ?hidden=${!this.#message} dir="auto">${this.#message}</p>
      <input type="range" class="quiet-range" aria-label="Position in the song" min="0" step="1" @input=${event => this.seek(Number(event.target.value))}>
      <div class="wave" aria-hidden="true"></div>
      <div class="taggram" id="taggram" ?hidden=${this.#folded}></div>`, this.#root);
    this.#clock();
  }
}

const same = (a, b) => a === b || (a.id != null && a.id === b.id) || (a.file && a.file === b.file);

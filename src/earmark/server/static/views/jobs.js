// Long work: what runs, what waits, what is done. All of it goes on without this page.
import {STATES, empty, html, isOver, problem, render} from "../dom.js";
import {Follower, KINDS, moment, outcome} from "../work.js";

export async function view(root, params, context) {
  const followers = new Map(), live = 4;  // a browser keeps few connections to one server
  let jobs = [], wrong = null, over = false, timer = 0;

  function update() {
    if (over) return;
    render(html`<header><h1>Jobs</h1><p>Long work goes on when you close the page, and is here when you come back.</p></header>
      ${wrong ? problem(wrong) : ""}
      ${jobs.length || wrong ? "" : empty("Nothing has run yet", "Scans, trainings and written tags are listed here once you start one.")}
      <h2 class="quiet">All jobs, the newest first</h2><ol class="job-list">${jobs.map(job => {
        const follower = followers.get(job.id);
        return html`<li>${follower ? follower.show() : html`<div class="panel work"><h3>${KINDS[job.kind] ?? job.kind}</h3>
          <p><strong>${STATES[job.state]}</strong> ${outcome(job)}</p>
          ${job.problem ? html`<p class="warn" dir="auto">${job.problem.detail ?? job.problem.title}</p>` : ""}</div>`}
          <p class="dim when">${moment(job.created)}${job.ended ? ` to ${moment(job.ended)}` : ""}</p></li>`; })}</ol>`, root);
  }
  async function look() {
    try { jobs = (await context.api.get("/v1/jobs")).jobs.sort((a, b) => a.created < b.created ? 1 : -1); wrong = null; } catch (error) { wrong = error; }
    if (over) return;
    for (const job of jobs.filter(one => !isOver(one) && !followers.has(one.id)).slice(0, live)) {
      const follower = new Follower(context, update);
      followers.set(job.id, follower);
      follower.follow(job);
    }
    for (const [id, follower] of followers) if (!follower.running && jobs.some(job => job.id === id && isOver(job))) { follower.stop(); followers.delete(id); }
    update();
    timer = setTimeout(look, 3000);
  }
  await look();
  return () => { over = true; clearTimeout(timer); for (const follower of followers.values()) follower.stop(); };
}

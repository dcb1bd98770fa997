// The REST, and nothing but it: JSON in and out, errors as Problem, events of a job.

/** What the server answered in place of a result; status 0: it did not answer. */
export class Problem extends Error {
  constructor(problem) {
    const {status = 0, title = "That did not work", detail = title, kind = null} = problem;
    super(detail);
    Object.assign(this, {status, title, detail, kind, problem});
  }
}

export const GONE = "The server does not answer. It may have been stopped: start `earmark serve` again, and this page goes on.";

const UNSENT = "The file may have been moved, or it is larger than the server takes: scan its folder into the library instead.";

/** "gone" and "token" are told to who listens: the server does not answer, or wants a token. */
export class Api extends EventTarget {
  get(path, query, signal) { return this.#call("GET", path, {query, signal}); }
  post(path, body, query, signal) { return this.#call("POST", path, {query, body, signal}); }
  put(path, body) { return this.#call("PUT", path, {body}); }
  delete(path) { return this.#call("DELETE", path, {}); }

  /** A file for `/v1/predict`. */
  upload(path, file, query, signal) {
    const form = new FormData();
    form.append("file", file, file.name);
    return this.#call("POST", path, {query, form, signal});
  }

  async login(token) {
    const answer = await this.#fetch("/login", {method: "POST", body: new URLSearchParams({token})});
    if (!answer.ok) throw await problemOf(answer);
  }

  /** An address with its query; names without a value are left out, lists are repeated. */
  address(path, query = {}) {
    const words = new URLSearchParams();
    for (const [name, value] of Object.entries(query ?? {}))
      for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "" && one !== false) words.append(name, one);
    const text = words.toString();
    return text ? `${path}?${text}` : path;
  }

  async #call(method, path, {query, body, form, signal}) {
    const json = body === undefined ? {} : {headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
    const answer = await this.#fetch(this.address(path, query), {method, signal, ...json, ...(form ? {body: form} : {})});
    if (answer.status === 401) this.dispatchEvent(new Event("token"));
    if (!answer.ok) throw await problemOf(answer);
    if (answer.status === 204) return null;
    return (answer.headers.get("Content-Type") ?? "").includes("json") ? answer.json() : answer.text();
  }

  async #fetch(address, options) {
    try {
      return await fetch(address, {credentials: "same-origin", ...options});
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (options.body instanceof FormData && (await fetch("/v1").catch(() => null))) throw new Problem({title: "The file could not be sent", detail: UNSENT});
      this.dispatchEvent(new Event("gone"));
      throw new Problem({title: "The server does not answer", detail: GONE});
    }
  }

  /** Follow a job: `on` has functions progress, record, notice and end by name. Returns what stops following it. */
  watch(id, on) {
    const source = new EventSource(`/v1/jobs/${encodeURIComponent(id)}/events`);
    let over = false;
    const end = async () => {
      if (over) return;
      over = true;
      source.close();
      try { on.end?.(await this.get(`/v1/jobs/${encodeURIComponent(id)}`)); } catch (error) { on.end?.({id, state: "failed", problem: error}); }
    };
    for (const name of ["progress", "record", "notice"]) source.addEventListener(name, event => on[name]?.(JSON.parse(event.data)));
    source.addEventListener("end", end);
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) end(); };
    return () => { over = true; source.close(); };
  }
}

async function problemOf(answer) {
  try {
    return new Problem({status: answer.status, ...await answer.json()});
  } catch {
    return new Problem({status: answer.status, title: answer.statusText || `Error ${answer.status}`});
  }
}

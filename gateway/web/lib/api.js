// The station's API as the pages use it: JSON in, JSON out, and errors that can be shown.

const WAIT_MS = 35_000; // longer than the station's own deadline of a query

export class ApiError extends Error {
  /** @param {number} status @param {{code?: string, type?: string, detail?: string, path?: string, retry_after_s?: number}} problem */
  constructor(status, problem) {
    super(problem.detail || `the station answered ${status}`);
    this.status = status; // 0: nobody answered
    this.code = (problem.type ?? "").split(":").pop() ?? "";
    this.detail = this.message;
    this.path = problem.path;
    this.retry_after_s = problem.retry_after_s;
  }
}

/** @typedef {{params?: Record<string, any>, body?: any, signal?: AbortSignal, stay?: boolean}} Options
 * `params`: lists repeat the name, null is left out.  `stay`: a 401 is thrown and leads nowhere. */

/** @param {string} method @param {string} path @param {Options} [options] */
async function call(method, path, { params, body, signal, stay } = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params ?? {}))
    for (const one of [value].flat()) if (one !== null && one !== undefined) query.append(name, String(one));
  const deadline = AbortSignal.timeout(WAIT_MS);
  /** @type {Response} */
  let answer;
  let text = "";
  try {
    answer = await fetch(query.size ? `${path}?${query}` : path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error; // one has left the page
    throw new ApiError(0, { detail: "The station does not answer. Is it running, and is this device on its network?" });
  }
  if (answer.status === 401 && !stay) toLogin();
  if (!answer.ok) throw new ApiError(answer.status, parsed(text));
  return text ? JSON.parse(text) : null;
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {}; // a proxy's own page
  }
}

/** To the login page, and back here afterwards. */
export function toLogin() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.hash)}`);
}

/** True for the error of a request that was given up because one left the page. @param {any} error */
export const isAborted = (error) => error?.name === "AbortError";

export const api = {
  /** @param {string} path @param {Options} [o] */ get: (path, o) => call("GET", path, o),
  /** @param {string} path @param {Options} [o] */ post: (path, o) => call("POST", path, { body: {}, ...o }),
  /** @param {string} path @param {Options} [o] */ put: (path, o) => call("PUT", path, o),
  /** @param {string} path @param {Options} [o] */ patch: (path, o) => call("PATCH", path, o),
  /** @param {string} path @param {Options} [o] */ delete: (path, o) => call("DELETE", path, o),
};

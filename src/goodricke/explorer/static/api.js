/** Requests to the server; its page /docs describes the answers. */

/** A request that the server refused, or that it did not answer; the message is for people. */
export class ApiError extends Error {
  /** @param {string} message @param {number} status HTTP status, 0 where no answer came */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** @param {Response} response @returns {Promise<string>} what the server says is wrong */
async function errorDetail(response) {
  try {
    const { detail } = await response.json();
    if (typeof detail === "string") return detail;
    return detail.map((/** @type {any} */ item) => `${item.loc?.slice(1).join(".")}: ${item.msg}`).join("; ");
  } catch {
    return `The server answered ${response.status} ${response.statusText}.`;
  }
}

/**
 * @param {string} path below /api
 * @param {{method?: string, body?: any, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>}
 */
async function send(path, { method = "GET", body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(`api/${path}`, { method, headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("No answer from the server. Is `goodricke explore` still running?", 0);
  }
  if (!response.ok) throw new ApiError(await errorDetail(response), response.status);
  return response;
}

/** @param {string} path @param {AbortSignal} [signal] */
const get = async (path, signal) => (await send(path, { signal })).json();
/** @param {string} path @param {any} body @param {AbortSignal} [signal] */
const post = async (path, body, signal) => (await send(path, { method: "POST", body, signal })).json();

/** @param {Record<string, any>} fields those that are null, false or "" are left out @returns {string} ?a=1&b=2 */
export function query(fields) {
  const given = Object.entries(fields).filter(([, value]) => value !== null && value !== false && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** @param {string} path @param {any} [body] @returns {Promise<{name: string, blob: Blob}>} what the server sends to be saved */
async function file(path, body) {
  const response = await send(path, body === undefined ? {} : { method: "POST", body });
  const name = /filename="?([^";]+)/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
  return { name: name ?? "goodricke", blob: await response.blob() };
}

export const api = {
  about: () => get("about"),
  /** @param {object} query {where, sort, offset, limit, columns} @param {AbortSignal} [signal] */
  rows: (query, signal) => post("rows", query, signal),
  /** @param {{where: object, sort: object[], row: number}} query @returns {Promise<{index: number|null}>} the place of a row in the order */
  position: (query) => post("position", query),
  /** @param {object} where @param {string} by @param {AbortSignal} [signal] */
  counts: (where, by, signal) => post("counts", { where, by }, signal),
  /** @param {object} where @param {string} column @param {number} bins @param {AbortSignal} [signal] */
  histogram: (where, column, bins, signal) => post("histogram", { where, column, bins }, signal),
  /** @param {object} where @param {string} x @param {string} y @param {AbortSignal} [signal] */
  crosstab: (where, x, y, signal) => post("crosstab", { where, x, y }, signal),
  /** @param {string} name @param {object} body {where, most, view, cells} @param {AbortSignal} [signal] */
  diagram: (name, body, signal) => post(`diagrams/${encodeURIComponent(name)}`, body, signal),
  /** @param {object} where @param {string|null} label @returns {Promise<{changed: number, before: object[]}>} */
  labelSelection: (where, label) => post("labels", { where, label }),
  /** @param {object[]} entries {object_id, label} */
  putLabels: async (entries) => (await send("labels", { method: "PUT", body: { entries } })).json(),
  subsets: () => get("subsets"),
  /** @param {string} name @param {object} where */
  saveSubset: async (name, where) =>
    (await send(`subsets/${encodeURIComponent(name)}`, { method: "PUT", body: { where } })).json(),
  /** @param {string} name */
  removeSubset: (name) => send(`subsets/${encodeURIComponent(name)}`, { method: "DELETE" }),
  /** @param {number} row @param {AbortSignal} [signal] */
  object: (row, signal) => get(`rows/${row}`, signal),
  /** @param {number} row @param {Record<string, any>} options {together, subtract, harmonics} @param {AbortSignal} [signal] */
  lightCurve: (row, options, signal) => get(`rows/${row}/light_curve${query({ most: 20000, ...options })}`, signal),
  /** @param {number} row @param {Record<string, any>} options and the band @param {AbortSignal} [signal] */
  periodogram: (row, options, signal) => get(`rows/${row}/periodogram${query(options)}`, signal),
  /** @param {number} row @param {AbortSignal} [signal] */
  history: (row, signal) => get(`rows/${row}/history`, signal),
  /** @param {number} row @param {AbortSignal} [signal] */
  neighbours: (row, signal) => get(`rows/${row}/neighbours?k=8`, signal),
  /** @param {number} row @returns {string} address of a small picture of the light curve */
  thumbnail: (row) => `api/rows/${row}/thumbnail?fold=true`,
  /** @param {number} row @param {{label?: string|null, comment?: string|null}} change an absent part stays @returns {Promise<{label: string|null, comment: string|null}>} */
  putLabel: async (row, change) => (await send(`rows/${row}/label`, { method: "PUT", body: change })).json(),
  live: () => get("live"),
  /** @param {number} after number of the last event that is known @returns {Promise<{events: any[]}>} */
  sampEvents: (after) => get(`samp?after=${after}`),
  /** @param {"table"|"rows"|"highlight"} what @param {object} body */
  samp: (what, body) => post(`samp/${what}`, body),
  /** @param {object} where @param {string} format @returns {Promise<{name: string, blob: Blob}>} */
  export: (where, format) => file("export", { where, format }),
  /** @param {string} path below /api @param {object} [body] asked by POST; without one by GET */
  figure: (path, body) => file(path, body),
};

/**
 * Make overlapping requests abort each other: only the latest one is answered.
 *
 * @template T
 * @param {(signal: AbortSignal, ...args: any[]) => Promise<T>} request
 * @returns {(...args: any[]) => Promise<T|undefined>} undefined if a later request has started
 */
export function latestOnly(request) {
  let current = new AbortController();
  return async (...args) => {
    current.abort();
    const controller = (current = new AbortController());
    try {
      const answer = await request(controller.signal, ...args);
      return controller.signal.aborted ? undefined : answer;
    } catch (error) {
      if (controller.signal.aborted) return undefined;
      throw error;
    }
  };
}

/** The server's answers; what each holds is told in the server's own /docs page. */

/** A question that the server refused or could not be reached for; the message is for people. */
export class ApiError extends Error {
  /** @param {string} message @param {number} status HTTP status, 0 where no answer came */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** @param {Response} response @returns {Promise<string>} the server's own words */
async function reason(response) {
  try {
    const { detail } = await response.json();
    if (typeof detail === "string") return detail;
    return detail.map((/** @type {any} */ one) => `${one.loc?.slice(1).join(".")}: ${one.msg}`).join("; ");
  } catch {
    return `The server answered ${response.status} ${response.statusText}.`;
  }
}

/**
 * @param {string} path below /api
 * @param {{method?: string, body?: any, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, { method = "GET", body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(`api/${path}`, { method, headers, body: JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("No answer from the server. Is `goodricke explore` still running?", 0);
  }
  if (!response.ok) throw new ApiError(await reason(response), response.status);
  return response;
}

/** @param {string} path @param {AbortSignal} [signal] */
const get = async (path, signal) => (await ask(path, { signal })).json();
/** @param {string} path @param {any} body @param {AbortSignal} [signal] */
const post = async (path, body, signal) => (await ask(path, { method: "POST", body, signal })).json();

export const api = {
  about: () => get("about"),
  /** @param {object} query {where, sort, offset, limit, columns} @param {AbortSignal} [signal] */
  rows: (query, signal) => post("rows", query, signal),
  /** @param {{where: object, sort: object[], row: number}} query @returns {Promise<{index: number|null}>} where a row stands */
  position: (query) => post("position", query),
  /** @param {object} where @param {string} by @param {AbortSignal} [signal] */
  counts: (where, by, signal) => post("counts", { where, by }, signal),
  /** @param {object} where @param {string} column @param {number} bins @param {AbortSignal} [signal] */
  histogram: (where, column, bins, signal) => post("histogram", { where, column, bins }, signal),
  /** @param {string} name @param {object} where @param {number} most @param {AbortSignal} [signal] */
  diagram: (name, where, most, signal) => post(`diagrams/${encodeURIComponent(name)}`, { where, most }, signal),
  /** @param {number} row @param {AbortSignal} [signal] */
  object: (row, signal) => get(`rows/${row}`, signal),
  /** @param {number} row @param {AbortSignal} [signal] */
  lightCurve: (row, signal) => get(`rows/${row}/light_curve?most=20000`, signal),
  /** @param {number} row @param {string} band @param {AbortSignal} [signal] */
  periodogram: (row, band, signal) =>
    get(`rows/${row}/periodogram${band ? `?band=${encodeURIComponent(band)}` : ""}`, signal),
  /** @param {number} row @param {AbortSignal} [signal] */
  history: (row, signal) => get(`rows/${row}/history`, signal),
  /** @param {number} row @param {AbortSignal} [signal] */
  neighbours: (row, signal) => get(`rows/${row}/neighbours?k=8`, signal),
  /** @param {number} row @returns {string} address of a small picture of the light curve */
  thumbnail: (row) => `api/rows/${row}/thumbnail?fold=true`,
  /** @param {number} row @param {{label?: string|null, comment?: string|null}} change what isn't given stays @returns {Promise<{label: string|null, comment: string|null}>} */
  putLabel: async (row, change) => (await ask(`rows/${row}/label`, { method: "PUT", body: change })).json(),
  live: () => get("live"),
  /** @param {object} where @param {string} format @returns {Promise<{name: string, blob: Blob}>} */
  async export(where, format) {
    const response = await ask("export", { method: "POST", body: { where, format } });
    const name = /filename="?([^";]+)/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
    return { name: name ?? `selection.${format}`, blob: await response.blob() };
  },
};

/**
 * Let only the newest of several overlapping questions be answered: the older ones are given up.
 *
 * @template T
 * @param {(signal: AbortSignal, ...args: any[]) => Promise<T>} question
 * @returns {(...args: any[]) => Promise<T|undefined>} undefined where a newer one has come
 */
export function newest(question) {
  let current = new AbortController();
  return async (...args) => {
    current.abort();
    const mine = (current = new AbortController());
    try {
      const answer = await question(mine.signal, ...args);
      return mine.signal.aborted ? undefined : answer;
    } catch (error) {
      if (mine.signal.aborted) return undefined;
      throw error;
    }
  };
}

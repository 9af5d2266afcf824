// The userscript: the same content scripts, with GM.xmlHttpRequest as their way to Signpost
// in place of the worker. join.js makes main.js of this file and the modules that it uses.

import { baseAddress, pageAddress } from "../extension/worker/address.js";
import { readConfiguration, readLink, readProblem } from "../extension/worker/answers.js";

/**
 * @typedef {object} UserscriptResponse
 * @property {number} status
 * @property {string} responseText
 * @property {string} [finalUrl]
 */

/** Packing replaces the text by the configuration. @type {Builtin} */
const configuration = /** @type {any} */ ("__SIGNPOST_CONFIGURATION__");

/** The strings that the content scripts use; a test holds them to the extension's locale. */
const strings = /** @type {Record<string, string>} */ (/** @type {unknown} */ ("__SIGNPOST_STRINGS__"));

/** Milliseconds. */
const timeout = 5_000;
const pause = 10_000;

const serverURL = baseAddress(configuration.serverURL) ?? "";
/** @type {Promise<ServerConfiguration | null> | null} */
let known = null;

/**
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<{status: number, body: any}>} status 0 if there was no answer
 */
function request(path, body) {
	return new Promise((resolve) => {
		const nothing = () => resolve({ status: 0, body: null });
		/** @type {any} */ (globalThis).GM.xmlHttpRequest({
			method: body === undefined ? "GET" : "POST",
			url: serverURL + path,
			headers: body === undefined ? {} : { "Content-Type": "application/json" },
			data: body === undefined ? undefined : JSON.stringify(body),
			anonymous: true,
			redirect: "error",
			timeout,
			onerror: nothing,
			ontimeout: nothing,
			onabort: nothing,
			onload: (/** @type {UserscriptResponse} */ { status, responseText }) => {
				try {
					resolve({ status, body: JSON.parse(responseText) });
				} catch {
					resolve({ status, body: null });
				}
			},
		});
	});
}

/** @param {boolean} anew */
async function primaryURL(anew) {
	if (anew || !known) known = request("/api/v1/extension/config").then(({ body }) => readConfiguration(body));
	const found = await known;
	if (!found) known = null;
	return found?.primaryURL ?? null;
}

/**
 * @param {{status: number, body: any}} reply
 * @returns {Promise<Answer>}
 */
async function read({ status, body }) {
	if (status === 0) return { state: "unreachable", reason: "network", retryAt: Date.now() + pause };
	if (status !== 200) {
		const problem = readProblem(status, body);
		return problem.state === "unreachable" ? { ...problem, retryAt: Date.now() + pause } : problem;
	}
	return readLink(body, await primaryURL(false)) ?? readLink(body, await primaryURL(true)) ?? { state: "unreachable", reason: "untrusted" };
}

signpost.start({
	async ask(raw) {
		const address = pageAddress(raw, configuration.bitbucketURLs);
		if (!address) return { state: "foreign", reason: "foreign" };
		return read(await request(`/api/v1/resolve?url=${encodeURIComponent(address)}`));
	},
	async askAll(raws) {
		const urls = raws.map((raw) => pageAddress(raw, configuration.bitbucketURLs)).filter((url) => url !== null);
		const { status, body } = await request("/api/v1/resolve", { urls });
		if (urls.length !== raws.length || status !== 200 || !Array.isArray(body?.results)) return [];
		return Promise.all(raws.map((_, i) => read({ status: body.results[i]?.error?.status ?? 200, body: body.results[i]?.link ?? body.results[i]?.error })));
	},
	text: (name) => strings[name] ?? "",
	alive: () => true,
	yields: true,
});

// The one place that sends requests, and only to the configured Signpost. Nothing of the
// user goes with them: no cookies, no referrer, no following of redirects.

import { unreachable } from "./answers.js";
import { lifetime } from "./cache.js";
import { askedPause } from "./pauses.js";

/** Milliseconds. */
const timeout = 5_000;

/**
 * @param {Surroundings} surroundings
 * @returns {AskServer} never rejects: a failure is an answer that says what failed
 */
export function createRequest({ fetch, online, permitted, now }) {
	/**
	 * @param {string} address
	 * @param {RequestInit} init
	 */
	function send(address, init) {
		return fetch(address, {
			cache: "no-store",
			credentials: "omit",
			redirect: "error",
			referrerPolicy: "no-referrer",
			signal: AbortSignal.timeout(timeout),
			...init,
		});
	}

	/**
	 * What a JSON answer holds. One that only calls itself JSON holds nothing: its status
	 * still says what it is, as with the 401 of a proxy.
	 * @param {Response} response
	 * @returns {Promise<unknown>}
	 */
	async function read(response) {
		try {
			return await response.json();
		} catch (error) {
			if (error instanceof SyntaxError) return null;
			throw error;
		}
	}

	/**
	 * Why nothing came. A redirect fails like a broken connection, and it is what a sign-in
	 * in front of the server answers with: so it is looked for, without following it.
	 * @param {string} serverURL
	 * @param {unknown} error
	 * @returns {Promise<OtherAnswer>}
	 */
	async function diagnose(serverURL, error) {
		if (!(await permitted(serverURL))) return unreachable("permission");
		if (!online()) return unreachable("offline");
		if (error instanceof Error && error.name === "TimeoutError") return unreachable("timeout");
		try {
			const probe = await send(`${serverURL}/api/v1/extension/config`, { redirect: "manual" });
			if (probe.type === "opaqueredirect") return { state: "signin", reason: "signin" };
		} catch {
			// Then it is the connection.
		}
		return unreachable("network");
	}

	return async (serverURL, path, body) => {
		try {
			const response = await send(serverURL + path, body === undefined ? {} : {
				method: "POST",
				headers: { "Content-Type": "application/json" },
				body: JSON.stringify(body),
			});
			const type = response.headers.get("Content-Type") ?? "";
			return {
				status: response.status,
				body: /^application\/([a-z.-]+\+)?json\b/i.test(type) ? await read(response) : null,
				lifetime: lifetime(response.headers.get("Cache-Control"), response.headers.get("Age")),
				retryAfter: askedPause(response.headers.get("Retry-After"), now()),
			};
		} catch (error) {
			return diagnose(serverURL, error);
		}
	};
}

// Asking with patience: after a failure the server is left alone for a growing pause, and for
// as long as it says itself. What needs Bitbucket pauses page by page, because a Bitbucket
// that is down does not keep the server from its other answers.

import { readProblem, unreachable } from "./answers.js";

/** Codes of problems that are Bitbucket's; a proxy's own 429 has no code. */
const ofBitbucket = ["bitbucket_unavailable", "rate_limited"];

/**
 * @param {AskServer} request
 * @param {import("./pauses.js").Pauses} pauses
 * @param {() => void} changed the pauses have changed
 * @returns {Ask}
 */
export function createAsk(request, pauses, changed) {
	/**
	 * @param {string} key
	 * @param {OtherAnswer} failure
	 * @param {number} asked
	 */
	function pause(key, failure, asked) {
		const told = pauses.failed(key, failure, asked);
		changed();
		return told;
	}

	return async (serverURL, path, { body, page = "", again = false } = {}) => {
		const paused = pauses.paused(serverURL, again) ?? pauses.paused(page, again);
		if (paused) return paused;
		const reply = await request(serverURL, path, body);
		if ("state" in reply) return pause(serverURL, reply, 0);
		const successful = reply.status === 200;
		if (successful && reply.body === null) return pause(serverURL, unreachable("not_signpost"), 0);
		const problem = successful ? null : readProblem(reply.status, reply.body);
		if (problem && ofBitbucket.includes(/** @type {any} */ (reply.body)?.code)) return pause(page, problem, reply.retryAfter);
		if (problem?.state === "unreachable" || problem?.state === "signin") return pause(serverURL, problem, reply.retryAfter);
		const recovered = [pauses.succeeded(serverURL), pauses.succeeded(page)].includes(true);
		if (recovered) changed();
		return problem ? { ...problem, lifetime: reply.lifetime } : reply;
	};
}

// The address of a page becomes an answer: from what is kept, by joining a question that is
// under way, or by asking the server. No link leaves here unchecked.

import { longestAddress, pageAddress } from "./address.js";
import { readLink, readProblem, unreachable } from "./answers.js";

/** The server takes no more addresses at a time. */
const batch = 100;

/** @type {OtherAnswer} */
const foreign = { state: "foreign", reason: "foreign" };

/** @type {OtherAnswer} */
const unreadable = { state: "missing", reason: "invalid_url" };

/**
 * What an answer is kept by: one of another server, or of another primary URL, is none.
 * @param {Settings} settings
 * @param {string} address
 */
function keyOf({ serverURL, primaryURL }, address) {
	return [serverURL, primaryURL, address].join(" ");
}

export class Resolver {
	#options;
	/** @type {Map<string, Promise<Answer>>} */
	#underWay = new Map();

	/** @param {ResolverOptions} options */
	constructor(options) {
		this.#options = options;
	}

	/**
	 * @param {string} raw as the page has it
	 * @param {boolean} again a person asks
	 * @returns {Promise<Answer>} foreign if it is no page of a configured Bitbucket
	 */
	async resolve(raw, again) {
		const { settings, problem } = await this.#ready(again);
		if (problem) return problem;
		const address = pageAddress(raw, settings.bitbucketURLs);
		if (!address) return foreign;
		if (address.length > longestAddress) return unreadable;
		const key = keyOf(settings, address);
		const kept = this.#options.cache.get(key);
		if (kept) return kept;
		let answer = this.#underWay.get(key);
		if (!answer) {
			answer = this.#ask(settings.serverURL, address, again).finally(() => this.#underWay.delete(key));
			this.#underWay.set(key, answer);
		}
		return answer;
	}

	/**
	 * @param {string[]} raws
	 * @returns {Promise<Answer[]>} in their order
	 */
	async resolveAll(raws) {
		const { settings, problem } = await this.#ready();
		if (problem) return raws.map(() => problem);
		/** @type {Map<string | null, Answer>} */
		const answers = new Map([[null, foreign]]);
		const addresses = raws.map((raw) => pageAddress(raw, settings.bitbucketURLs));
		const open = [...new Set(addresses)].filter((address) => address !== null && address.length <= longestAddress);
		for (let i = 0; i < open.length; i += batch) {
			const some = /** @type {string[]} */ (open.slice(i, i + batch));
			const all = await this.#askAll(settings.serverURL, some);
			some.forEach((address, j) => answers.set(address, all[j] ?? unreadable));
		}
		return addresses.map((address) => answers.get(address) ?? unreadable);
	}

	/**
	 * @param {boolean} [again] a person asks
	 * @returns {Promise<{settings: Settings & {serverURL: string}, problem: null} | {settings: null, problem: OtherAnswer}>}
	 */
	async #ready(again) {
		const { configuration } = this.#options;
		const settings = await configuration.complete(again);
		const { serverURL } = settings;
		if (!serverURL) return { settings: null, problem: { state: "unset", reason: "no_server" } };
		if (settings.bitbucketURLs.length === 0 && configuration.failure) return { settings: null, problem: configuration.failure };
		return { settings: { ...settings, serverURL }, problem: null };
	}

	/**
	 * @param {string} serverURL
	 * @param {string} address
	 * @param {boolean} again
	 * @returns {Promise<Answer>}
	 */
	async #ask(serverURL, address, again) {
		const { ask, cache, configuration } = this.#options;
		const reply = await ask(serverURL, `/api/v1/resolve?url=${encodeURIComponent(address)}`, { page: address, again });
		const answer = "state" in reply ? reply : await this.#check(reply.body);
		const key = keyOf({ ...(await configuration.settings()), serverURL }, address);
		if (answer.state !== "unreachable") cache.put(key, answer, reply.lifetime ?? 0);
		return answer;
	}

	/**
	 * @param {string} serverURL
	 * @param {string[]} addresses
	 * @returns {Promise<Answer[]>}
	 */
	async #askAll(serverURL, addresses) {
		const reply = await this.#options.ask(serverURL, "/api/v1/resolve", { body: { urls: addresses } });
		if ("state" in reply) return addresses.map(() => reply);
		const results = /** @type {{results?: {link?: unknown, error?: {status?: number}}[]}} */ (reply.body).results;
		const answers = [];
		for (const [i] of addresses.entries()) {
			const result = Array.isArray(results) ? results[i] : undefined;
			answers.push(result?.link ? await this.#check(result.link) : readProblem(Number(result?.error?.status), result?.error));
		}
		return answers;
	}

	/**
	 * Checks a link by the primary URL of now: it may have changed since the question.
	 * @param {unknown} body
	 * @returns {Promise<Answer>}
	 */
	async #check(body) {
		const { configuration } = this.#options;
		const link = readLink(body, (await configuration.settings()).primaryURL) ?? readLink(body, (await configuration.doubt()).primaryURL);
		return link ?? unreachable("untrusted");
	}
}

// The address of a page becomes an answer: from what is kept, by joining a question that is
// under way, or by asking the server. No link leaves here unchecked.

import { pageAddress } from "./address.js";
import { readLink, readProblem } from "./answers.js";

/** The server takes no more addresses at a time. */
const batch = 100;

/** @type {OtherAnswer} */
const foreign = { state: "foreign", reason: "foreign" };

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
		const { settings, problem } = await this.#ready();
		if (problem) return problem;
		const address = pageAddress(raw, settings.bitbucketURLs);
		if (!address) return foreign;
		const kept = this.#options.cache.get(address);
		if (kept) return kept;
		let answer = this.#underWay.get(address);
		if (!answer) {
			answer = this.#ask(settings, address, again).finally(() => this.#underWay.delete(address));
			this.#underWay.set(address, answer);
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
		const answers = new Map();
		const addresses = raws.map((raw) => pageAddress(raw, settings.bitbucketURLs));
		const open = [...new Set(addresses)].filter((address) => address !== null);
		for (let i = 0; i < open.length; i += batch) {
			const some = open.slice(i, i + batch);
			const all = await this.#askAll(settings, some);
			some.forEach((address, j) => answers.set(address, all[j]));
		}
		return addresses.map((address) => (address === null ? foreign : answers.get(address)));
	}

	/** @returns {Promise<{settings: Settings & {serverURL: string}, problem: null} | {settings: null, problem: OtherAnswer}>} */
	async #ready() {
		const { configuration } = this.#options;
		const settings = await configuration.complete();
		const { serverURL } = settings;
		if (!serverURL) return { settings: null, problem: { state: "unset", reason: "no_server" } };
		if (settings.bitbucketURLs.length === 0 && configuration.failure) return { settings: null, problem: configuration.failure };
		return { settings: { ...settings, serverURL }, problem: null };
	}

	/**
	 * @param {Settings & {serverURL: string}} settings
	 * @param {string} address
	 * @param {boolean} again
	 * @returns {Promise<Answer>}
	 */
	async #ask({ serverURL, primaryURL }, address, again) {
		const reply = await this.#options.ask(serverURL, `/api/v1/resolve?url=${encodeURIComponent(address)}`, { page: address, again });
		const answer = "state" in reply ? reply : await this.#check(reply.body, primaryURL);
		if (answer.state !== "unreachable") this.#options.cache.put(address, answer, reply.lifetime ?? 0);
		return answer;
	}

	/**
	 * @param {Settings & {serverURL: string}} settings
	 * @param {string[]} addresses
	 * @returns {Promise<Answer[]>}
	 */
	async #askAll({ serverURL, primaryURL }, addresses) {
		const reply = await this.#options.ask(serverURL, "/api/v1/resolve", { body: { urls: addresses } });
		if ("state" in reply) return addresses.map(() => reply);
		const results = /** @type {{results?: {link?: unknown, error?: {status?: number}}[]}} */ (reply.body).results;
		const answers = [];
		for (const [i] of addresses.entries()) {
			const result = Array.isArray(results) ? results[i] : undefined;
			answers.push(result?.link ? await this.#check(result.link, primaryURL) : readProblem(Number(result?.error?.status), result?.error));
		}
		return answers;
	}

	/**
	 * @param {unknown} body
	 * @param {string | null} primaryURL
	 * @returns {Promise<Answer>}
	 */
	async #check(body, primaryURL) {
		const link = readLink(body, primaryURL) ?? readLink(body, (await this.#options.configuration.doubt()).primaryURL);
		return link ?? { state: "unreachable", reason: "untrusted" };
	}
}

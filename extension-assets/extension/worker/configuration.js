// Which server is asked, who said so, and what that server names: the primary URL and the
// addresses of Bitbucket. A managed address beats a built-in one, and that a typed one.

import { baseAddress } from "./address.js";
import { readConfiguration, unreachable } from "./answers.js";
import { longestLifetime } from "./cache.js";

/**
 * Chooses the server. A managed value of the wrong type counts as none: Firefox hands out
 * whatever the policy holds.
 * @param {unknown} managed
 * @param {Builtin | null} builtin
 * @param {unknown} typed
 * @returns {{serverURL: string | null, source: Settings["source"]}}
 */
export function chooseServer(managed, builtin, typed) {
	for (const [value, source] of /** @type {const} */ ([[managed, "managed"], [builtin?.serverURL, "builtin"], [typed, "typed"]])) {
		const serverURL = baseAddress(value);
		if (serverURL) return { serverURL, source };
	}
	return { serverURL: null, source: null };
}

/**
 * Reads storage.managed where it may not exist: Firefox rejects when there is no policy.
 * @param {{get(): Promise<Record<string, unknown>>} | undefined} area
 * @returns {Promise<unknown>} the managed address as it was written, undefined for none
 */
export async function readManaged(area) {
	try {
		return (await area?.get())?.serverURL;
	} catch {
		return undefined;
	}
}

/** Milliseconds after which a managed address that has not come again is believed to be gone. */
const managedDelay = 5_000;

/** Milliseconds between two questions that only a suspicious answer has caused. */
const refreshDelay = 5_000;

export class Configuration {
	#options;
	#loaded;
	/** @type {unknown} */
	#managed;
	/** @type {unknown} */
	#typed;
	/** @type {Known | null} */
	#known = null;
	/** @type {OtherAnswer | null} */
	#failure = null;
	/** @type {Promise<void> | null} */
	#refreshing = null;
	#refreshed = -Infinity;

	/** @param {ConfigurationOptions} options */
	constructor(options) {
		this.#options = options;
		this.#loaded = this.#load();
	}

	/** The settings as far as they are known, without asking the server. */
	async settings() {
		await this.#loaded;
		return this.#settings();
	}

	/**
	 * The settings with what the server names. What is known but no longer fresh is used, and
	 * asked for anew in the background.
	 * @param {boolean} [again] a person asks
	 * @returns {Promise<Settings>}
	 */
	async complete(again) {
		await this.#loaded;
		const known = this.#current();
		if (!known) await this.refresh(again);
		else if (known.until <= this.#options.now()) void this.refresh();
		return this.#settings();
	}

	/**
	 * Asks again because an answer does not fit the primary URL that is known: an
	 * administrator may just have changed it.
	 */
	async doubt() {
		await this.#loaded;
		if (this.#refreshing || this.#options.now() - this.#refreshed >= refreshDelay) await this.refresh();
		return this.#settings();
	}

	/** Why the server's configuration could not be read last, null if it could. */
	get failure() {
		return this.#failure;
	}

	/** @param {boolean} [again] a person asks */
	async refresh(again = false) {
		await this.#loaded;
		this.#refreshing ??= this.#fetch(again).finally(() => (this.#refreshing = null));
		await this.#refreshing;
	}

	/**
	 * Asks any server for its configuration, for the test of the options page.
	 * @param {string} serverURL
	 * @returns {Promise<TestResult>}
	 */
	async test(serverURL) {
		const result = await this.#ask(serverURL, true);
		return "state" in result ? { failure: result } : { configuration: result.configuration };
	}

	/**
	 * Keeps a typed address. Nothing happens where the address is managed or built in.
	 * @param {string} serverURL
	 */
	async save(serverURL) {
		await this.#loaded;
		const { source } = this.#settings();
		if (source === "managed" || source === "builtin") return;
		this.#typed = serverURL;
		await this.#options.local.set({ typed: serverURL });
		await this.#changed();
	}

	/**
	 * Takes a managed address that has come or gone.
	 * @param {unknown} value
	 */
	async manage(value) {
		await this.#loaded;
		if (value === this.#managed) return;
		this.#managed = value;
		await (value === undefined ? this.#options.local.remove("managed") : this.#options.local.set({ managed: value }));
		await this.#changed();
	}

	async #load() {
		const { managed, typed, server } = await this.#options.local.get(["managed", "typed", "server"]);
		this.#managed = managed;
		this.#typed = typed;
		// It is believed no more than the server.
		const configuration = readConfiguration(server?.configuration);
		const until = Math.min(Number(server?.until) || 0, this.#options.now() + longestLifetime);
		if (configuration) this.#known = { serverURL: server.serverURL, configuration, until };
		void this.#watchManaged();
	}

	/**
	 * The browser may read its policies late: Chromium first says that there is nothing. So
	 * the last managed address counts until the browser has said so twice.
	 */
	async #watchManaged() {
		const value = await readManaged(this.#options.managed);
		if (value !== undefined) return this.manage(value);
		if (this.#managed === undefined) return;
		setTimeout(async () => this.manage(await readManaged(this.#options.managed)), managedDelay);
	}

	/** @returns {Settings} */
	#settings() {
		const { builtin } = this.#options;
		const chosen = chooseServer(this.#managed, builtin, this.#typed);
		const configuration = this.#current()?.configuration;
		return {
			...chosen,
			primaryURL: configuration?.primaryURL ?? null,
			bitbucketURLs: [...new Set([...(builtin?.bitbucketURLs ?? []), ...(configuration?.bitbucketURLs ?? [])])],
			version: configuration?.version ?? null,
		};
	}

	#current() {
		const { serverURL } = chooseServer(this.#managed, this.#options.builtin, this.#typed);
		return this.#known?.serverURL === serverURL ? this.#known : null;
	}

	/**
	 * @param {string} serverURL
	 * @param {boolean} again
	 * @returns {Promise<Known | OtherAnswer>}
	 */
	async #ask(serverURL, again) {
		const reply = await this.#options.ask(serverURL, "/api/v1/extension/config", { again });
		if ("state" in reply) return reply;
		const configuration = readConfiguration(reply.body);
		if (!configuration) return unreachable("not_signpost");
		return { serverURL, configuration, until: this.#options.now() + reply.lifetime };
	}

	/**
	 * @param {boolean} again
	 * @returns {Promise<void>}
	 */
	async #fetch(again) {
		const { serverURL } = this.#settings();
		if (!serverURL) return;
		this.#refreshed = this.#options.now();
		const known = await this.#ask(serverURL, again);
		// It was changed meanwhile.
		if (this.#settings().serverURL !== serverURL) return this.#fetch(again);
		this.#failure = "state" in known ? known : null;
		if ("state" in known) return;
		const before = JSON.stringify(this.#settings());
		this.#known = known;
		await this.#options.local.set({ server: known });
		if (JSON.stringify(this.#settings()) !== before) this.#options.changed();
	}

	async #changed() {
		this.#failure = null;
		this.#refreshed = -Infinity;
		this.#options.changed();
		await this.complete();
	}
}

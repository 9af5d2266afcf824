// Growing pauses after failures, and those that a server asks for with Retry-After. What is
// paused is named by a key: the server as a whole, or one page that needs Bitbucket.

const shortest = 2_000;
const longest = 60_000;
const longestAsked = 60 * 60_000;
const mostKeys = 200;

/**
 * The pause that a server asks for, in milliseconds; 0 for none.
 * @param {string | null} retryAfter the header's value: seconds or a date
 * @param {number} now
 */
export function askedPause(retryAfter, now) {
	if (!retryAfter) return 0;
	const pause = /^\d+$/.test(retryAfter.trim()) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - now;
	return Number.isNaN(pause) ? 0 : Math.min(Math.max(pause, 0), longestAsked);
}

export class Pauses {
	/** @type {Map<string, Pause>} */
	#pauses = new Map();
	#now;
	#random;

	/**
	 * @param {() => number} now
	 * @param {() => number} [random] 0 to 1; spreads the clients of a server that comes back
	 */
	constructor(now, random = Math.random) {
		this.#now = now;
		this.#random = random;
	}

	/**
	 * Notes a failure.
	 * @param {string} key
	 * @param {OtherAnswer} failure
	 * @param {number} [asked] milliseconds, as askedPause gives them
	 * @returns {OtherAnswer} the failure with the time to try again
	 */
	failed(key, failure, asked = 0) {
		const failures = (this.#pauses.get(key)?.failures ?? 0) + 1;
		const growing = Math.min(shortest * 2 ** Math.min(failures - 1, 20), longest) * (0.75 + this.#random() / 2);
		const told = { ...failure, retryAt: this.#now() + Math.max(asked, growing) };
		this.#pauses.delete(key);
		this.#pauses.set(key, { failures, asked: asked > 0, failure: told });
		for (const oldest of this.#pauses.keys()) {
			if (this.#pauses.size <= mostKeys) break;
			this.#pauses.delete(oldest);
		}
		return told;
	}

	/**
	 * @param {string} key
	 * @returns {boolean} whether there was a pause
	 */
	succeeded(key) {
		return this.#pauses.delete(key);
	}

	/**
	 * @param {string} key
	 * @param {boolean} again a person asks: that cuts a growing pause short, but not one that
	 * the server asked for
	 * @returns {OtherAnswer | null} the failure while the pause lasts
	 */
	paused(key, again) {
		const pause = this.#pauses.get(key);
		if (!pause || pause.failure.retryAt <= this.#now() || (again && !pause.asked)) return null;
		return pause.failure;
	}

	/** What to keep while the worker is stopped. */
	kept() {
		return [...this.#pauses];
	}

	/** @param {unknown} kept */
	restore(kept) {
		if (!Array.isArray(kept)) return;
		for (const [key, pause] of kept) if (!this.#pauses.has(key)) this.#pauses.set(key, pause);
	}

	clear() {
		this.#pauses.clear();
	}
}

// Answers that are kept for as long as the server's Cache-Control allows. Kept in memory
// only: that is a minute, and the browser stops an idle worker sooner.

/** Milliseconds: a header that went wrong is believed for an hour, and no longer. */
export const longestLifetime = 60 * 60_000;

/**
 * How long an answer may be kept, in milliseconds; 0 for one that may not.
 * @param {string | null} cacheControl the header's value
 * @param {string | null} [age] of the answer when it came, seconds
 */
export function lifetime(cacheControl, age) {
	let seconds = 0;
	for (const part of (cacheControl ?? "").toLowerCase().split(",")) {
		const [name, value] = part.trim().split("=");
		if (name === "no-store" || name === "no-cache") return 0;
		if (name === "max-age" && /^"?\d{1,9}"?$/.test(value ?? "")) seconds = Number(value?.replaceAll('"', ""));
	}
	return Math.min(Math.max(0, seconds - (Number(age) || 0)) * 1000, longestLifetime);
}

/**
 * A bounded cache; what was put in first leaves first.
 * @template T
 */
export class Cache {
	/** @type {Map<string, {value: T, until: number}>} */
	#entries = new Map();
	#size;
	#now;

	/**
	 * @param {number} size entries
	 * @param {() => number} now
	 */
	constructor(size, now) {
		this.#size = size;
		this.#now = now;
	}

	/**
	 * @param {string} key
	 * @returns {T | undefined}
	 */
	get(key) {
		const entry = this.#entries.get(key);
		if (!entry) return undefined;
		if (entry.until > this.#now()) return entry.value;
		this.#entries.delete(key);
		return undefined;
	}

	/**
	 * @param {string} key
	 * @param {T} value
	 * @param {number} milliseconds
	 */
	put(key, value, milliseconds) {
		this.#entries.delete(key);
		if (milliseconds <= 0) return;
		for (const oldest of this.#entries.keys()) {
			if (this.#entries.size < this.#size) break;
			this.#entries.delete(oldest);
		}
		this.#entries.set(key, { value, until: this.#now() + milliseconds });
	}

	clear() {
		this.#entries.clear();
	}
}

// Addresses: which are those of Signpost and Bitbucket, whether a page lies below one, and
// how a browser spells the permission for one. Pure; nothing here asks anything.

/** Characters; the server takes no longer address of a page either. */
export const longestAddress = 8192;

/**
 * @param {unknown} value
 * @returns {URL | null} an absolute http or https address
 */
export function webURL(value) {
	if (typeof value !== "string") return null;
	try {
		const url = new URL(value);
		return url.protocol === "http:" || url.protocol === "https:" ? url : null;
	} catch {
		return null;
	}
}

/**
 * The address of a server as the configuration has it: with port and context path, without a
 * trailing slash. One with user info, a query or a fragment is none.
 * @param {unknown} value
 * @returns {string | null}
 */
export function baseAddress(value) {
	const url = webURL(typeof value === "string" ? value.trim() : value);
	if (!url || url.username || url.password || /[?#\\]/.test(String(value))) return null;
	return url.origin + url.pathname.replace(/\/+$/, "");
}

/**
 * Whether an address is base itself or lies below it: the same origin, and the path equal to
 * the context path or below it.
 * @param {URL} url
 * @param {string} base as baseAddress gives it
 */
export function liesBelow(url, base) {
	const root = webURL(base);
	if (!root || url.origin !== root.origin) return false;
	const path = root.pathname.replace(/\/+$/, "");
	return url.pathname === path || url.pathname.startsWith(path + "/");
}

/**
 * The address of a page as it may be sent to the server: only of a configured Bitbucket, and
 * never with user info. The fragment stays, for it holds the selected lines.
 * @param {unknown} value
 * @param {string[]} bitbucketURLs
 * @returns {string | null} null for a page that is none of these
 */
export function pageAddress(value, bitbucketURLs) {
	const url = webURL(value);
	if (!url || !bitbucketURLs.some((base) => liesBelow(url, base))) return null;
	url.username = "";
	url.password = "";
	return url.href;
}

/**
 * The match pattern of everything below an address. Firefox takes a pattern with a port and
 * then matches nothing with it, so there the port is left out: the worker checks it again.
 * @param {string} base
 * @param {boolean} ports whether the browser's patterns know ports
 */
export function pagePattern(base, ports) {
	const url = new URL(base);
	return `${url.protocol}//${ports ? url.host : url.hostname}${url.pathname.replace(/\/+$/, "")}/*`;
}

/**
 * The pattern of the permission for an address: the whole host, for a permission knows no path.
 * @param {string} base
 * @param {boolean} ports
 */
export function hostPattern(base, ports) {
	return pagePattern(new URL(base).origin, ports);
}

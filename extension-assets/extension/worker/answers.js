// What Signpost answers, read with distrust: each link is checked against the primary URL
// here, and nowhere else is one accepted. Pure.

import { baseAddress, liesBelow, webURL } from "./address.js";

/**
 * The address of a Sourcegraph instance. The public one is nobody's own, so it is never one.
 * @param {unknown} value
 * @returns {string | null}
 */
export function primaryAddress(value) {
	const base = baseAddress(value);
	if (!base || /(^|\.)sourcegraph\.com\.*$/i.test(new URL(base).hostname)) return null;
	return base;
}

/**
 * A link, if it begins with the primary URL; as the server spelled it.
 * @param {unknown} value
 * @param {string | null} primaryURL
 * @returns {string | null}
 */
export function checkLink(value, primaryURL) {
	const url = webURL(value);
	if (!url || !primaryURL || url.username || url.password) return null;
	// Printable ASCII without a backslash: browsers would mend it. And with both slashes: in a page, an
	// address like https:host/x is one below the page's own.
	if (!/^https?:\/\/[!-[\]-~]+$/i.test(String(value))) return null;
	return liesBelow(url, primaryURL) ? String(value) : null;
}

/**
 * The search of the primary instance, built as links.md has it: from the address that the
 * server named, and from nothing else.
 * @param {string} primaryURL
 * @param {string} query
 */
export function searchLink(primaryURL, query) {
	return `${primaryURL}/search?q=${encodeURIComponent(query.toWellFormed())}`;
}

/**
 * @param {unknown} body of a successful answer
 * @param {string | null} primaryURL
 * @returns {LinkAnswer | null} null if its main link is not below the primary URL; others
 * that are not are left out
 */
export function readLink(body, primaryURL) {
	const link = record(body);
	const url = checkLink(link.url, primaryURL);
	if (!url) return null;
	/** @type {Record<string, string>} */
	const links = {};
	for (const [kind, value] of Object.entries(record(link.links))) {
		const checked = checkLink(value, primaryURL);
		if (checked && /^[a-z]{1,20}$/.test(kind)) links[kind] = checked;
	}
	return {
		state: "link",
		url,
		kind: text(link.kind),
		links,
		exact: link.exact !== false,
		notes: (Array.isArray(link.notes) ? link.notes : []).slice(0, 5).map(text).filter(Boolean),
		repository: text(record(link.repository).name),
		revision: text(link.revision),
		path: text(link.path),
		lines: readLines(link.lines),
	};
}

/**
 * @param {string} reason
 * @returns {OtherAnswer}
 */
export function unreachable(reason) {
	return { state: "unreachable", reason };
}

/** Codes of problems by the state that they mean. Codes that are not here are failures. */
const missing = ["unknown_host", "repository_not_found", "pull_request_not_found", "unsupported_page", "invalid_url"];

/**
 * @param {number} status
 * @param {unknown} body RFC 9457, if Signpost itself has answered
 * @returns {OtherAnswer}
 */
export function readProblem(status, body) {
	const code = text(record(body).code);
	if (missing.includes(code)) return { state: "missing", reason: code };
	if (code === "primary_url_not_set") return { state: "unset", reason: code };
	if (status === 401 || status === 403) return { state: "signin", reason: "signin" };
	if (code === "bitbucket_unavailable") return unreachable(code);
	if (status === 429) return unreachable("rate_limited");
	return unreachable(status >= 500 ? "server_error" : "not_signpost");
}

/**
 * @param {unknown} body of GET /api/v1/extension/config
 * @returns {ServerConfiguration | null} null if it is no configuration
 */
export function readConfiguration(body) {
	const configuration = record(body);
	if (!Array.isArray(configuration.bitbucketURLs)) return null;
	const bitbucketURLs = configuration.bitbucketURLs.slice(0, 100).map(baseAddress).filter((base) => base !== null);
	return {
		primaryURL: primaryAddress(configuration.primaryURL),
		bitbucketURLs: [...new Set(bitbucketURLs)],
		version: text(configuration.version) || null,
	};
}

/** @param {unknown} lines */
function readLines(lines) {
	return (Array.isArray(lines) ? lines : [])
		.slice(0, 20)
		.map(record)
		.filter(({ start, end }) => Number.isSafeInteger(start) && Number.isSafeInteger(end))
		.map(({ start, end }) => (start === end ? `${start}` : `${start}-${end}`))
		.join(", ");
}

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
function record(value) {
	return typeof value === "object" && value !== null ? /** @type {Record<string, unknown>} */ (value) : {};
}

/** @param {unknown} value */
function text(value) {
	return typeof value === "string" ? value.slice(0, 1000) : "";
}

// Made by join.js of source.js and the modules of the extension. Change those.

(() => {
// Addresses: which are those of Signpost and Bitbucket, whether a page lies below one, and
// how a browser spells the permission for one. Pure; nothing here asks anything.

/** Characters; the server takes no longer address of a page either. */
const longestAddress = 8192;

/**
 * @param {unknown} value
 * @returns {URL | null} an absolute http or https address
 */
function webURL(value) {
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
function baseAddress(value) {
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
function liesBelow(url, base) {
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
function pageAddress(value, bitbucketURLs) {
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
function pagePattern(base, ports) {
	const url = new URL(base);
	return `${url.protocol}//${ports ? url.host : url.hostname}${url.pathname.replace(/\/+$/, "")}/*`;
}

/**
 * The pattern of the permission for an address: the whole host, for a permission knows no path.
 * @param {string} base
 * @param {boolean} ports
 */
function hostPattern(base, ports) {
	return pagePattern(new URL(base).origin, ports);
}

// What Signpost answers, read with distrust: each link is checked against the primary URL
// here, and nowhere else is one accepted. Pure.

/**
 * The address of a Sourcegraph instance. The public one is nobody's own, so it is never one.
 * @param {unknown} value
 * @returns {string | null}
 */
function primaryAddress(value) {
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
function checkLink(value, primaryURL) {
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
function searchLink(primaryURL, query) {
	return `${primaryURL}/search?q=${encodeURIComponent(query.toWellFormed())}`;
}

/**
 * @param {unknown} body of a successful answer
 * @param {string | null} primaryURL
 * @returns {LinkAnswer | null} null if its main link is not below the primary URL; others
 * that are not are left out
 */
function readLink(body, primaryURL) {
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
function unreachable(reason) {
	return { state: "unreachable", reason };
}

/** Codes of problems by the state that they mean. Codes that are not here are failures. */
const missing = ["unknown_host", "repository_not_found", "pull_request_not_found", "unsupported_page", "invalid_url"];

/**
 * @param {number} status
 * @param {unknown} body RFC 9457, if Signpost itself has answered
 * @returns {OtherAnswer}
 */
function readProblem(status, body) {
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
function readConfiguration(body) {
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

// The userscript: the same content scripts, with GM.xmlHttpRequest as their way to Signpost
// in place of the worker. join.js makes main.js of this file and the modules that it uses.

/**
 * @typedef {object} UserscriptResponse
 * @property {number} status
 * @property {string} responseText
 * @property {string} [finalUrl]
 */

/** Packing replaces the text by the configuration. @type {Builtin} */
const configuration = /** @type {any} */ ("__SIGNPOST_CONFIGURATION__");

/** The strings that the content scripts use; a test holds them to the extension's locale. */
const strings = /** @type {Record<string, string>} */ (/** @type {unknown} */ ({
	"state_link": "View on Sourcegraph",
	"state_looking": "View on Sourcegraph",
	"state_missing": "Not on Sourcegraph",
	"state_unset": "Sourcegraph is not set up",
	"state_signin": "Sign-in needed",
	"state_unreachable": "Signpost not reachable: try again",
	"fileOnSourcegraph": "Sourcegraph",
	"titleLink": "View this page on Sourcegraph, in a new tab",
	"titleNearest": "View the nearest that Sourcegraph has for this page, in a new tab",
	"titleFile": "View this file on Sourcegraph, in a new tab",
	"why_looking": "Looking for this page on Sourcegraph",
	"why_unknown_host": "Signpost has no connection to this Bitbucket. Ask your administrator to add it.",
	"why_repository_not_found": "Signpost does not know this repository: it is new, or not selected by your administrator.",
	"why_pull_request_not_found": "Signpost does not find this pull request.",
	"why_unsupported_page": "This page has no counterpart on Sourcegraph.",
	"why_invalid_url": "Signpost cannot read the address of this page.",
	"why_primary_url_not_set": "The address of your Sourcegraph is not set yet. Ask your administrator to set the primary URL in Signpost.",
	"why_no_server": "Signpost does not know its server yet. Open the options of the extension.",
	"why_signin": "The Signpost server asks for a sign-in, which an extension cannot do. Ask your administrator to let /api/v1/resolve and /api/v1/extension/config through without one.",
	"why_permission": "The browser does not let the extension reach the Signpost server. Open the options of the extension and allow it.",
	"why_offline": "The browser is offline.",
	"why_timeout": "The Signpost server did not answer in time.",
	"why_network": "The Signpost server cannot be reached. Is it running, and are you in its network?",
	"why_server_error": "The Signpost server has a problem of its own. Its administrator finds more in its log.",
	"why_bitbucket_unavailable": "This page needs an answer from Bitbucket, and Bitbucket did not give one in time.",
	"why_rate_limited": "Too many questions at the moment. Signpost asks again in a little while.",
	"why_not_signpost": "Something answers at the server's address, but it is not Signpost.",
	"why_untrusted": "Signpost answered with an address that is not on your Sourcegraph. It is not used.",
	"why_extension": "The extension did not answer. Reload the page.",
	"why_address": "This is not an address of a server. Write it like https://signpost.example.com.",
	"why_foreign": "This is not a page of your Bitbucket."
}));

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
})();

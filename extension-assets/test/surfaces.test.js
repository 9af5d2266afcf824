// What the worker does in the browser's own places, against a browser of the test's.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

/** @type {any[]} */
let calls = [];
const told = (name, result) => async (...given) => (calls.push([name, ...given]), result);
const granted = new Set();
/** @type {any[]} */
let registered = [];

globalThis.chrome = /** @type {any} */ ({
	runtime: {
		getURL: (path) => "chrome-extension://abc/" + path,
		openOptionsPage: told("options"),
	},
	i18n: { getMessage: (name, value) => (value ? `${name} ${value}` : name) },
	tabs: { create: told("create"), update: told("update") },
	permissions: { contains: async ({ origins }) => origins.every((pattern) => granted.has(pattern)) },
	omnibox: { setDefaultSuggestion: told("suggest") },
	contextMenus: { removeAll: told("removeAll"), create: (entry) => calls.push(["menu", entry]) },
	action: { setBadgeText: told("badge"), setBadgeBackgroundColor: async () => undefined, setTitle: told("title") },
	scripting: {
		getRegisteredContentScripts: async () => registered,
		registerContentScripts: async (scripts) => (calls.push(["register", ...scripts]), (registered = scripts)),
		unregisterContentScripts: async () => (calls.push(["unregister"]), (registered = [])),
	},
});

const { nextBadge, showSetUp } = await import("../extension/worker/badge.js");
const { withheld } = await import("../extension/worker/browser.js");
const { showMenu } = await import("../extension/worker/menus.js");
const { search, suggest } = await import("../extension/worker/omnibox.js");
const { openLink } = await import("../extension/worker/open.js");
const { registerSites } = await import("../extension/worker/sites.js");

const settings = { serverURL: "https://s.example", source: "builtin", primaryURL: "https://sg.example", bitbucketURLs: ["https://b.example:8443/ctx"], version: null };

beforeEach(() => {
	calls = [];
	granted.clear();
});

test("the shortcut opens the link beside the page", async () => {
	await openLink({ resolve: async () => ({ state: "link", url: "https://sg.example/x" }) }, "https://b.example/p", { index: 3, windowId: 7 });
	assert.deepEqual(calls, [["create", { url: "https://sg.example/x", index: 4, windowId: 7 }]]);
});

test("where there is no link, the reason opens", async () => {
	await openLink({ resolve: async () => ({ state: "missing", reason: "unsupported_page" }) }, "https://b.example/p?a#b");
	await openLink({ resolve: () => assert.fail("nothing to ask") }, undefined);
	assert.deepEqual(calls.map(([, { url }]) => url), ["chrome-extension://abc/popup/popup.html#https%3A%2F%2Fb.example%2Fp%3Fa%23b", "chrome-extension://abc/popup/popup.html#"]);
});

test("sg searches the primary instance, where the browser says", async () => {
	await search(settings, " a b ", "currentTab");
	await search(settings, "c", "newForegroundTab");
	await search(settings, "d", "newBackgroundTab");
	assert.deepEqual(calls, [
		["update", { url: "https://sg.example/search?q=a%20b" }],
		["create", { url: "https://sg.example/search?q=c", active: true }],
		["create", { url: "https://sg.example/search?q=d", active: false }],
	]);
});

test("sg without a primary instance searches nowhere", async () => {
	await search({ ...settings, primaryURL: null }, "a", "currentTab");
	assert.deepEqual(calls, [["options"]]);
	suggest({ ...settings, primaryURL: null });
	suggest(settings);
	assert.deepEqual(calls.slice(1), [["suggest", { description: "omniboxUnset" }], ["suggest", { description: "omniboxSearch sg.example" }]]);
});

test("the menu is for links to Bitbucket in pages of the hosts", async () => {
	await Promise.all([showMenu(settings), showMenu(settings)]);
	assert.deepEqual(calls.map(([name]) => name), ["removeAll", "menu", "removeAll", "menu"]);
	assert.deepEqual(calls[1][1].targetUrlPatterns, ["https://b.example:8443/ctx/*"]);
	assert.deepEqual(calls[1][1].documentUrlPatterns, ["https://s.example/*", "https://b.example:8443/*"]);
	calls = [];
	await showMenu({ ...settings, serverURL: null });
	assert.deepEqual(calls, [["removeAll"]]);
});

test("the badge is empty for a link and tells the rest", async () => {
	await nextBadge(1)({ state: "link" });
	await nextBadge(2)({ state: "unreachable", reason: "network" });
	await showSetUp({ ...settings, serverURL: null });
	assert.deepEqual(calls, [
		["badge", { tabId: 1, text: "" }], ["title", { tabId: 1, title: "name" }],
		["badge", { tabId: 2, text: "!" }], ["title", { tabId: 2, title: "why_network" }],
		["badge", { text: "!" }], ["title", { title: "why_no_server" }],
	]);
});

test("an answer that comes late does not change the badge of the page after", async () => {
	const [older, newer] = [nextBadge(1), nextBadge(1)];
	await newer({ state: "link" });
	await older({ state: "missing", reason: "unsupported_page" });
	assert.deepEqual(calls.map(([, { text }]) => text).filter((text) => text !== undefined), [""]);
});

test("the plain build registers its scripts for what was granted, once", async () => {
	const two = { ...settings, bitbucketURLs: [...settings.bitbucketURLs, "https://other.example"] };
	await registerSites(two);
	assert.deepEqual(calls, []);
	granted.add("https://b.example:8443/*");
	await Promise.all([registerSites(two), registerSites(two)]);
	assert.deepEqual(calls.map(([name, script]) => [name, script.matches]), [["register", ["https://b.example:8443/ctx/*"]]]);
	granted.add("https://other.example/*");
	await registerSites(two);
	assert.deepEqual(registered[0].matches, ["https://b.example:8443/ctx/*", "https://other.example/*"]);
	granted.clear();
	await registerSites(two);
	assert.deepEqual(registered, []);
});

test("what the browser has not granted is named, the server first", async () => {
	assert.deepEqual(await withheld(settings), ["https://s.example/*", "https://b.example:8443/*"]);
	granted.add("https://s.example/*");
	assert.deepEqual(await withheld(settings), ["https://b.example:8443/*"]);
	assert.deepEqual(await withheld({ ...settings, serverURL: null, bitbucketURLs: [] }), []);
});

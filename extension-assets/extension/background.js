// The background worker: registers every listener at once, as the browser demands, and puts
// the modules together. It is stopped when idle, so it keeps nothing that must not be lost.

import { builtin } from "./builtin.js";
import { createAsk } from "./worker/ask.js";
import { nextBadge, showSetUp } from "./worker/badge.js";
import { permitted, root, withheld } from "./worker/browser.js";
import { Cache } from "./worker/cache.js";
import { Configuration } from "./worker/configuration.js";
import { openEntry, showMenu } from "./worker/menus.js";
import { mayAsk, readMessage } from "./worker/messages.js";
import { openLink } from "./worker/open.js";
import { search, suggest } from "./worker/omnibox.js";
import { Pauses } from "./worker/pauses.js";
import { Resolver } from "./worker/resolver.js";
import { createRequest } from "./worker/server.js";
import { registerSites } from "./worker/sites.js";

chrome.runtime.onMessage.addListener((raw, sender, respond) => {
	const message = readMessage(raw);
	if (!message || !mayAsk(message, sender, { id: chrome.runtime.id, root })) return undefined;
	const ofTab = message.type === "resolve" && sender.frameId === 0 ? sender.tab?.id : undefined;
	const show = ofTab === undefined ? null : nextBadge(ofTab);
	void answer(message).then((given) => {
		respond(given);
		return show?.(given);
	}, () => respond());
	// The answer comes later.
	return true;
});
chrome.runtime.onInstalled.addListener(({ reason }) => void installed(reason));
chrome.runtime.onStartup.addListener(() => void surface());
chrome.commands.onCommand.addListener((command, tab) => {
	if (command === "open") void openLink(resolver, tab?.url, tab);
});
chrome.contextMenus.onClicked.addListener(({ menuItemId, linkUrl }, tab) => {
	if (menuItemId === openEntry) void openLink(resolver, linkUrl, tab);
});
chrome.omnibox.onInputStarted.addListener(() => void configuration.complete().then(suggest));
chrome.omnibox.onInputEntered.addListener((query, disposition) => {
	void configuration.complete().then((settings) => search(settings, query, disposition));
});
chrome.storage.onChanged.addListener((changes, area) => {
	if (area === "managed" && changes.serverURL) void configuration.manage(changes.serverURL.newValue);
});
chrome.permissions.onAdded.addListener(() => void surface());
chrome.permissions.onRemoved.addListener(() => void surface());

const now = () => Date.now();
const pauses = new Pauses(now);
/** @type {Cache<Answer>} */
const cache = new Cache(500, now);
const restored = chrome.storage.session.get("pauses").then(({ pauses: kept }) => pauses.restore(kept));
const patient = createAsk(
	createRequest({ fetch: (...request) => fetch(...request), online: () => navigator.onLine, permitted, now }),
	pauses,
	() => void chrome.storage.session.set({ pauses: pauses.kept() }),
);
/** @type {Ask} */
const ask = async (...question) => (await restored, patient(...question));
const configuration = new Configuration({
	builtin,
	local: chrome.storage.local,
	managed: chrome.storage.managed,
	ask,
	changed: () => void surface(),
	now,
});
const resolver = new Resolver({ ask, configuration, cache });

// Content scripts have no business in what is stored; Firefox cannot be told so.
void chrome.storage.local.setAccessLevel?.({ accessLevel: "TRUSTED_CONTEXTS" });

/**
 * @param {Message} message
 * @returns {Promise<any>}
 */
async function answer(message) {
	switch (message.type) {
		case "resolve":
			return resolver.resolve(message.address, message.again);
		case "resolveAll":
			return resolver.resolveAll(message.addresses);
		case "test":
			return configuration.test(message.serverURL);
		case "save":
			await configuration.save(message.serverURL);
			return status();
		case "status":
			return status();
	}
}

/** @returns {Promise<Status>} */
async function status() {
	const settings = await configuration.complete();
	return { settings, failure: configuration.failure, withheld: await withheld(settings) };
}

/** @param {string} reason */
async function installed(reason) {
	await surface();
	const { serverURL } = await configuration.settings();
	if (reason !== "install" || serverURL) return;
	// A policy brings its address a little later.
	const { installType } = await chrome.management.getSelf();
	if (installType !== "admin") await chrome.runtime.openOptionsPage();
}

/** Brings everything that depends on the configuration up to date. */
async function surface() {
	await restored;
	cache.clear();
	pauses.clear();
	await chrome.storage.session.remove("pauses");
	const settings = await configuration.complete();
	await Promise.all([registerSites(settings), showMenu(settings), showSetUp(settings)]);
}

// The entry in the context menu of links to Bitbucket, in pages of the hosts that the
// extension may see.

import { hostPattern, pagePattern } from "./address.js";
import { ports } from "./browser.js";

export const openEntry = "open";

/** Creating and removing take turns: two at a time would make the entry twice. */
let turn = Promise.resolve();

/** @param {Settings} settings */
export function showMenu({ serverURL, bitbucketURLs }) {
	turn = turn.then(async () => {
		await chrome.contextMenus.removeAll();
		if (!serverURL || bitbucketURLs.length === 0) return;
		chrome.contextMenus.create({
			id: openEntry,
			title: chrome.i18n.getMessage("menuOpen"),
			contexts: ["link"],
			documentUrlPatterns: [serverURL, ...bitbucketURLs].map((base) => hostPattern(base, ports)),
			targetUrlPatterns: bitbucketURLs.map((base) => pagePattern(base, ports)),
		}, () => void chrome.runtime.lastError);
	}).catch(() => undefined);
	return turn;
}

// The plain build knows no Bitbucket when it is packed. It registers its content scripts for
// the addresses that the server names, as far as the browser has granted them. A packed one has
// them in its manifest, and packing puts a function in the place of this file that does nothing.

import { contentScripts } from "../content-scripts.js";
import { hostPattern, pagePattern } from "./address.js";
import { ports } from "./browser.js";

const id = "bitbucket";

/** Registering takes turns: two at a time would both find nothing registered. */
let turn = Promise.resolve();

/** @param {Settings} settings */
export function registerSites({ bitbucketURLs }) {
	turn = turn.then(async () => {
		const matches = [];
		for (const base of bitbucketURLs) {
			if (await chrome.permissions.contains({ origins: [hostPattern(base, ports)] })) matches.push(pagePattern(base, ports));
		}
		const [registered] = await chrome.scripting.getRegisteredContentScripts({ ids: [id] });
		if (matches.sort().join() === (registered?.matches ?? []).sort().join()) return;
		if (registered) await chrome.scripting.unregisterContentScripts({ ids: [id] });
		if (matches.length > 0) await chrome.scripting.registerContentScripts([{ id, matches, js: contentScripts, runAt: "document_start" }]);
	}).catch((error) => console.error("Signpost: registering the content scripts failed", error));
	return turn;
}

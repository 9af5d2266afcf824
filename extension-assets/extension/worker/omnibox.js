// The keyword "sg" of the address bar: a search on the primary Sourcegraph instance. Without
// one nothing is searched anywhere; the options page opens and says what is missing.

import { searchLink } from "./answers.js";

/** @param {Settings} settings */
export function suggest({ primaryURL }) {
	const text = primaryURL ? chrome.i18n.getMessage("omniboxSearch", new URL(primaryURL).host) : chrome.i18n.getMessage("omniboxUnset");
	// It is read as XML.
	chrome.omnibox.setDefaultSuggestion({ description: text.replace(/[<>&"']/g, "") });
}

/**
 * @param {Settings} settings
 * @param {string} query
 * @param {`${chrome.omnibox.OnInputEnteredDisposition}`} disposition
 */
export async function search({ primaryURL }, query, disposition) {
	if (!primaryURL) return chrome.runtime.openOptionsPage();
	const url = searchLink(primaryURL, query.trim());
	if (disposition === "currentTab") await chrome.tabs.update({ url });
	else await chrome.tabs.create({ url, active: disposition === "newForegroundTab" });
}

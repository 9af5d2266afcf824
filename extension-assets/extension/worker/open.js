// Opens the link of an address in a new tab, and where there is no link, the page that says
// why. For the keyboard shortcut and the context menu.

/**
 * @param {import("./resolver.js").Resolver} resolver
 * @param {string | undefined} address undefined where the extension may not see it
 * @param {chrome.tabs.Tab} [tab] the new one comes beside it
 */
export async function openLink(resolver, address, tab) {
	const answer = address ? await resolver.resolve(address, true) : null;
	const explanation = chrome.runtime.getURL("popup/popup.html") + "#" + encodeURIComponent(address ?? "");
	const url = answer?.state === "link" ? answer.url : explanation;
	await chrome.tabs.create({ url, ...(tab ? { index: tab.index + 1, windowId: tab.windowId } : {}) });
}

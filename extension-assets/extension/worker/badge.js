// The badge and the title of the toolbar action: nothing where there is a link, and a sign
// with its reason where there is none.

/** @type {Record<Answer["state"], string>} */
const signs = { link: "", missing: "–", unset: "!", signin: "!", unreachable: "!", foreign: "" };

/** The newest question of each tab. @type {Map<number, object>} */
const questions = new Map();

/**
 * Begins a question of a tab.
 * @param {number} tabId
 * @returns {(answer: Answer) => Promise<void> | undefined} shows its answer, unless the tab has
 * asked another question since: then it says nothing of the page that is there now
 */
export function nextBadge(tabId) {
	const question = {};
	questions.set(tabId, question);
	return (answer) => (questions.get(tabId) === question ? showBadge(tabId, answer) : undefined);
}

/**
 * @param {number} tabId
 * @param {Answer} answer
 */
async function showBadge(tabId, answer) {
	const title = answer.state === "link" || answer.state === "foreign" ? "" : chrome.i18n.getMessage(`why_${answer.reason}`);
	try {
		await chrome.action.setBadgeText({ tabId, text: signs[answer.state] });
		await chrome.action.setBadgeBackgroundColor({ tabId, color: answer.state === "missing" ? "#626f86" : "#ae4787" });
		await chrome.action.setTitle({ tabId, title: title || chrome.i18n.getMessage("name") });
	} catch {
		// The tab has gone.
	}
}

/**
 * The badge of all tabs that have none of their own.
 * @param {Settings} settings
 */
export async function showSetUp({ serverURL }) {
	await chrome.action.setBadgeText({ text: serverURL ? "" : "!" });
	await chrome.action.setTitle({ title: chrome.i18n.getMessage(serverURL ? "name" : "why_no_server") });
}

// The popup: what the page is, every link of the answer, and copies of them; or why there is
// none. With an address in its fragment it tells the same of that address, in a tab.

import { byId, localize, make, outward, send } from "../localize.js";

const text = chrome.i18n.getMessage;
const given = decodeURIComponent(location.hash.slice(1));

localize(document);
document.documentElement.classList.toggle("tab", location.href.includes("#"));
byId("options").addEventListener("click", () => void chrome.runtime.openOptionsPage());
byId("retry").addEventListener("click", () => void look());
await look();

async function look() {
	const main = byId("main");
	main.ariaBusy = "true";
	const address = given || (await activeAddress());
	/** @type {Answer} */
	const answer = (address && (await send({ type: "resolve", address, again: true }))) || { state: "foreign", reason: "foreign" };
	if (answer.state === "link") showLink(answer);
	else await showOther(answer);
	main.ariaBusy = "false";
}

/** The address of the page in front; undefined where the extension may not see it. */
async function activeAddress() {
	const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
	return tab?.url?.startsWith("http") ? tab.url : undefined;
}

/** @param {LinkAnswer} answer */
function showLink(answer) {
	for (const id of ["why", "sites", "retry"]) byId(id).hidden = true;
	byId("kind").textContent = kindName(answer.kind);
	byId("title").textContent = answer.repository || new URL(answer.url).host;
	showFacts([["popupPath", answer.path], ["popupRevision", answer.revision], ["popupLines", answer.lines]]);
	byId("nearest").hidden = answer.exact;
	byId("nearest").textContent = [text("popupNearest"), ...answer.notes].join(" ");
	const open = /** @type {HTMLAnchorElement} */ (byId("open"));
	open.hidden = false;
	open.href = answer.url;
	open.textContent = text("state_link");
	open.focus();
	offerCopy("copy", answer.url);
	offerCopy("permalink", answer.links.permalink);
	const links = Object.entries(answer.links);
	byId("all").hidden = links.length === 0;
	byId("links").replaceChildren(...links.map(([kind, url]) => make("li", {}, outward(url, kindName(kind)))));
}

/** @param {OtherAnswer} answer */
async function showOther(answer) {
	for (const id of ["open", "copy", "permalink", "facts", "nearest", "all", "sites"]) byId(id).hidden = true;
	byId("kind").textContent = "";
	byId("title").textContent = text(`state_${answer.state}`).replace(/:.*/, "");
	byId("why").hidden = false;
	byId("why").textContent = text(`why_${answer.reason}`);
	const retry = byId("retry");
	retry.hidden = answer.state !== "unreachable" && answer.state !== "signin";
	if (!retry.hidden) retry.focus();
	if (answer.state === "foreign") await showSites();
}

async function showSites() {
	/** @type {Status} */
	const { settings } = await send({ type: "status" });
	const sites = settings.bitbucketURLs;
	byId("why").textContent = text(sites.length > 0 ? "popupElsewhere" : "popupNoBitbucket");
	byId("title").textContent = text("why_foreign");
	byId("sites").hidden = false;
	byId("sites").replaceChildren(...sites.map((url) => make("li", { className: "break" }, outward(url, url))));
}

/** @param {[string, string][]} facts */
function showFacts(facts) {
	const known = facts.filter(([, value]) => value);
	byId("facts").hidden = known.length === 0;
	byId("facts").replaceChildren(...known.flatMap(([name, value]) => [
		make("dt", { textContent: text(name) }),
		make("dd", { textContent: value }),
	]));
}

/**
 * @param {string} id
 * @param {string | undefined} url
 */
function offerCopy(id, url) {
	const button = byId(id);
	button.hidden = !url;
	button.onclick = async () => {
		await navigator.clipboard.writeText(url ?? "");
		byId("copied").textContent = text("popupCopied");
	};
}

/** @param {string} kind */
function kindName(kind) {
	return text(`kind_${kind}`) || kind;
}

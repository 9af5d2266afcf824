// The options page: the server's address, once, and the permissions that follow from it. The
// page is locked where the address is managed or built in. The browser takes requests for
// permissions only straight from a click, so nothing is awaited before them.

import { byId, localize, make, send } from "../localize.js";
import { baseAddress, hostPattern } from "../worker/address.js";
import { ports } from "../worker/browser.js";

const text = chrome.i18n.getMessage;
const server = /** @type {HTMLInputElement} */ (byId("server"));
/** @type {string[]} host patterns that the next click asks for */
let wanted = [];

localize(document);
byId("form").addEventListener("submit", (event) => {
	event.preventDefault();
	void connect(true);
});
byId("test").addEventListener("click", () => void connect(false));
byId("allow").addEventListener("click", () => void allow());
chrome.storage.onChanged.addListener(() => void refresh());
await refresh();

/** The address as it was typed; https goes without saying. */
function typed() {
	const value = server.value.trim();
	return baseAddress(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `https://${value}`);
}

/** @param {boolean} keep the address, if a server answers there */
async function connect(keep) {
	const serverURL = typed();
	if (!serverURL) return say("why_address", "bad");
	if (keep && !(await request([hostPattern(serverURL, ports)]))) return say("optionsRefused", "bad");
	say("optionsTesting", "quiet");
	/** @type {TestResult} */
	const result = await send({ type: "test", serverURL });
	if ("failure" in result) return say(`why_${result.failure.reason}`, "bad");
	if (result.configuration.primaryURL) say("optionsWorks", "good");
	else say("optionsNoPrimary", "bad");
	if (!keep) return;
	await send({ type: "save", serverURL });
	server.value = serverURL;
	await refresh();
	if (wanted.length === 0) say("optionsReload", "good");
}

/**
 * @param {string[]} origins
 * @returns {Promise<boolean>} false too for hosts that the package may never have
 */
function request(origins) {
	return chrome.permissions.request({ origins }).catch(() => false);
}

async function allow() {
	const granted = await request(wanted);
	await refresh();
	if (granted) say("optionsReload", "good");
	else say("optionsRefused", "bad");
}

async function refresh() {
	/** @type {Status} */
	const { settings, failure, withheld } = await send({ type: "status" });
	const locked = settings.source === "managed" || settings.source === "builtin";
	if (locked || (settings.serverURL && document.activeElement !== server)) server.value = settings.serverURL ?? "";
	server.readOnly = locked;
	byId("help").textContent = text(locked ? (settings.source === "managed" ? "optionsManaged" : "optionsBuiltin") : "optionsServerHelp");
	byId("save").hidden = locked;
	wanted = withheld;
	byId("withheld").hidden = withheld.length === 0;
	byId("hosts").replaceChildren(...withheld.map((pattern) => make("li", { textContent: pattern.replace(/\/\*$/, "") })));
	byId("state").hidden = !settings.serverURL || settings.bitbucketURLs.length === 0;
	byId("primary").textContent = settings.primaryURL ?? text("optionsNone");
	byId("bitbucket").textContent = settings.bitbucketURLs.join(", ");
	if (failure && withheld.length === 0) say(`why_${failure.reason}`, "bad");
	const { version } = chrome.runtime.getManifest();
	byId("version").textContent = settings.version && settings.version !== version ? text("optionsNewer", [version, settings.version]) : text("optionsVersion", version);
}

/**
 * @param {string} name of the message
 * @param {"good" | "bad" | "quiet"} look
 */
function say(name, look) {
	byId("result").textContent = text(name);
	byId("result").className = look;
}

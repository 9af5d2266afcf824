// What the worker takes from others: messages of this extension alone, of a known form, and
// from a content script only about the page that it is in. Pure.

import { baseAddress, webURL } from "./address.js";

/** Addresses in one message; a diff may have more files, then several are sent. */
const mostAddresses = 500;

/**
 * @param {unknown} raw
 * @returns {Message | null} null for what is no message
 */
export function readMessage(raw) {
	if (typeof raw !== "object" || raw === null) return null;
	const { type, address, again, addresses, serverURL } = /** @type {Record<string, unknown>} */ (raw);
	switch (type) {
		case "resolve":
			return webURL(address) ? { type, address: String(address), again: again === true } : null;
		case "resolveAll":
			if (!Array.isArray(addresses) || addresses.length > mostAddresses || !addresses.every(webURL)) return null;
			return { type, addresses };
		case "test":
		case "save":
			const base = baseAddress(serverURL);
			return base ? { type, serverURL: base } : null;
		case "status":
			return { type };
		default:
			return null;
	}
}

/**
 * Whether a sender may send a message. A content script speaks for its own page: the address
 * must have the origin that the browser vouches for. All else is for the extension's pages.
 * @param {Message} message
 * @param {{id?: string, origin?: string, url?: string}} sender
 * @param {{id: string, root: string}} extension its id, and the address of its root
 */
export function mayAsk(message, sender, extension) {
	if (sender.id !== extension.id) return false;
	if (sender.url?.startsWith(extension.root)) return true;
	const origin = sender.origin ?? webURL(sender.url)?.origin;
	if (message.type === "resolve") return webURL(message.address)?.origin === origin;
	if (message.type === "resolveAll") return message.addresses.every((address) => webURL(address)?.origin === origin);
	return false;
}

// What differs between Chromium and Firefox, and what the worker asks of either.

import { hostPattern } from "./address.js";

/** The address of the extension's own root. */
export const root = chrome.runtime.getURL("");

/** Whether match patterns know ports; Firefox matches nothing with one. */
export const ports = !root.startsWith("moz-extension:");

/** @param {string} base */
export function permitted(base) {
	return chrome.permissions.contains({ origins: [hostPattern(base, ports)] });
}

/**
 * The host patterns that are needed and not granted, the server's first.
 * @param {Settings} settings
 */
export async function withheld({ serverURL, bitbucketURLs }) {
	const patterns = new Set([...(serverURL ? [serverURL] : []), ...bitbucketURLs].map((base) => hostPattern(base, ports)));
	const missing = [];
	for (const pattern of patterns) if (!(await chrome.permissions.contains({ origins: [pattern] }))) missing.push(pattern);
	return missing;
}

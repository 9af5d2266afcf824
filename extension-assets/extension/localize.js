// Puts the strings of the locale into a page of the extension: into each element that names
// one in data-text. As text, never as mark-up.

/** @param {Document} document */
export function localize(document) {
	document.documentElement.lang = chrome.i18n.getUILanguage().startsWith("en") ? chrome.i18n.getUILanguage() : "en";
	for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-text]"))) {
		element.textContent = chrome.i18n.getMessage(element.dataset.text ?? "");
	}
}

/**
 * The element with an id; that it is there is the page's own doing.
 * @param {string} id
 */
export function byId(id) {
	const element = document.getElementById(id);
	if (!element) throw new Error(`the page has no element ${id}`);
	return element;
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} properties
 * @param {...Node} children
 */
export function make(tag, properties, ...children) {
	const element = Object.assign(document.createElement(tag), properties);
	element.append(...children);
	return element;
}

/**
 * A link out of the extension, to an address that was checked.
 * @param {string} href
 * @param {string} textContent
 */
export function outward(href, textContent) {
	return make("a", { href, textContent, title: href, target: "_blank", rel: "noopener noreferrer" });
}

/**
 * Sends a message to the worker.
 * @param {Message} message
 * @returns {Promise<any>}
 */
export function send(message) {
	return chrome.runtime.sendMessage(message);
}

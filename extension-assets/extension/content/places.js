// Which page is Bitbucket's, and where in it the view button belongs. The page is asked for
// places only; what it shows is the server's to say, from the address alone.
"use strict";

{
	/** Sign-on and proxy pages can have the address of a Bitbucket. */
	signpost.isBitbucket = (document) =>
		Boolean(document.querySelector('meta[name="application-name"][content^="Bitbucket"], .bitbucket-header-logo, .aui-header-logo-bitbucket, body[data-aui-version]'));

	/**
	 * The places in their order: pull requests of 4.x to 9.x; files, directories, commits and
	 * branches of 5.x to 9.x, which have a branch selector; page headers of 4.x.
	 * @type {((document: Document) => Place | null)[]}
	 */
	const places = [
		first(".pull-request-actions"),
		after(".branch-selector-toolbar .aui-buttons > #branch-actions", "#branch-actions"),
		after("#repository-layout-revision-selector", ".aui-buttons"),
		first(".aui-page-header-actions"),
	];

	signpost.findPlace = (document) => {
		for (const find of places) {
			const place = find(document);
			if (place) return place;
		}
		return null;
	};

	/**
	 * The place in front of all that an element holds.
	 * @param {string} selector
	 * @returns {(document: Document) => Place | null}
	 */
	function first(selector) {
		return (document) => {
			const parent = shown(document, selector);
			return parent && { parent, before: parent.firstElementChild };
		};
	}

	/**
	 * The place behind what encloses an element, which can be the element itself.
	 * @param {string} selector
	 * @param {string} enclosing
	 * @returns {(document: Document) => Place | null}
	 */
	function after(selector, enclosing) {
		return (document) => {
			const element = shown(document, selector)?.closest(enclosing);
			return element?.parentElement ? { parent: element.parentElement, before: element.nextElementSibling } : null;
		};
	}

	/**
	 * The first element that can be seen: a hidden toolbar is no place.
	 * @param {Document} document
	 * @param {string} selector
	 */
	function shown(document, selector) {
		for (const element of document.querySelectorAll(selector)) {
			if (element.checkVisibility?.() ?? true) return element;
		}
		return null;
	}
}

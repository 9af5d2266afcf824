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
		(document) => {
			const actions = shown(document, ".pull-request-actions");
			return actions && { parent: actions, before: actions.firstElementChild };
		},
		(document) => {
			const actions = shown(document, ".branch-selector-toolbar .aui-buttons > #branch-actions");
			return actions?.parentElement ? { parent: actions.parentElement, before: actions.nextElementSibling } : null;
		},
		(document) => {
			const group = shown(document, "#repository-layout-revision-selector")?.closest(".aui-buttons");
			return group?.parentElement ? { parent: group.parentElement, before: group.nextElementSibling } : null;
		},
		(document) => {
			const actions = shown(document, ".aui-page-header-actions");
			return actions && { parent: actions, before: actions.firstElementChild };
		},
	];

	signpost.findPlace = (document) => {
		for (const find of places) {
			const place = find(document);
			if (place) return place;
		}
		return null;
	};

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

// A link for each file of a diff: one at a time up to 6.x, all of them from 7.x on. What is
// new is asked for in one batch; what is known is put back when the page draws itself anew.
"use strict";

{
	/** The toolbars of files, with what encloses a file and its toolbar. */
	const toolbars = "#commit-file-content .file-toolbar .secondary, .change-view .change-header .diff-actions";
	const enclosing = "#commit-file-content, .change-view";

	signpost.findFiles = (document, address) => {
		const headers = [];
		for (const toolbar of document.querySelectorAll(toolbars)) {
			const file = toolbar.closest(enclosing);
			const about = file && (sourceAddress(file, address) ?? fragmentAddress(file, address));
			if (about) headers.push({ toolbar, address: about });
		}
		return headers;
	};

	/**
	 * Bitbucket's own link from the file's header to its source.
	 * @param {Element} file
	 * @param {string} address
	 */
	function sourceAddress(file, address) {
		const link = file.querySelector('.source-view-link[href], .file-toolbar a[href*="/browse/"], .change-header a[href*="/browse/"]');
		const href = link?.getAttribute("href");
		if (!href || !URL.canParse(href, address)) return null;
		const url = new URL(href, address);
		return url.origin === new URL(address).origin ? url.href : null;
	}

	/**
	 * The page with the file in its fragment, as Bitbucket itself spells it. Only the parts
	 * that are written out count; the file that the page shows stands in the fragment already.
	 * @param {Element} file
	 * @param {string} address
	 */
	function fragmentAddress(file, address) {
		const path = file.querySelector(".breadcrumbs, .file-breadcrumbs")?.textContent?.replace(/\s*\/\s*/g, "/").trim();
		const url = new URL(address);
		// Two names, of a file that was moved.
		if (path?.includes("→")) return null;
		if (path) url.hash = encodeURI(path.toWellFormed());
		return url.hash ? url.href : null;
	}

	signpost.fileLink = (answer) => {
		if (answer.state !== "link") return null;
		return answer.links.blob ?? (answer.kind === "blob" ? answer.url : null);
	};

	signpost.createFiles = (document, transport, arranged) => {
		/** @type {Map<string, Answer | null>} null while it is asked for */
		const answers = new Map();
		/** @type {Map<Element, {link: HTMLAnchorElement, address: string}>} by toolbar */
		const placed = new Map();
		let page = "";

		/** @param {string[]} addresses */
		async function ask(addresses) {
			const asked = page;
			for (const address of addresses) answers.set(address, null);
			/** @type {Answer[]} */
			const found = await transport.askAll(addresses).catch(() => []);
			if (page !== asked) return;
			const soon = Date.now() + 5000;
			addresses.forEach((address, i) => {
				const answer = found[i] ?? { state: "unreachable", reason: "extension" };
				answers.set(address, answer.state === "unreachable" ? { ...answer, retryAt: answer.retryAt ?? soon } : answer);
			});
			arranged();
		}

		function remove() {
			for (const { link } of placed.values()) link.remove();
			placed.clear();
		}

		/** @param {string} address of the page */
		function arrange(address) {
			const [now = ""] = address.split("#");
			if (now !== page) {
				page = now;
				answers.clear();
				remove();
			}
			const headers = new Map(signpost.findFiles(document, address).map((header) => [header.toolbar, header.address]));
			for (const [toolbar, { link, address }] of placed) {
				if (headers.get(toolbar) === address && link.parentNode === toolbar) continue;
				link.remove();
				placed.delete(toolbar);
			}
			for (const [toolbar, about] of headers) {
				const answer = answers.get(about);
				const url = answer && signpost.fileLink(answer);
				if (!url || placed.has(toolbar) || answer.state !== "link") continue;
				const link = signpost.createLink(document, "file", () => undefined);
				signpost.showState(link, { ...answer, url }, transport.text);
				toolbar.prepend(link);
				placed.set(toolbar, { link, address: about });
			}
			const open = new Set([...headers.values()].filter(isOpen));
			if (open.size > 0) void ask([...open].slice(0, 100));
		}

		/** @param {string} about */
		function isOpen(about) {
			const answer = answers.get(about);
			return answer === undefined || (answer?.state === "unreachable" && (answer.retryAt ?? 0) <= Date.now());
		}

		return { arrange, remove };
	};
}

// Notices when the address changes without a load, and when the page draws itself anew.
"use strict";

{
	/** Milliseconds between looks at the address, where the browser does not tell. */
	const slow = 500;

	/** Milliseconds between looks at a page that keeps changing. */
	const pause = 200;

	/**
	 * pushState fires no event but the Navigation API's. Firefox before 147 has none; there the
	 * address is compared.
	 */
	signpost.watchAddress = (window, changed) => {
		const controller = new AbortController();
		const { signal } = controller;
		if (window.navigation) {
			window.navigation.addEventListener("currententrychange", changed, { signal });
			return () => controller.abort();
		}
		let last = window.location.href;
		const compare = () => {
			if (window.location.href === last) return;
			last = window.location.href;
			changed();
		};
		window.addEventListener("hashchange", compare, { signal });
		window.addEventListener("popstate", compare, { signal });
		const timer = window.setInterval(compare, slow);
		return () => {
			controller.abort();
			window.clearInterval(timer);
		};
	};

	signpost.watchPage = (document, changed) => {
		/** @type {number | undefined} */
		let timer;
		let last = 0;
		const observer = new MutationObserver(() => {
			timer ??= window.setTimeout(() => {
				timer = undefined;
				last = Date.now();
				changed();
			}, Math.max(0, last + pause - Date.now()));
		});
		observer.observe(document, { childList: true, subtree: true });
		return {
			/** Forgets the changes up to now: they were our own. */
			ignore: () => void observer.takeRecords(),
			stop() {
				observer.disconnect();
				window.clearTimeout(timer);
			},
		};
	};
}

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
	signpost.watchAddress = (window, changed, signal) => {
		if (window.navigation) return window.navigation.addEventListener("currententrychange", changed, { signal });
		let last = window.location.href;
		const compare = () => {
			if (window.location.href === last) return;
			last = window.location.href;
			changed();
		};
		window.addEventListener("hashchange", compare, { signal });
		window.addEventListener("popstate", compare, { signal });
		const timer = window.setInterval(compare, slow);
		signal.addEventListener("abort", () => window.clearInterval(timer));
	};

	signpost.watchPage = (document, changed, signal) => {
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
		signal.addEventListener("abort", () => {
			observer.disconnect();
			window.clearTimeout(timer);
		});
		return () => void observer.takeRecords();
	};
}

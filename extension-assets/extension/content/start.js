// Keeps the button true: asks when the address changes, drops answers for another address,
// tries again when the server was not reachable, and leaves when the extension has gone.
"use strict";

{
	/** Milliseconds: a burst of navigation asks once. */
	const burst = 50;

	/** Milliseconds that a known place may take to appear. */
	const patience = 500;

	signpost.start = (transport) => {
		let address = location.href;
		let since = Date.now();
		/** @type {Shown} */
		let shown = { state: "looking" };
		/** @type {number | undefined} */
		let asking;
		/** @type {number | undefined} */
		let waiting;
		const controller = new AbortController();
		const { signal } = controller;
		void ask(false); // first, for it takes longest
		const button = signpost.createButton(document, transport.text, () => void ask(true));
		const files = signpost.createFiles(document, transport, arrange);
		const page = signpost.watchPage(document, arrange);
		const unwatch = signpost.watchAddress(window, navigated);
		window.addEventListener("online", () => void retry(true), { signal });
		document.addEventListener("visibilitychange", () => void retry(false), { signal });
		if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", loaded, { once: true, signal });
		else arrange();

		/** The page is there, and the answer often too. */
		function loaded() {
			since = Date.now();
			arrange();
		}

		/** Leaves nothing behind: a link that nobody keeps true is worse than none. */
		function leave() {
			controller.abort();
			unwatch();
			page.stop();
			window.clearTimeout(asking);
			window.clearTimeout(waiting);
			button.remove();
			files.remove();
		}

		function navigated() {
			if (!transport.alive()) return leave();
			if (location.href === address) return;
			address = location.href;
			since = Date.now();
			show({ state: "looking" });
			window.clearTimeout(asking);
			asking = window.setTimeout(() => void ask(false), burst);
			arrange();
		}

		/** @param {boolean} again a person asks */
		async function ask(again) {
			const asked = address;
			window.clearTimeout(asking);
			if (again) show({ state: "looking" });
			/** @type {Answer} */
			const answer = await transport.ask(asked, again).catch(() => /** @type {Answer} */ ({ state: "unreachable", reason: "extension" }));
			if (signal.aborted || asked !== address) return;
			if (!transport.alive() || answer.state === "foreign") return leave();
			show(answer);
			if (answer.state !== "link" && answer.retryAt) {
				window.clearTimeout(asking);
				asking = window.setTimeout(() => void retry(false), Math.max(answer.retryAt - Date.now(), 1000));
			}
			arrange();
		}

		/** @param {boolean} now without waiting for the end of the pause */
		async function retry(now) {
			if ((shown.state !== "unreachable" && shown.state !== "signin") || document.visibilityState !== "visible") return;
			if (now || Date.now() >= (shown.retryAt ?? 0)) await ask(now);
		}

		/** @param {Shown} next */
		function show(next) {
			shown = next;
			button.show(next);
			page.ignore();
		}

		function arrange() {
			if (signal.aborted) return;
			if (!transport.alive()) return leave();
			if (document.readyState === "loading" || !document.body || !signpost.isBitbucket(document)) return;
			const others = button.foreign();
			if (others.length > 0 && transport.yields) return leave();
			for (const other of others) other.remove();
			const left = since + patience - Date.now();
			if (button.arrange(left > 0) === "wait") {
				window.clearTimeout(waiting);
				waiting = window.setTimeout(arrange, left);
			}
			files.arrange(address);
			page.ignore();
		}
	};
}

// Keeps the button true: asks when the address changes, drops answers for another address,
// tries again when the server was not reachable, asks anew when a page comes into view after a
// while, and leaves when the extension has gone or another copy of it has come.
"use strict";

{
	/** Milliseconds: a burst of navigation asks once. */
	const burst = 50;

	/** Milliseconds that a known place may take to appear. */
	const patience = 500;

	/** Milliseconds before a failure that names no time is tried again. */
	const later = 10_000;

	/** Milliseconds after which an answer is asked for anew when the page comes into view. */
	const lasting = 60_000;

	signpost.start = (transport) => {
		let address = location.href;
		let since = Date.now();
		let asked = since;
		let arranged = false;
		// A sign-on page can lie below Bitbucket's address, with a secret in its own. So a page of no
		// repository is asked about once it is known to be Bitbucket's.
		let held = !location.pathname.includes("/repos/");
		/** @type {Shown} */
		let shown = { state: "looking" };
		/** @type {number | undefined} */
		let asking;
		/** @type {number | undefined} */
		let waiting;
		const controller = new AbortController();
		const { signal } = controller;
		// First, for it takes longest.
		void ask(false);
		const button = signpost.createButton(document, transport.text, () => void ask(true));
		const files = signpost.createFiles(document, transport, arrange);
		const ignore = signpost.watchPage(document, arrange, signal);
		signpost.watchAddress(window, navigated, signal);
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
			if (held) return;
			const about = address;
			window.clearTimeout(asking);
			asked = Date.now();
			if (again) show({ state: "looking" });
			/** @type {Answer} */
			const answer = await transport.ask(about, again).catch(() => /** @type {Answer} */ ({ state: "unreachable", reason: "extension" }));
			if (signal.aborted || about !== address) return;
			if (!transport.alive() || answer.state === "foreign") return leave();
			// A link that was good stays while the server is away.
			if (shown.state === "link" && answer.state !== "link" && answer.retryAt) return;
			show(answer);
			if (failed(answer)) {
				window.clearTimeout(asking);
				asking = window.setTimeout(() => void retry(false), Math.max((answer.retryAt ?? asked + later) - Date.now(), 1000));
			}
			arrange();
		}

		/** @param {boolean} now without waiting for the end of the pause */
		async function retry(now) {
			if (document.visibilityState !== "visible") return;
			if (!failed(shown)) return Date.now() >= asked + lasting ? ask(false) : undefined;
			if (now || Date.now() >= (shown.retryAt ?? 0)) await ask(now);
		}

		/**
		 * @param {Shown} what
		 * @returns {what is OtherAnswer}
		 */
		function failed(what) {
			return what.state === "unreachable" || what.state === "signin";
		}

		/** @param {Shown} next */
		function show(next) {
			shown = next;
			button.show(next);
			ignore();
		}

		function arrange() {
			if (signal.aborted) return;
			if (!transport.alive()) return leave();
			if (document.readyState === "loading" || !document.body || !signpost.isBitbucket(document)) return;
			if (held) {
				held = false;
				void ask(false);
			}
			const others = button.foreign();
			// The copy that came last has the page: two would take each other's button away for ever.
			if ((arranged || transport.yields) && !others.every(signpost.owns)) return leave();
			for (const other of others) other.remove();
			arranged = true;
			const left = since + patience - Date.now();
			if (button.arrange(left > 0) === "wait") {
				window.clearTimeout(waiting);
				waiting = window.setTimeout(arrange, left);
			}
			files.arrange(address);
			ignore();
		}
	};
}

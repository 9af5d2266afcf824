// The view button: one element, in the page's toolbar or at the edge, moved when its place
// has gone or a better one has turned up.
"use strict";

{
	signpost.createButton = (document, text, again) => {
		const link = signpost.createLink(document, "view", again);
		/** @type {ReturnType<ContentScripts["createEdge"]> | null} */
		let edge = null;
		/** @type {Shown} */
		let shown = { state: "looking" };
		signpost.showState(link, shown, text);

		/** @param {Shown} next */
		function show(next) {
			shown = next;
			signpost.showState(link, shown, text);
			edge?.show(shown, text);
			if (edge?.host.isConnected) edge.fit();
		}

		/**
		 * Puts the button where it belongs.
		 * @param {boolean} patient wait a little for a known place before going to the edge
		 */
		function arrange(patient) {
			const place = signpost.findPlace(document);
			if (place) {
				edge?.host.remove();
				if (link.parentNode !== place.parent) place.parent.insertBefore(link, place.before);
				return "placed";
			}
			link.remove();
			if (edge?.host.isConnected) return "placed";
			if (patient) return "wait";
			edge ??= signpost.createEdge(document, again);
			edge.show(shown, text);
			document.body.append(edge.host);
			edge.fit();
			return "placed";
		}

		return {
			show,
			arrange,
			foreign: () => [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-signpost]"))]
				.filter((element) => element !== link && element !== edge?.host && (element.dataset.signpost === "view" || !signpost.owns(element))),
			remove() {
				link.remove();
				edge?.host.remove();
			},
		};
	};
}

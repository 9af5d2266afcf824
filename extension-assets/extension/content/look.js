// The link and its states, in AUI's classes, so that it looks like the page's own buttons of
// every era. Text goes in as text, an address only as one that the worker has checked.
"use strict";

{
	/** Tells this copy of the extension from another in the same page. */
	const copy = String(Math.random());

	signpost.mark = (element, what) => {
		element.dataset.signpost = what;
		element.dataset.signpostCopy = copy;
	};

	signpost.owns = ({ dataset }) => dataset.signpostCopy === copy;

	signpost.createLink = (document, mark, again) => {
		const link = document.createElement("a");
		link.className = mark === "file" ? "aui-button aui-button-subtle" : "aui-button";
		link.rel = "noopener noreferrer";
		link.target = "_blank";
		signpost.mark(link, mark);
		/** @param {Event} event */
		const act = (event) => {
			if (link.hasAttribute("href")) return;
			event.preventDefault();
			// And not the page's own doing.
			if (event.isTrusted && link.dataset.signpostState === "unreachable") again();
		};
		link.addEventListener("click", act);
		link.addEventListener("keydown", (event) => {
			if (event.key === "Enter" || event.key === " ") act(event);
		});
		return link;
	};

	signpost.showState = (link, shown, text) => {
		const file = link.dataset.signpost === "file";
		link.textContent = text(file ? "fileOnSourcegraph" : `state_${shown.state}`);
		link.dataset.signpostState = shown.state;
		if (shown.state === "link") {
			link.title = shown.exact ? text(file ? "titleFile" : "titleLink") : text("titleNearest");
			link.dataset.signpostHref = shown.url;
			link.setAttribute("href", shown.url);
			for (const name of ["role", "tabindex", "aria-disabled"]) link.removeAttribute(name);
			return;
		}
		link.title = text(`why_${shown.reason ?? shown.state}`) || text(`state_${shown.state}`);
		delete link.dataset.signpostHref;
		link.removeAttribute("href");
		link.setAttribute("role", shown.state === "unreachable" ? "button" : "link");
		link.setAttribute("tabindex", "0");
		if (shown.state === "unreachable") link.removeAttribute("aria-disabled");
		else link.setAttribute("aria-disabled", "true");
	};
}

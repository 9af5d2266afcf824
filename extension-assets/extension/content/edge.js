// The button at the edge of the window, for pages that have no known place. A closed shadow
// root keeps the page's styles out, and ours in.
"use strict";

{
	const style = `
:host { all: initial; position: fixed; right: 16px; bottom: 16px; z-index: 2400; }
a { --line: #b7bdc8; --back: #fff; --near: #f1f2f4; --text: #172b4d; --quiet: #505f79; --accent: #0c66e4;
  display: inline-flex; align-items: center; gap: 8px; box-sizing: border-box; min-height: 36px; padding: 0 12px;
  border: 1px solid var(--line); border-radius: 18px; background: var(--back); color: var(--text); box-shadow: 0 1px 4px #0005;
  font: 500 14px/1.4 system-ui, sans-serif; text-decoration: none; white-space: nowrap; cursor: pointer; }
a.dark { --line: #596773; --back: #22272b; --near: #2c333a; --text: #dee4ea; --quiet: #9fadbc; --accent: #85b8ff; }
a::before { content: ""; flex: none; width: 16px; height: 12px; background: currentColor; clip-path: polygon(0 0, 65% 0, 100% 50%, 65% 100%, 0 100%); }
a[href]::before { background: var(--accent); }
a:hover { background: var(--near); }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
a:not([href]) { color: var(--quiet); }
a[aria-disabled] { cursor: default; }
a:not([href], [data-signpost-state="looking"], :hover, :focus-visible) { width: 36px; padding: 0 9px; overflow: hidden; gap: 20px; }
@media (forced-colors: active) { a::before { background: LinkText; forced-color-adjust: none; } }
@media print { :host { display: none; } }
`;

	/** Pixels from the lower edge that are tried, so that nothing of the page is covered. */
	const heights = [16, 64, 112, 160];

	signpost.createEdge = (document, again) => {
		const host = document.createElement("div");
		signpost.mark(host, "view");
		host.dataset.signpostPlace = "edge";
		const root = host.attachShadow({ mode: "closed" });
		const sheet = document.createElement("style");
		sheet.textContent = style;
		const link = signpost.createLink(document, "view", again);
		link.removeAttribute("class");
		root.append(sheet, link);
		return {
			host,
			show(shown, text) {
				signpost.showState(link, shown, text);
				host.dataset.signpostState = shown.state;
				if (shown.state === "link") host.dataset.signpostHref = shown.url;
				else delete host.dataset.signpostHref;
			},
			fit() {
				link.classList.toggle("dark", isDark(document));
				for (const height of heights) {
					host.style.bottom = `${height}px`;
					if (!coversControl(host)) return;
				}
				host.style.bottom = `${heights[0]}px`;
			},
		};
	};

	/**
	 * Whether the page is dark, whatever made it so: its own theme or the system's.
	 * @param {Document} document
	 */
	function isDark(document) {
		for (const element of [document.body, document.documentElement]) {
			const [red, green, blue, alpha = 1] = (getComputedStyle(element).backgroundColor.match(/[\d.]+/g) ?? []).map(Number);
			if (red === undefined || green === undefined || blue === undefined || alpha === 0) continue;
			return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
		}
		return false;
	}

	/**
	 * Whether the page has a control where the host lies.
	 * @param {HTMLElement} host
	 */
	function coversControl(host) {
		const { left, top, right, bottom } = host.getBoundingClientRect();
		const middle = (top + bottom) / 2;
		for (const x of [left + 2, (left + right) / 2, right - 2]) {
			for (const element of host.ownerDocument.elementsFromPoint(x, middle)) {
				if (element !== host && element.closest("a, button, input, select, textarea, [role=button]")) return true;
			}
		}
		return false;
	}
}

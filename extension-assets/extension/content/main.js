// Starts the content scripts with the worker as their only way out: they send nothing
// themselves.
"use strict";

signpost.start({
	ask: async (address, again) => (await chrome.runtime.sendMessage({ type: "resolve", address, again })) ?? { state: "unreachable", reason: "extension" },
	askAll: async (addresses) => (await chrome.runtime.sendMessage({ type: "resolveAll", addresses })) ?? [],
	text: (name, ...values) => chrome.i18n.getMessage(name, values),
	alive: () => Boolean(chrome.runtime?.id),
	yields: false,
});

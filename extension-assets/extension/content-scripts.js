// The content scripts in their order. The plain build registers them for the hosts that were
// granted; packing writes the same list into the manifest.

export const contentScripts = [
	"content/namespace.js",
	"content/places.js",
	"content/files.js",
	"content/look.js",
	"content/edge.js",
	"content/watch.js",
	"content/button.js",
	"content/start.js",
	"content/main.js",
];

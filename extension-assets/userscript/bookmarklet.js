// The bookmarklet: opens the server's redirect for the page in front. The server checks the
// address and knows the way; here is only what a bookmark can hold.
(() => {
	const { serverURL, bitbucketURLs } = /** @type {Builtin} */ (/** @type {unknown} */ ("__SIGNPOST_CONFIGURATION__"));
	const page = new URL(location.href);
	page.username = page.password = "";
	if (bitbucketURLs.some((base) => page.href === base || page.href.startsWith(base + "/"))) {
		window.open(`${serverURL}/go?url=${encodeURIComponent(page.href)}`, "_blank", "noopener,noreferrer");
	} else {
		alert(`This is not a page of ${bitbucketURLs.join(" or ")}`);
	}
})();

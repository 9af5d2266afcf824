// For bookmarks.
(() => {
  const c = "__SIGNPOST_CONFIGURATION__";
  location.href = c.serverURL + "/go?url=" + encodeURIComponent(location.href);
})();

(() => {
  const c = "__SIGNPOST_CONFIGURATION__"; // not "quoted" twice
  location.href = c.serverURL + "/go?url=" + encodeURIComponent(location.href);
})();

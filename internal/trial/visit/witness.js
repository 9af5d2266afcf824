// Runs in every page before its own scripts, and writes down each look of the button that
// anybody could see, with the address that the page had then.
(() => {
  const seen = [];
  let last = "";
  let redrawn = 0;

  function note() {
    const buttons = document.querySelectorAll('[data-signpost="view"]');
    const button = buttons[0];
    const look = {
      address: location.href,
      count: buttons.length,
      state: button?.dataset.signpostState ?? "",
      link: button?.dataset.signpostHref ?? "",
      href: button?.getAttribute("href") ?? "",
      place: button?.dataset.signpostPlace ?? "",
      text: button?.textContent ?? "",
      title: button?.title ?? "",
      files: [...document.querySelectorAll('[data-signpost="file"]')].map((file) => file.getAttribute("href") ?? ""),
    };
    const now = JSON.stringify(look);
    if (now !== last) {
      last = now;
      seen.push({ at: performance.now(), ...look });
    }
    return look;
  }

  new MutationObserver(note).observe(document, {
    subtree: true,
    childList: true,
    attributes: true,
    attributeFilter: ["data-signpost-state", "data-signpost-href", "href"],
  });
  // After a navigation in the page, and after those whom it concerns have heard of it.
  navigation.addEventListener("currententrychange", () => setTimeout(note));

  const drawn = () => performance.getEntriesByType("navigation")[0]?.domContentLoadedEventStart ?? 0;
  Object.defineProperty(globalThis, "witness", {
    value: {
      /** What was seen, the look now, and when the page's content was there (milliseconds). */
      report: () => ({ now: note(), seen, loaded: drawn() }),
      forget() {
        seen.length = 0;
        last = "";
        note();
      },
    },
  });
})();

// The script of the double's pages. It does what Bitbucket's own does to those who change the pages:
// it draws views after load, draws them again for each file, mode, branch and tab, and goes there
// by history.pushState. All HTML comes from the server; nothing here writes any.
"use strict";
(() => {
  const drawAfter = 30; // milliseconds from a page, or a part of it, to its views
  const redrawAfter = 300; // from the first drawing of a React part to the second, as when comments arrive

  let shown = location.pathname + location.search;
  let asked = 0; // counts navigations, so that a late answer is dropped
  let anchor = 0; // the line that a range begins at

  /** Puts what the templates hold into their places, and throws away what was there. */
  function draw() {
    for (const template of document.querySelectorAll("template[data-double-draw]")) {
      template.parentElement.replaceChildren(template, document.importNode(template.content, true));
    }
    openFile();
    markLines();
  }

  /** React draws its part again whenever something in it changes. */
  function drawReact() {
    for (const root of document.querySelectorAll("[data-double-react]")) {
      const template = root.querySelector("template[data-double-draw]");
      root.replaceChildren(template, document.importNode(template.content, true));
    }
    openFile();
    markLines();
  }

  /** The path and the line that the fragment of a diff names. */
  function fragment() {
    const [, encoded, line] = /^#?(.*?)(?:\?([tf]=\d+))?$/.exec(location.hash);
    try {
      return { path: decodeURIComponent(encoded), line };
    } catch {
      return { path: "", line: undefined };
    }
  }

  /** Shows the file of a pull request that the fragment names, the first one without. */
  function openFile() {
    let { path } = fragment();
    for (const place of document.querySelectorAll("[data-double-files]")) {
      const files = [...place.querySelectorAll("template[data-double-file]")];
      const wanted = files.find((f) => f.dataset.doubleFile === path) ?? files[0];
      if (wanted) {
        path = wanted.dataset.doubleFile;
        place.replaceChildren(...files, document.importNode(wanted.content, true));
      }
    }
    for (const link of document.querySelectorAll("a[data-double-open]")) {
      link.setAttribute("aria-current", String(link.dataset.doubleOpen === path));
    }
  }

  /** Marks the lines that the fragment names, and brings the first one, or the file, into sight. */
  function markLines() {
    const { path, line } = fragment();
    const marked = [];
    for (const row of document.querySelectorAll("[data-double-row]")) {
      const file = row.closest("[data-double-file-at]");
      const selected = file
        ? file.dataset.doubleFileAt === path && row.dataset.doubleRow === line
        : inRanges(Number(row.dataset.doubleRow), location.hash.slice(1));
      row.classList.toggle("double-selected", selected);
      if (selected) {
        marked.push(row);
      }
    }
    const files = [...document.querySelectorAll("section[data-double-file-at]")];
    (marked[0] ?? files.find((f) => f.dataset.doubleFileAt === path))?.scrollIntoView({ block: "nearest" });
  }

  /** Tells whether a line is in a list like 3,10-15. */
  function inRanges(line, list) {
    return list.split(",").some((range) => {
      const ends = /^(\d+)(?:-(\d+))?$/.exec(range);
      if (!ends) {
        return false;
      }
      const [a, b] = [Number(ends[1]), Number(ends[2] ?? ends[1])];
      return line >= Math.min(a, b) && line <= Math.max(a, b);
    });
  }

  /** Shows the page at an address without loading it. */
  function go(address) {
    history.pushState(null, "", address);
    show();
  }

  /** Makes the views those of location. */
  function show() {
    const wanted = location.pathname + location.search;
    if (wanted === shown) {
      if (document.querySelector("[data-double-react]")) {
        drawReact();
      } else {
        openFile();
        markLines();
      }
      return;
    }
    const mine = ++asked;
    const request = new XMLHttpRequest();
    request.open("GET", wanted);
    request.responseType = "document"; // parses without a sink of Trusted Types
    request.onload = () => {
      if (mine !== asked) {
        return;
      }
      if (!replaceViews(request.response)) {
        location.reload();
        return;
      }
      shown = wanted;
      anchor = 0;
      setTimeout(() => mine === asked && draw(), drawAfter);
    };
    request.onerror = () => location.reload();
    request.send();
  }

  /** Takes the views out of another document; false when that is a page with other views. */
  function replaceViews(other) {
    const views = [...document.querySelectorAll("[data-double-view]")];
    const fresh = views.map((view) => other?.querySelector(`[data-double-view="${view.dataset.doubleView}"]`));
    if (views.length === 0 || fresh.some((view) => !view)) {
      return false;
    }
    views.forEach((view, i) => view.replaceWith(document.importNode(fresh[i], true)));
    document.title = other.title;
    document.body.dataset.doublePage = other.body.dataset.doublePage;
    return true;
  }

  /** Opens one menu and closes the others. */
  function toggleMenu(name) {
    for (const menu of document.querySelectorAll("[data-double-menu-of]")) {
      menu.hidden = menu.dataset.doubleMenuOf !== name || !menu.hidden;
      document
        .querySelector(`[data-double-menu="${menu.dataset.doubleMenuOf}"]`)
        ?.setAttribute("aria-expanded", String(!menu.hidden));
    }
  }

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const button = target?.closest("[data-double-menu]");
    toggleMenu(button?.dataset.doubleMenu);
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const line = target?.closest("a[data-double-line]");
    if (line) { // the click changes the fragment, and nothing else
      event.preventDefault();
      const number = Number(line.dataset.doubleLine);
      if (event.shiftKey && anchor && anchor !== number) {
        location.hash = `${Math.min(anchor, number)}-${Math.max(anchor, number)}`;
      } else {
        anchor = number;
        location.hash = String(number);
      }
      return;
    }
    const diffLine = target?.closest("[data-double-diff-line]");
    const file = diffLine?.closest("[data-double-file-at]");
    if (file) {
      location.hash = `${encodeURI(file.dataset.doubleFileAt)}?${diffLine.dataset.doubleDiffLine}`;
      return;
    }
    const again = target?.closest("[data-double-again]");
    if (again) {
      if (again.closest("[data-double-react]")) {
        drawReact();
      } else {
        again.setAttribute("aria-pressed", String(again.getAttribute("aria-pressed") !== "true"));
      }
      return;
    }
    const link = target?.closest("a[data-double-go]");
    if (link && !event.shiftKey) {
      event.preventDefault();
      go(link.href);
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      toggleMenu(undefined);
    }
  });
  addEventListener("popstate", show);
  addEventListener("hashchange", () => {
    openFile();
    markLines();
  });

  const lines = /^#(\d+)$/.exec(location.hash);
  anchor = lines ? Number(lines[1]) : 0;
  setTimeout(() => {
    draw();
    setTimeout(drawReact, redrawAfter);
  }, drawAfter);
})();

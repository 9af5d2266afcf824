// The content scripts against small pages of our own, in linkedom: it has no layout, so what
// can be seen is left to the tests in real browsers.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { parseHTML } from "linkedom";
import { contentScripts } from "../extension/content-scripts.js";

const messages = JSON.parse(readFileSync(new URL("../extension/_locales/en/messages.json", import.meta.url), "utf8"));
const head = '<meta name="application-name" content="Bitbucket">';
const files = '<div class="branch-selector-toolbar"><div class="aui-buttons"><button id="repository-layout-revision-selector">main</button><button id="branch-actions"></button></div><p></p></div>';
const file = "https://b.example/projects/P/repos/r/browse/a.go";

/** A page with the content scripts in it, but not started. */
function pageWith(body, { href = file, top = head } = {}) {
	const { window, document } = parseHTML(`<html><head>${top}</head><body>${body}</body></html>`);
	const timers = new Map();
	const observers = [];
	const navigation = new window.EventTarget();
	const context = createContext({
		document, URL, AbortController, console, Map, Set, Date: { now: () => page.now }, location: new URL(href), navigation,
		getComputedStyle: () => ({ backgroundColor: "rgb(255, 255, 255)" }),
		MutationObserver: class {
			records = [];
			constructor(callback) {
				observers.push(callback);
			}
			observe() {}
			disconnect() {
				observers.length = 0;
			}
			takeRecords() {}
		},
		setTimeout: (callback, delay) => (timers.set(timers.size + 1, { callback, at: page.now + delay }), timers.size),
		clearTimeout: (id) => timers.delete(id),
		addEventListener() {},
	});
	context.window = context;
	for (const path of contentScripts) {
		if (!path.endsWith("main.js")) runInContext(readFileSync(new URL(`../extension/${path}`, import.meta.url), "utf8"), context);
	}
	Object.defineProperty(document, "visibilityState", { value: "visible" });
	window.HTMLElement.prototype.attachShadow ??= function () {
		return document.createDocumentFragment();
	};
	window.HTMLElement.prototype.getBoundingClientRect ??= () => ({ left: 0, top: 0, right: 10, bottom: 10 });
	document.elementsFromPoint = () => [];
	const page = {
		now: 1000,
		document,
		Event: window.Event,
		signpost: runInContext("signpost", context),
		views: () => [...document.querySelectorAll('[data-signpost="view"]')],
		view: () => page.views()[0],
		links: () => [...document.querySelectorAll('[data-signpost="file"]')],
		/** Lets promises settle. */
		settle: () => new Promise((resolve) => setImmediate(resolve)),
		/** Moves the clock, and runs what was due. */
		async pass(milliseconds) {
			page.now += milliseconds;
			for (const [id, { callback, at }] of [...timers]) {
				if (at > page.now || !timers.delete(id)) continue;
				callback();
			}
			await page.settle();
		},
		async navigate(href) {
			context.location.href = href;
			navigation.dispatchEvent(new window.Event("currententrychange"));
			await page.settle();
		},
		async redraw(change) {
			change(document);
			for (const callback of [...observers]) callback([], {});
			await page.pass(200);
		},
	};
	return page;
}

const link = (url, more = {}) => ({ state: "link", url, kind: "blob", links: {}, exact: true, notes: [], repository: "", revision: "", path: "", lines: "", ...more });
const to = (address) => link("https://sg.example/" + encodeURIComponent(address));

/** Starts the scripts with a transport of the test's. */
async function started(page, transport = {}) {
	const asked = [];
	const batches = [];
	page.asked = asked;
	page.batches = batches;
	page.signpost.start({
		ask: async (address, again) => (asked.push({ address, again }), (transport.answer ?? to)(address)),
		askAll: async (addresses) => (batches.push([...addresses]), addresses.map((address) => (transport.answer ?? to)(address))),
		text: (name) => messages[name]?.message ?? "",
		alive: transport.alive ?? (() => true),
		yields: transport.yields ?? false,
	});
	await page.settle();
	return page;
}

test("the question goes out before the page is there, and nothing of the page is touched", async () => {
	const page = pageWith("");
	let readyState = "loading";
	Object.defineProperty(page.document, "readyState", { get: () => readyState });
	await started(page);
	assert.deepEqual(page.asked, [{ address: file, again: false }]);
	await page.pass(1000);
	assert.equal(page.views().length, 0, "however long the page takes");
	page.document.body.innerHTML = files;
	readyState = "interactive";
	page.document.dispatchEvent(new page.Event("DOMContentLoaded"));
	assert.equal(page.view().getAttribute("href"), to(file).url, "with its link at once");
	assert.equal(page.view().parentNode.className, "aui-buttons");
});

test("a page of no repository is asked about once it is known to be Bitbucket's", async () => {
	const href = "https://b.example/plugins/servlet/saml?code=secret";
	const page = await started(pageWith("<form></form>", { href, top: "" }));
	await page.navigate(href + "&step=2");
	await page.pass(1000);
	assert.deepEqual(page.asked, [], "a sign-on page stays unknown");
	await page.navigate("https://b.example/dashboard");
	await page.pass(1000);
	await page.redraw((document) => document.body.setAttribute("data-aui-version", "9.2.1"));
	assert.deepEqual(page.asked.map(({ address }) => address), ["https://b.example/dashboard"]);
	assert.equal(page.views().length, 1);
});

test("the scripts define one name", () => {
	const context = createContext({ Map, Set });
	const before = Object.getOwnPropertyNames(context);
	for (const path of contentScripts) {
		if (!path.endsWith("main.js")) runInContext(readFileSync(new URL(`../extension/${path}`, import.meta.url), "utf8"), context);
	}
	assert.deepEqual(Object.getOwnPropertyNames(context), before, "a const is no property");
	assert.equal(runInContext("typeof signpost.start", context), "function");
});

for (const [name, top, body, want] of [
	["named in the head", head, "", true],
	["named Bitbucket Data Center", '<meta name="application-name" content="Bitbucket Data Center">', "", true],
	["by its logo", "", '<h1 class="bitbucket-header-logo"></h1>', true],
	["by its older logo", "", '<span class="aui-header-logo aui-header-logo-bitbucket"></span>', true],
	["a sign-on page", '<meta name="application-name" content="Single Sign-On">', "<form></form>", false],
]) {
	test(`is it Bitbucket: ${name}`, () => {
		const { signpost, document } = pageWith(body, { top });
		assert.equal(signpost.isBitbucket(document), want);
	});
}

test("is it Bitbucket: by AUI", () => {
	const { signpost, document } = pageWith("", { top: "" });
	document.body.setAttribute("data-aui-version", "7.6.3");
	assert.equal(signpost.isBitbucket(document), true);
});

const order = (element) => [...element.parentNode.children].map((child) => child.id || child.className || child.dataset.signpost);

for (const [name, body, parent, want] of [
	["a pull request: first of its actions", '<div class="pull-request-actions"><button id="merge"></button></div>', "pull-request-actions", ["view", "merge"]],
	["files: after the branch actions", files, "aui-buttons", ["repository-layout-revision-selector", "branch-actions", "view"]],
	["files without branch actions: after the selector's group", '<div class="t"><div class="aui-buttons"><button id="repository-layout-revision-selector"></button></div><p id="p"></p></div>', "t", ["aui-buttons", "view", "p"]],
	["4.x: first in the page header's actions", '<div class="aui-page-header-actions"><button id="x"></button></div>', "aui-page-header-actions", ["view", "x"]],
	["a pull request comes before a selector", files + '<div class="pull-request-actions"></div>', "pull-request-actions", ["view"]],
	["9.x: beside the menu with more", '<div id="pull-requests-container"><div class="pull-request-header-bar"><div class="pull-request-actions"><button class="pull-request-more-actions"></button></div></div></div>', "pull-request-actions", ["view", "pull-request-more-actions"]],
]) {
	test(`place in ${name}`, async () => {
		const page = await started(pageWith(body));
		assert.equal(page.views().length, 1);
		assert.equal(page.view().parentNode.className, parent);
		page.view().removeAttribute("class");
		assert.deepEqual(order(page.view()), want);
	});
}

test("the button is Bitbucket's in looks and a plain link", async () => {
	const view = (await started(pageWith(files))).view();
	assert.equal(view.tagName, "A");
	assert.ok(view.classList.contains("aui-button"));
	assert.equal(view.getAttribute("href"), to(file).url);
	assert.equal(view.dataset.signpostHref, to(file).url);
	assert.equal(view.dataset.signpostState, "link");
	assert.equal(view.rel, "noopener noreferrer");
	assert.equal(view.textContent, "View on Sourcegraph");
});

for (const [reason, state, label, disabled] of [
	["repository_not_found", "missing", "Not on Sourcegraph", true],
	["primary_url_not_set", "unset", "Sourcegraph is not set up", true],
	["signin", "signin", "Sign-in needed", true],
	["network", "unreachable", "Signpost not reachable: try again", false],
	["untrusted", "unreachable", "Signpost not reachable: try again", false],
]) {
	test(`${state} (${reason}) is told, and is no link`, async () => {
		const view = (await started(pageWith(files), { answer: () => ({ state, reason }) })).view();
		assert.equal(view.dataset.signpostState, state);
		assert.equal(view.textContent, label);
		assert.equal(view.title, messages[`why_${reason}`].message);
		assert.equal(view.hasAttribute("href"), false);
		assert.equal(view.dataset.signpostHref, undefined);
		assert.equal(view.getAttribute("tabindex"), "0");
		assert.equal(view.getAttribute("aria-disabled"), disabled ? "true" : null);
	});
}

test("hostile text stays text", async () => {
	const view = (await started(pageWith(files), { answer: () => ({ state: "missing", reason: '"><img src=x>' }) })).view();
	assert.equal(view.children.length, 0);
});

test("without a known place the button goes to the edge after half a second, and gives way", async () => {
	const page = await started(pageWith("<p>settings</p>"));
	assert.equal(page.views().length, 0);
	await page.pass(500);
	assert.equal(page.view().dataset.signpostPlace, "edge");
	assert.equal(page.view().parentNode, page.document.body);
	assert.equal(page.view().dataset.signpostState, "link");
	assert.equal(page.view().dataset.signpostHref, to(file).url);
	await page.redraw((document) => document.body.append(Object.assign(document.createElement("div"), { className: "pull-request-actions" })));
	assert.equal(page.views().length, 1);
	assert.equal(page.view().parentNode.className, "pull-request-actions");
	await page.redraw((document) => document.querySelector(".pull-request-actions").remove());
	assert.equal(page.view().dataset.signpostPlace, "edge");
});

test("what draws itself anew gets its button back, once", async () => {
	const page = await started(pageWith(files));
	for (let i = 0; i < 3; i++) {
		await page.redraw((document) => {
			const group = document.querySelector(".aui-buttons");
			const copy = group.cloneNode(true);
			group.replaceWith(copy);
			if (i === 0) copy.querySelector("[data-signpost]").remove(); // later ones keep a dead copy
		});
		assert.equal(page.views().length, 1);
		assert.equal(page.view().getAttribute("href"), to(file).url);
	}
	assert.equal(page.asked.length, 1);
});

test("a new address takes the old link away at once and asks once for a burst", async () => {
	const page = await started(pageWith(files));
	for (const name of ["b.go", "c.go", "d.go#10-15"]) {
		await page.navigate(file.replace("a.go", name));
		assert.equal(page.view().hasAttribute("href"), false);
		assert.equal(page.view().dataset.signpostState, "looking");
	}
	await page.pass(50);
	assert.deepEqual(page.asked.map(({ address }) => address), [file, file.replace("a.go", "d.go#10-15")]);
	assert.equal(page.view().getAttribute("href"), to(file.replace("a.go", "d.go#10-15")).url);
});

test("an answer for another address than the present one is dropped", async () => {
	const open = new Map();
	const page = await started(pageWith(files), { answer: (address) => new Promise((resolve) => open.set(address, () => resolve(to(address)))) });
	const next = file + "#7";
	await page.navigate(next);
	await page.pass(50);
	open.get(file)();
	await page.settle();
	assert.equal(page.view().dataset.signpostState, "looking");
	open.get(next)();
	await page.settle();
	assert.equal(page.view().getAttribute("href"), to(next).url);
});

test("a server that was not reachable is asked again when its pause ends", async () => {
	let answer = { state: "unreachable", reason: "network", retryAt: 5000 };
	const page = await started(pageWith(files), { answer: () => answer });
	assert.equal(page.view().dataset.signpostState, "unreachable");
	answer = to(file);
	await page.pass(3000);
	assert.equal(page.asked.length, 1);
	await page.pass(1000);
	assert.equal(page.view().dataset.signpostState, "link");
});

test("an extension that has gone leaves the page as it was", async () => {
	let alive = true;
	const page = await started(pageWith(files), { alive: () => alive });
	alive = false;
	await page.navigate(file + "#1");
	await page.pass(1000);
	assert.equal(page.views().length, 0);
	assert.equal(page.asked.length, 1);
});

test("an address that is not the server's leaves the page as it was", async () => {
	const page = await started(pageWith(files), { answer: () => ({ state: "foreign", reason: "foreign" }) });
	await page.pass(1000);
	assert.equal(page.views().length, 0);
});

test("a worker that does not answer is told", async () => {
	const page = await started(pageWith(files), { answer: () => Promise.reject(new Error("gone")) });
	assert.equal(page.view().title, messages.why_extension.message);
	await page.pass(9_999);
	assert.equal(page.asked.length, 1);
	await page.pass(1);
	assert.equal(page.asked.length, 2, "it was stopped, perhaps, and starts again");
});

test("what an old copy has left is replaced, and a userscript yields", async () => {
	const old = files.replace("</button></div>", '</button><a data-signpost="view" href="https://old.example">old</a></div>');
	const page = await started(pageWith(old));
	assert.equal(page.views().length, 1);
	assert.equal(page.view().getAttribute("href"), to(file).url);
	const other = await started(pageWith(old), { yields: true });
	assert.deepEqual(other.views().map((view) => view.textContent), ["old"]);
});

test("a page with two copies of the extension has one button, that of the one that came last", async () => {
	const page = await started(pageWith(files));
	await page.redraw((document) => {
		document.querySelector(".aui-buttons").insertAdjacentHTML("beforeend", '<a data-signpost="view" data-signpost-copy="0.5" href="https://other.example">other</a>');
		page.view().remove();
	});
	assert.deepEqual(page.views().map((view) => view.textContent), ["other"]);
	await page.redraw((document) => document.body.append("x"));
	assert.deepEqual(page.views().map((view) => view.textContent), ["other"], "and leaves it alone");
});

test("what a page copies of the button goes", async () => {
	const page = await started(pageWith(files));
	await page.redraw((document) => document.body.append(page.view().cloneNode(true)));
	assert.equal(page.views().length, 1);
	assert.equal(page.view().parentNode.className, "aui-buttons");
});

test("a page that comes into view after a minute has its link anew, and keeps it while the server is away", async () => {
	let answer = to;
	const page = await started(pageWith(files), { answer: (address) => answer(address) });
	const comesIntoView = async () => {
		page.document.dispatchEvent(new page.document.defaultView.Event("visibilitychange"));
		await page.settle();
	};
	page.now += 59_999;
	await comesIntoView();
	assert.equal(page.asked.length, 1);
	page.now += 1;
	answer = () => ({ state: "unreachable", reason: "network", retryAt: page.now + 2000 });
	await comesIntoView();
	assert.equal(page.asked.length, 2);
	assert.equal(page.view().getAttribute("href"), to(file).url);
	page.now += 60_000;
	answer = () => link("https://new.example/x");
	await comesIntoView();
	assert.equal(page.view().getAttribute("href"), "https://new.example/x");
	page.now += 60_000;
	answer = () => ({ state: "missing", reason: "repository_not_found" });
	await comesIntoView();
	assert.equal(page.view().getAttribute("href"), null, "a server that says that it is gone is believed");
});

test("a page that is not Bitbucket's gets nothing", async () => {
	const page = await started(pageWith(files, { top: "" }));
	await page.pass(1000);
	assert.equal(page.views().length, 0);
});

const pull = "https://b.example/projects/P/repos/r/pull-requests/1/diff";
const change = (name, more = "") => `<div class="change-view"><div class="change-header"><span class="breadcrumbs"><span>dir</span> / <span>${name}</span></span>${more}<div class="diff-actions"><button></button></div></div></div>`;
const blob = (address) => link("https://sg.example/compare", { kind: "compare", links: { blob: "https://sg.example/" + encodeURIComponent(address) } });

test("7.x: each file of a diff has its link, asked in one batch", async () => {
	const page = await started(pageWith(change("a.go") + change("b c.go"), { href: pull + "#dir/a.go" }), { answer: blob });
	assert.deepEqual(page.batches, [[pull + "#dir/a.go", pull + "#dir/b%20c.go"]]);
	assert.deepEqual(page.links().map((a) => a.getAttribute("href")), page.batches[0].map((address) => blob(address).links.blob));
	assert.ok(page.links().every((a) => a.parentNode.className === "diff-actions" && a.parentNode.firstElementChild === a));
	await page.redraw((document) => {
		document.querySelector(".change-view").remove();
		document.querySelector(".diff-actions [data-signpost]").remove();
		document.body.append(document.createRange().createContextualFragment?.(change("c.go")) ?? "");
	});
	assert.equal(page.links().length, 2);
	assert.deepEqual(page.batches[1], [pull + "#dir/c.go"]);
});

test("5.x: the file of the moment has its link, by Bitbucket's own link to its source", async () => {
	const toolbar = '<div id="commit-file-content"><div class="file-toolbar"><div class="secondary"><a class="source-view-link" href="/projects/P/repos/r/browse/dir/a.go?at=1f8">s</a></div></div></div>';
	const page = await started(pageWith(toolbar, { href: pull + "#dir/a.go" }));
	const source = "https://b.example/projects/P/repos/r/browse/dir/a.go?at=1f8";
	assert.deepEqual(page.batches, [[source]]);
	assert.deepEqual(page.links().map((a) => a.getAttribute("href")), [to(source).url]);
	await page.navigate(pull + "#dir/b.go");
	await page.redraw((document) => document.querySelector(".source-view-link").setAttribute("href", "/projects/P/repos/r/browse/dir/b.go?at=1f8"));
	await page.pass(50);
	assert.deepEqual(page.links().map((a) => a.getAttribute("href")), [to(source.replace("a.go", "b.go")).url]);
});

test("a file's source on another host is not asked about", () => {
	const { signpost, document } = pageWith('<div class="change-view"><div class="change-header"><a href="https://evil.example/browse/x">x</a><div class="diff-actions"></div></div></div>', { href: pull });
	assert.deepEqual([...signpost.findFiles(document, pull)], []);
});

test("addresses and names that are none do no harm", () => {
	const { signpost, document } = pageWith('<div class="change-view"><div class="change-header"><a href="http://[/browse/x">x</a><span class="breadcrumbs">a\ud800 b</span><div class="diff-actions"></div></div></div>', { href: pull });
	document.querySelector(".breadcrumbs").textContent = "a\ud800 b";
	assert.deepEqual([...signpost.findFiles(document, pull)].map(({ address }) => address), [pull + "#a%EF%BF%BD%20b"]);
	document.querySelector(".breadcrumbs").textContent = "old.go → new.go";
	assert.deepEqual([...signpost.findFiles(document, pull)], []);
});

test("a file that is not on Sourcegraph has no link", async () => {
	const page = await started(pageWith(change("a.go"), { href: pull }), { answer: () => ({ state: "missing", reason: "repository_not_found" }) });
	assert.equal(page.links().length, 0);
});

test("in-page navigation is seen where the browser has no Navigation API", () => {
	const { signpost } = pageWith("");
	const listeners = new Map();
	let tick = () => undefined;
	let seen = 0;
	const window = {
		location: { href: file },
		addEventListener: (name, callback) => listeners.set(name, callback),
		setInterval: (callback) => ((tick = callback), 1),
		clearInterval: () => (tick = () => undefined),
	};
	const controller = new AbortController();
	signpost.watchAddress(window, () => seen++, controller.signal);
	tick();
	window.location.href = file + "?pushed";
	tick();
	window.location.href = file + "#7";
	listeners.get("hashchange")();
	listeners.get("popstate")();
	assert.equal(seen, 2);
	controller.abort();
	window.location.href = file;
	tick();
	assert.equal(seen, 2);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Cache } from "../extension/worker/cache.js";
import { mayAsk, readMessage } from "../extension/worker/messages.js";
import { Resolver } from "../extension/worker/resolver.js";

const server = "https://signpost.example";
const primary = "https://sg.example";
const page = "https://b.example/ctx/projects/P/repos/r/browse/a.go#10-15";
const success = (url, lifetime = 60_000) => ({ status: 200, body: { url, kind: "blob", links: {}, exact: true }, lifetime, retryAfter: 0 });

/** @param {(path: string, wish: any) => any} answer */
function resolverWith(answer, settings = {}) {
	const seen = { asked: [], doubts: 0, primary, after: primary, now: 0 };
	const configuration = {
		failure: null,
		settings: async () => ({ serverURL: server, primaryURL: seen.primary, bitbucketURLs: ["https://b.example/ctx"], ...settings }),
		complete: async () => configuration.settings(),
		doubt: async () => (seen.doubts++, { primaryURL: seen.after }),
	};
	const ask = async (to, path, wish) => (seen.asked.push({ to, path, wish }), answer(path, wish));
	const resolver = new Resolver({ ask, configuration: /** @type {any} */ (configuration), cache: new Cache(10, () => seen.now) });
	return { resolver, seen, configuration };
}

test("an address becomes a checked link", async () => {
	const { resolver, seen } = resolverWith(() => success(primary + "/x"));
	const answer = await resolver.resolve(page.replace("https://", "https://ann:secret@"), false);
	assert.equal(answer.url, primary + "/x");
	assert.deepEqual(seen.asked, [{ to: server, path: "/api/v1/resolve?url=" + encodeURIComponent(page), wish: { page, again: false } }]);
});

test("answers are kept as long as they may be", async () => {
	const { resolver, seen } = resolverWith(() => success(primary + "/x", 30_000));
	await resolver.resolve(page, false);
	await resolver.resolve(page, true);
	assert.equal(seen.asked.length, 1);
	seen.now = 30_000;
	await resolver.resolve(page, false);
	assert.equal(seen.asked.length, 2);
});

test("a reason why there is none is kept too, a failure is not", async () => {
	let reply = { state: "missing", reason: "repository_not_found", lifetime: 10_000 };
	const { resolver, seen } = resolverWith(() => reply);
	await resolver.resolve(page, false);
	assert.equal((await resolver.resolve(page, false)).state, "missing");
	assert.equal(seen.asked.length, 1);
	reply = { state: "unreachable", reason: "network", lifetime: 10_000 };
	await resolver.resolve(page + "2", false);
	await resolver.resolve(page + "2", false);
	assert.equal(seen.asked.length, 3);
});

test("equal questions share one request", async () => {
	const { promise, resolve } = deferred();
	const { resolver, seen } = resolverWith(() => promise);
	const both = [resolver.resolve(page, false), resolver.resolve(page, false)];
	resolve(success(primary + "/x"));
	const [one, two] = await Promise.all(both);
	assert.equal(one, two);
	assert.equal(seen.asked.length, 1);
});

function deferred() {
	let resolve = () => undefined;
	const promise = new Promise((ok) => (resolve = ok));
	return { promise, resolve };
}

for (const address of ["https://evil.example/ctx/projects/P", "https://b.example/jira", "file:///x"]) {
	test(`${address} is not asked about`, async () => {
		const { resolver, seen } = resolverWith(() => success(primary));
		assert.equal((await resolver.resolve(address, true)).state, "foreign");
		assert.deepEqual(await resolver.resolveAll([address]), [{ state: "foreign", reason: "foreign" }]);
		assert.deepEqual(seen.asked, []);
	});
}

test("a link elsewhere is never a link", async () => {
	const { resolver, seen } = resolverWith(() => success("https://sourcegraph.com/x"));
	assert.deepEqual(await resolver.resolve(page, false), { state: "unreachable", reason: "untrusted" });
	assert.equal(seen.doubts, 1);
	assert.deepEqual((await resolver.resolve(page, false)).reason, "untrusted", "and is not kept");
});

test("a primary URL that has just changed is asked for once more", async () => {
	const { resolver, seen } = resolverWith(() => success("https://new.example/x"));
	seen.after = "https://new.example";
	assert.equal((await resolver.resolve(page, false)).url, "https://new.example/x");
	assert.equal(seen.doubts, 1);
});

test("a link below the primary URL of before is not used, and was not kept", async () => {
	const { promise, resolve } = deferred();
	let reply = promise;
	const { resolver, seen } = resolverWith(() => reply);
	const asked = resolver.resolve(page, false);
	seen.primary = seen.after = "https://new.example";
	resolve(success(primary + "/x"));
	assert.equal((await asked).reason, "untrusted", "it changed while the question was under way");
	reply = success("https://new.example/x");
	assert.equal((await resolver.resolve(page, false)).url, "https://new.example/x");
	assert.equal((await resolver.resolve(page, false)).url, "https://new.example/x");
	assert.equal(seen.asked.length, 2, "this one is kept");
	seen.primary = seen.after = "https://newest.example";
	reply = success("https://newest.example/x");
	assert.equal((await resolver.resolve(page, false)).url, "https://newest.example/x");
	assert.equal(seen.asked.length, 3);
});

test("an address that the server does not take is told, not asked", async () => {
	const { resolver, seen } = resolverWith(() => success(primary + "/x"));
	const long = page + "a".repeat(8200);
	assert.ok(readMessage({ type: "resolve", address: long }));
	assert.deepEqual(await resolver.resolve(long, false), { state: "missing", reason: "invalid_url" });
	assert.deepEqual(await resolver.resolveAll([long]), [{ state: "missing", reason: "invalid_url" }]);
	assert.deepEqual(seen.asked, []);
});

test("without a server nothing is asked", async () => {
	const { resolver, seen } = resolverWith(() => success(primary), { serverURL: null });
	assert.deepEqual(await resolver.resolve(page, false), { state: "unset", reason: "no_server" });
	assert.deepEqual(seen.asked, []);
});

test("why no Bitbucket is known is told", async () => {
	const { resolver, configuration } = resolverWith(() => success(primary), { bitbucketURLs: [] });
	configuration.failure = { state: "signin", reason: "signin" };
	assert.equal((await resolver.resolve(page, false)).state, "signin");
});

test("a batch keeps the order, asks once for equal ones, and takes 100 at a time", async () => {
	const { resolver, seen } = resolverWith((_, { body }) => ({
		status: 200, lifetime: 0, retryAfter: 0,
		body: { results: body.urls.map((url) => (url.includes("gone") ? { input: url, error: { status: 404, code: "repository_not_found" } } : url.includes("evil") ? { input: url, link: { url: "https://evil.example" } } : { input: url, link: { url: `${primary}/${url.at(-1)}`, kind: "blob" } })) },
	}));
	const base = "https://b.example/ctx/";
	const few = await resolver.resolveAll([base + "1", base + "gone", "https://x.example/", base + "evil", base + "1", base + "2"]);
	assert.deepEqual(few.map((answer) => answer.url ?? answer.reason), [primary + "/1", "repository_not_found", "foreign", "untrusted", primary + "/1", primary + "/2"]);
	assert.deepEqual(seen.asked[0].wish.body.urls, [base + "1", base + "gone", base + "evil", base + "2"]);
	await resolver.resolveAll(Array.from({ length: 150 }, (_, i) => base + "n" + i));
	assert.deepEqual(seen.asked.slice(1).map(({ wish }) => wish.body.urls.length), [100, 50]);
});

for (const [name, body] of [["no results", {}], ["too few", { results: [] }], ["results that are none", { results: [7] }]]) {
	test(`a batch with ${name} fails for each`, async () => {
		const { resolver } = resolverWith(() => ({ status: 200, body, lifetime: 0, retryAfter: 0 }));
		assert.deepEqual((await resolver.resolveAll([page])).map(({ state }) => state), ["unreachable"]);
	});
}

const own = { id: "abc", root: "chrome-extension://abc/" };
const content = { id: "abc", origin: "https://b.example", url: "https://b.example/ctx/login" };
const popup = { id: "abc", origin: "chrome-extension://abc", url: "chrome-extension://abc/popup/popup.html" };

for (const [name, raw, sender, allowed] of [
	["a page about itself", { type: "resolve", address: page }, content, true],
	["a page about its files", { type: "resolveAll", addresses: [page, page] }, content, true],
	["a page about another origin", { type: "resolve", address: "https://c.example/" }, content, false],
	["a page about one of another origin", { type: "resolveAll", addresses: [page, "https://c.example/"] }, content, false],
	["a page about another port", { type: "resolve", address: "https://b.example:444/" }, content, false],
	["a frame without an origin", { type: "resolve", address: page }, { ...content, origin: "null" }, false],
	["a page that wants the settings", { type: "status" }, content, false],
	["a page that tests a server", { type: "test", serverURL: "https://b.example" }, content, false],
	["a page that sets the server", { type: "save", serverURL: "https://b.example" }, content, false],
	["another extension", { type: "resolve", address: page }, { ...content, id: "other" }, false],
	["another extension's page", { type: "status" }, { ...popup, id: "other" }, false],
	["the popup about any address", { type: "resolve", address: "https://c.example/" }, popup, true],
	["the options page", { type: "save", serverURL: "https://s.example" }, popup, true],
]) {
	test(`${allowed ? "heard" : "not heard"}: ${name}`, () => {
		const message = readMessage(raw);
		assert.ok(message);
		assert.equal(mayAsk(message, sender, own), allowed);
	});
}

for (const raw of [
	null, "resolve", 7, {}, [], { type: "fetch", url: "https://x.example" }, { type: "resolve" }, { type: "resolve", address: 7 },
	{ type: "resolve", address: "javascript:1" }, { type: "resolveAll" }, { type: "resolveAll", addresses: [page, 7] },
	{ type: "resolveAll", addresses: Array(501).fill(page) }, { type: "test" }, { type: "save", serverURL: { toString: () => page } },
]) {
	test(`no message: ${JSON.stringify(raw)?.slice(0, 60)}`, () => assert.equal(readMessage(raw), null));
}

test("a message keeps nothing that it does not name", () => {
	assert.deepEqual(readMessage({ type: "resolve", address: page, again: "yes", server: "x" }), { type: "resolve", address: page, again: false });
});

// Cache, pauses, requests and patience: what happens over time, with a clock of the test's.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createAsk } from "../extension/worker/ask.js";
import { Cache, lifetime } from "../extension/worker/cache.js";
import { askedPause, Pauses } from "../extension/worker/pauses.js";
import { createRequest } from "../extension/worker/server.js";

for (const [header, age, want] of [
	["private, max-age=60", null, 60_000],
	["max-age=60", "15", 45_000],
	["max-age=60", "90", 0],
	["MAX-AGE=\"5\"", null, 5_000],
	["no-store", null, 0],
	["max-age=60, no-store", null, 0],
	["no-cache, max-age=60", null, 0],
	["max-age=-1", null, 0],
	["max-age=soon", null, 0],
	["", null, 0],
	[null, null, 0],
]) {
	test(`Cache-Control ${header} at the age of ${age}`, () => assert.equal(lifetime(header, age), want));
}

test("a cache forgets in time and is bounded", () => {
	let now = 0;
	const cache = new Cache(2, () => now);
	cache.put("a", 1, 1000);
	cache.put("never", 1, 0);
	assert.equal(cache.get("a"), 1);
	assert.equal(cache.get("never"), undefined);
	now = 1000;
	assert.equal(cache.get("a"), undefined);
	for (const key of ["x", "y", "z"]) cache.put(key, key, 1000);
	assert.deepEqual(["x", "y", "z"].map((key) => cache.get(key)), [undefined, "y", "z"]);
	cache.clear();
	assert.equal(cache.get("z"), undefined);
});

const noon = Date.parse("2026-01-01T12:00:00Z");
for (const [header, want] of [
	["5", 5_000],
	["0", 0],
	["Thu, 01 Jan 2026 12:00:30 GMT", 30_000],
	["Thu, 01 Jan 2026 11:00:00 GMT", 0],
	["999999999", 3_600_000],
	["-5", 0],
	["soon", 0],
	[null, 0],
]) {
	test(`Retry-After ${header}`, () => assert.equal(askedPause(header, noon), want));
}

/** @type {OtherAnswer} */
const down = { state: "unreachable", reason: "network" };

test("pauses grow, end, and are forgotten after a success", () => {
	let now = 0;
	const pauses = new Pauses(() => now, () => 0.5);
	const ends = [];
	for (let i = 0; i < 12; i++) {
		now = pauses.failed("s", down).retryAt;
		ends.push(now);
	}
	const lengths = ends.map((end, i) => end - (ends[i - 1] ?? 0));
	assert.deepEqual(lengths.slice(0, 4), [2_000, 4_000, 8_000, 16_000]);
	assert.equal(lengths.at(-1), 60_000);
	assert.equal(pauses.paused("s", false), null);
	pauses.failed("s", down);
	assert.deepEqual(pauses.paused("s", false), { ...down, retryAt: now + 60_000 });
	assert.equal(pauses.paused("other", false), null);
	assert.equal(pauses.paused("s", true), null, "a person may ask");
	assert.equal(pauses.succeeded("s"), true);
	assert.equal(pauses.failed("s", down).retryAt, now + 2_000);
});

test("nobody cuts a pause short that the server asked for", () => {
	let now = 0;
	const pauses = new Pauses(() => now, () => 0.5);
	pauses.failed("s", down, 60_000);
	assert.equal(pauses.paused("s", true)?.retryAt, 60_000);
	now = 60_000;
	assert.equal(pauses.paused("s", true), null);
});

test("pauses outlive the worker", () => {
	const before = new Pauses(() => 0, () => 0.5);
	before.failed("s", down);
	const after = new Pauses(() => 1_000, () => 0.5);
	after.restore(JSON.parse(JSON.stringify(before.kept())));
	assert.equal(after.paused("s", false)?.retryAt, 2_000);
	after.restore(undefined);
});

/**
 * A request function over a fetch of the test's.
 *
 * @param {(address: string, init: any) => any} fetch
 */
function requestWith(fetch, { online = true, permitted = true } = {}) {
	const sent = [];
	const request = createRequest({
		fetch: /** @type {any} */ (async (address, init) => (sent.push({ address, init }), fetch(address, init))),
		online: () => online,
		permitted: async () => permitted,
		now: () => noon,
	});
	return { request, sent };
}

const json = (status, body, headers = {}) => new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });

test("requests take nothing of the user along", async () => {
	const { request, sent } = requestWith(() => json(200, {}, { "Cache-Control": "max-age=7", "Retry-After": "3" }));
	assert.deepEqual(await request("https://s.example/sp", "/api/v1/resolve", { urls: [] }), { status: 200, body: {}, lifetime: 7_000, retryAfter: 3_000 });
	await request("https://s.example/sp", "/x");
	for (const { init } of sent) {
		assert.equal(init.credentials, "omit");
		assert.equal(init.redirect, "error");
		assert.equal(init.referrerPolicy, "no-referrer");
		assert.equal(init.cache, "no-store");
		assert.ok(init.signal instanceof AbortSignal);
	}
	assert.deepEqual(sent.map(({ address, init }) => [address, init.method, init.body]), [
		["https://s.example/sp/api/v1/resolve", "POST", '{"urls":[]}'],
		["https://s.example/sp/x", undefined, undefined],
	]);
});

const failing = (error) => () => Promise.reject(error);
const broken = new TypeError("Failed to fetch");
for (const [name, fetch, surroundings, want] of [
	["a broken connection", failing(broken), {}, { state: "unreachable", reason: "network" }],
	["offline", failing(broken), { online: false }, { state: "unreachable", reason: "offline" }],
	["not permitted", failing(broken), { permitted: false }, { state: "unreachable", reason: "permission" }],
	["too slow", failing(new DOMException("slow", "TimeoutError")), {}, { state: "unreachable", reason: "timeout" }],
	["a redirect to a sign-in", (_, { redirect }) => (redirect === "manual" ? { type: "opaqueredirect" } : Promise.reject(broken)), {}, { state: "signin", reason: "signin" }],
]) {
	test(`a request tells ${name}`, async () => {
		const { request } = requestWith(fetch, surroundings);
		assert.deepEqual(await request("https://s.example", "/x"), want);
	});
}

test("a page in HTML has no body for us", async () => {
	const { request } = requestWith(() => new Response("<p>sign in", { headers: { "Content-Type": "text/html" } }));
	assert.deepEqual(await request("https://s.example", "/x"), { status: 200, body: null, lifetime: 0, retryAfter: 0 });
});

test("JSON that is none has no body, and its status counts", async () => {
	for (const [status, body] of [[200, "<"], [401, ""], [502, "<p>down"]]) {
		const { request } = requestWith(() => new Response(body, { status, headers: { "Content-Type": "application/problem+json" } }));
		assert.deepEqual(await request("https://s.example", "/x"), { status, body: null, lifetime: 0, retryAfter: 0 });
	}
});

/** @param {any[]} replies in their order */
function askWith(...replies) {
	const clock = { now: 0 };
	let asked = 0;
	let saved = 0;
	const pauses = new Pauses(() => clock.now, () => 0.5);
	const ask = createAsk(async () => (asked++, replies.shift()), pauses, () => saved++);
	return { ask, clock, counts: () => ({ asked, saved }) };
}

const reply = (status, body, retryAfter = 0) => ({ status, body, lifetime: 0, retryAfter });

test("a server that fails is left alone, and asked by people", async () => {
	const { ask, clock, counts } = askWith(down, down, reply(200, {}), reply(200, { a: 1 }));
	assert.deepEqual(await ask("s", "/x"), { ...down, retryAt: 2_000 });
	assert.deepEqual(await ask("s", "/y"), { ...down, retryAt: 2_000 });
	assert.equal(counts().asked, 1);
	assert.deepEqual(await ask("s", "/x", { again: true }), { ...down, retryAt: 4_000 });
	clock.now = 4_000;
	assert.deepEqual(await ask("s", "/x"), reply(200, {}));
	assert.deepEqual(await ask("s", "/x"), reply(200, { a: 1 }));
	assert.deepEqual(counts(), { asked: 4, saved: 3 });
});

test("429 obeys Retry-After, for people too", async () => {
	const { ask, clock, counts } = askWith(reply(429, null, 30_000), reply(200, {}));
	assert.equal((await ask("s", "/x")).retryAt, 30_000);
	clock.now = 29_999;
	assert.equal((await ask("s", "/x", { again: true })).state, "unreachable");
	assert.equal(counts().asked, 1);
	clock.now = 30_000;
	assert.deepEqual(await ask("s", "/x"), reply(200, {}));
});

test("a Bitbucket that is down pauses the page, not the server", async () => {
	const { ask, counts } = askWith(reply(502, { code: "bitbucket_unavailable" }), reply(200, {}));
	await ask("s", "/x", { page: "a" });
	assert.equal((await ask("s", "/x", { page: "a" })).reason, "bitbucket_unavailable");
	assert.deepEqual(await ask("s", "/x", { page: "b" }), reply(200, {}));
	assert.equal(counts().asked, 2);
});

test("a Bitbucket that limits us pauses the page, for people too, and not the server", async () => {
	const { ask, clock, counts } = askWith(reply(429, { code: "rate_limited" }, 30_000), reply(200, {}), reply(200, {}));
	assert.equal((await ask("s", "/x", { page: "a" })).reason, "rate_limited");
	assert.equal((await ask("s", "/x", { page: "a", again: true })).retryAt, 30_000);
	assert.deepEqual(await ask("s", "/x", { page: "b" }), reply(200, {}));
	clock.now = 30_000;
	assert.deepEqual(await ask("s", "/x", { page: "a" }), reply(200, {}));
	assert.equal(counts().asked, 3);
});

test("what is not on Sourcegraph is no failure", async () => {
	const { ask, counts } = askWith(reply(404, { code: "repository_not_found" }), reply(503, { code: "primary_url_not_set" }), reply(200, {}));
	assert.deepEqual(await ask("s", "/x"), { state: "missing", reason: "repository_not_found", lifetime: 0 });
	assert.deepEqual(await ask("s", "/x"), { state: "unset", reason: "primary_url_not_set", lifetime: 0 });
	assert.deepEqual(await ask("s", "/x"), reply(200, {}));
	assert.equal(counts().saved, 0);
});

test("a page in HTML is not Signpost's", async () => {
	const { ask } = askWith(reply(200, null));
	assert.equal((await ask("s", "/x")).reason, "not_signpost");
});

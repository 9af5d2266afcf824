import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseServer, Configuration, readManaged } from "../extension/worker/configuration.js";

const builtin = { serverURL: "https://builtin.example", bitbucketURLs: ["https://b.example"] };

for (const [name, managed, built, typed, serverURL, source] of [
	["managed beats built-in and typed", "https://managed.example/", builtin, "https://typed.example", "https://managed.example", "managed"],
	["built-in beats typed", undefined, builtin, "https://typed.example", "https://builtin.example", "builtin"],
	["typed is the last", undefined, null, "https://typed.example", "https://typed.example", "typed"],
	["nothing is configured", undefined, null, undefined, null, null],
	["a managed number counts as none", 7, builtin, undefined, "https://builtin.example", "builtin"],
	["a managed list counts as none", ["https://managed.example"], null, "https://typed.example", "https://typed.example", "typed"],
	["Google's wrapped value counts as none", { Value: "https://managed.example" }, builtin, undefined, "https://builtin.example", "builtin"],
	["an empty managed address counts as none", "", builtin, undefined, "https://builtin.example", "builtin"],
	["a managed address with user info counts as none", "https://u:p@managed.example", builtin, undefined, "https://builtin.example", "builtin"],
	["a typed object counts as none", undefined, null, {}, null, null],
]) {
	test(name, () => assert.deepEqual(chooseServer(managed, built, typed), { serverURL, source }));
}

test("managed storage is read where there is none", async () => {
	assert.equal(await readManaged({ get: async () => ({ serverURL: "https://m.example", other: 1 }) }), "https://m.example");
	assert.equal(await readManaged({ get: async () => ({}) }), undefined);
	assert.equal(await readManaged({ get: () => Promise.reject(new Error("Managed storage manifest not found")) }), undefined);
	assert.equal(await readManaged(undefined), undefined);
});

const body = { version: "1.0.7", primaryURL: "https://sg.example", bitbucketURLs: ["https://b2.example/ctx"] };
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A configuration with storage, a server and a clock of the test's. */
function configurationWith({ built = null, stored = {}, managed = async () => ({}), answer = async () => ({ status: 200, body, lifetime: 60_000, retryAfter: 0 }) } = {}) {
	const seen = { asked: [], changes: 0, stored, now: 0, answer };
	const configuration = new Configuration({
		builtin: built,
		local: {
			get: async () => structuredClone(stored),
			set: async (values) => void Object.assign(stored, structuredClone(values)),
			remove: async (key) => void delete stored[key],
		},
		managed: { get: managed },
		ask: async (serverURL, path) => (seen.asked.push(serverURL + path), seen.answer()),
		changed: () => seen.changes++,
		now: () => seen.now,
	});
	return { configuration, seen };
}

test("the server names the primary URL and its Bitbuckets", async () => {
	const { configuration, seen } = configurationWith({ built: builtin });
	assert.deepEqual(await configuration.complete(), {
		serverURL: "https://builtin.example", source: "builtin", primaryURL: "https://sg.example",
		bitbucketURLs: ["https://b.example", "https://b2.example/ctx"], version: "1.0.7",
	});
	await configuration.complete();
	assert.deepEqual(seen.asked, ["https://builtin.example/api/v1/extension/config"]);
	assert.equal(seen.changes, 1);
});

test("what is no longer fresh is used, and asked for in the background", async () => {
	const { configuration, seen } = configurationWith({ built: builtin });
	await configuration.complete();
	seen.now = 60_000;
	seen.answer = async () => ({ status: 200, body: { ...body, primaryURL: "https://new.example" }, lifetime: 60_000, retryAfter: 0 });
	assert.equal((await configuration.complete()).primaryURL, "https://sg.example");
	await settled();
	assert.equal((await configuration.complete()).primaryURL, "https://new.example");
	assert.equal(seen.asked.length, 2);
});

test("the last good answer outlives the worker and a server that is down", async () => {
	const first = configurationWith({ built: builtin });
	await first.configuration.complete();
	const { configuration } = configurationWith({ built: builtin, stored: first.seen.stored, answer: async () => ({ state: "unreachable", reason: "network" }) });
	assert.equal((await configuration.complete()).primaryURL, "https://sg.example");
	await configuration.refresh();
	assert.equal((await configuration.complete()).primaryURL, "https://sg.example");
	assert.deepEqual(configuration.failure, { state: "unreachable", reason: "network" });
});

test("what another server named does not count", async () => {
	const stored = { server: { serverURL: "https://old.example", configuration: body, until: 1e15 } };
	const { configuration, seen } = configurationWith({ built: builtin, stored, answer: async () => ({ state: "unreachable", reason: "network" }) });
	const settings = await configuration.complete();
	assert.equal(settings.primaryURL, null);
	assert.deepEqual(settings.bitbucketURLs, ["https://b.example"]);
	assert.equal(seen.asked.length, 1);
});

test("a doubt asks again, but not all the time", async () => {
	const { configuration, seen } = configurationWith({ built: builtin });
	await configuration.complete();
	seen.now = 10_000;
	await Promise.all([configuration.doubt(), configuration.doubt()]);
	await configuration.doubt();
	assert.equal(seen.asked.length, 2);
});

test("a doubt waits for a question that is under way", async () => {
	const { configuration, seen } = configurationWith({ built: builtin });
	await configuration.complete();
	seen.now = 60_000;
	let answer = () => undefined;
	seen.answer = () => new Promise((resolve) => (answer = () => resolve({ status: 200, body: { ...body, primaryURL: "https://new.example" }, lifetime: 60_000, retryAfter: 0 })));
	assert.equal((await configuration.complete()).primaryURL, "https://sg.example", "it asks in the background");
	const doubt = configuration.doubt();
	await settled();
	answer();
	assert.equal((await doubt).primaryURL, "https://new.example");
	assert.equal(seen.asked.length, 2);
});

for (const [name, server, primaryURL, asked] of [
	["another instance than anybody's own", { configuration: { ...body, primaryURL: "https://sourcegraph.com" } }, null, 0],
	["an address that is none", { configuration: { ...body, primaryURL: "javascript:alert(1)" } }, null, 0],
	["a time that never comes", { until: 1e15 }, "https://sg.example", 0],
	["no time", { until: null }, "https://sg.example", 1],
]) {
	test(`what is stored is read with distrust: ${name}`, async () => {
		const stored = { server: { serverURL: builtin.serverURL, configuration: body, until: 60_000, ...server } };
		const { configuration, seen } = configurationWith({ built: builtin, stored });
		assert.equal((await configuration.complete()).primaryURL, primaryURL);
		assert.equal(seen.asked.length, asked);
		seen.now = 60 * 60_000;
		await configuration.complete();
		assert.equal(seen.asked.length, 1, "after an hour at the latest it is asked for");
	});
}

test("a typed address is kept, and asked", async () => {
	const { configuration, seen } = configurationWith();
	assert.equal((await configuration.complete()).serverURL, null);
	assert.deepEqual(seen.asked, []);
	await configuration.save("https://typed.example");
	assert.equal(seen.stored.typed, "https://typed.example");
	assert.equal((await configuration.settings()).source, "typed");
	assert.deepEqual(seen.asked, ["https://typed.example/api/v1/extension/config"]);
});

test("users cannot overwrite what is built in or managed", async () => {
	for (const options of [{ built: builtin }, { stored: { managed: "https://managed.example" } }]) {
		const { configuration, seen } = configurationWith(options);
		await configuration.save("https://typed.example");
		assert.equal(seen.stored.typed, undefined);
	}
});

test("a managed address that comes late wins and is remembered", async () => {
	const { configuration, seen } = configurationWith({ built: builtin });
	await configuration.complete();
	await configuration.manage("https://managed.example");
	assert.equal((await configuration.settings()).source, "managed");
	assert.equal(seen.stored.managed, "https://managed.example");
	const changes = seen.changes;
	await configuration.manage("https://managed.example");
	assert.equal(seen.changes, changes);
	await configuration.manage(undefined);
	assert.equal((await configuration.settings()).source, "builtin");
	assert.ok(!("managed" in seen.stored));
});

test("a remembered managed address goes only when the browser has said so twice", async (t) => {
	t.mock.timers.enable({ apis: ["setTimeout"] });
	const { configuration } = configurationWith({ built: builtin, stored: { managed: "https://managed.example" } });
	await configuration.settings();
	await settled();
	assert.equal((await configuration.settings()).source, "managed");
	t.mock.timers.tick(5_000);
	await settled();
	assert.equal((await configuration.settings()).source, "builtin");
});

test("Firefox's rejecting managed storage leaves the built-in address", async () => {
	const { configuration } = configurationWith({ built: builtin, managed: () => Promise.reject(new Error("not found")) });
	assert.equal((await configuration.complete()).source, "builtin");
});

test("a test of an address changes nothing", async () => {
	const { configuration, seen } = configurationWith({ built: builtin });
	await configuration.complete();
	const before = structuredClone(seen.stored);
	assert.equal((await configuration.test("https://other.example")).configuration.primaryURL, "https://sg.example");
	seen.answer = async () => ({ status: 200, body: {}, lifetime: 0, retryAfter: 0 });
	assert.deepEqual(await configuration.test("https://other.example"), { failure: { state: "unreachable", reason: "not_signpost" } });
	assert.deepEqual(seen.stored, before);
});

test("an answer of a server that is no longer the one does not count", async () => {
	const open = [];
	const { configuration, seen } = configurationWith({ built: builtin, answer: () => new Promise((resolve) => open.push(resolve)) });
	const first = configuration.complete();
	await settled();
	const managing = configuration.manage("https://managed.example");
	await settled();
	open.shift()({ state: "unreachable", reason: "network" });
	await settled();
	open.shift()({ status: 200, body, lifetime: 60_000, retryAfter: 0 });
	await Promise.all([first, managing]);
	assert.equal((await configuration.settings()).primaryURL, "https://sg.example");
	assert.equal(configuration.failure, null);
	assert.deepEqual(seen.asked, ["https://builtin.example/api/v1/extension/config", "https://managed.example/api/v1/extension/config"]);
});

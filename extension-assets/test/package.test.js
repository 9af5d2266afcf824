// The package as a whole: what it must not hold, and what must hold together.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { contentScripts } from "../extension/content-scripts.js";
import { join } from "../userscript/join.js";

const root = new URL("../extension/", import.meta.url);
const names = readdirSync(root, { recursive: true }).map(String).filter((name) => statSync(new URL(name, root)).isFile());
const read = (name) => readFileSync(new URL(name, root), "utf8");
const code = names.filter((name) => /\.(js|html|css)$/.test(name));
const messages = JSON.parse(read("_locales/en/messages.json"));
const manifest = JSON.parse(read("manifest.json"));

test("the code holds nothing that the security section forbids", () => {
	assert.ok(code.length > 20);
	const forbidden = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|importScripts|XMLHttpRequest|<script(?! type="module" src="[a-z.]+")|\bon[a-z]+="|style="|web_accessible_resources|externally_connectable/;
	for (const name of code) assert.doesNotMatch(read(name), forbidden, name);
	assert.doesNotMatch(read("manifest.json"), forbidden);
});

test("no address of a host is in the code", () => {
	for (const name of code) {
		const hosts = [...read(name).matchAll(/https?:\/\/[\w.]+/g)].map(([address]) => address).filter((address) => !/\.example(\.com)?$/.test(address));
		assert.deepEqual(hosts, [], name);
	}
});

test("one file sends requests, and content scripts send none", () => {
	const senders = names.filter((name) => name.endsWith(".js") && /(?<!#)\bfetch\(/.test(read(name)));
	assert.deepEqual(senders.sort(), ["background.js", "worker/server.js"], "background.js hands the browser's fetch over");
});

test("the permissions are these and no others", () => {
	assert.deepEqual(manifest.permissions, ["contextMenus", "scripting", "storage"]);
	assert.deepEqual(manifest.optional_host_permissions, ["http://*/*", "https://*/*"]);
	for (const key of ["host_permissions", "content_scripts", "optional_permissions"]) assert.equal(manifest[key], undefined);
});

test("every content script is listed, in an order with the name first and the start last", () => {
	const found = names.filter((name) => name.startsWith("content/")).sort();
	assert.deepEqual([...contentScripts].sort(), found);
	assert.equal(contentScripts[0], "content/namespace.js");
	assert.equal(contentScripts.at(-1), "content/main.js");
});

test("every string has a use and every use a string", () => {
	const text = names.filter((name) => /\.(js|html)$/.test(name) || name === "manifest.json").map(read).join("\n");
	const named = (name) => text.includes(`"${name}"`) || text.includes(`__MSG_${name}__`);
	const reasons = [...text.matchAll(/(?:reason: |unreachable\()"(\w+)"/g), ...text.matchAll(/"(unknown_host|repository_not_found|pull_request_not_found|unsupported_page|invalid_url)"/g)].map(([, reason]) => `why_${reason}`);
	for (const reason of [...reasons, "why_primary_url_not_set", "why_bitbucket_unavailable", "why_server_error"]) assert.ok(messages[reason], reason);
	for (const name of Object.keys(messages)) {
		if (/^(why|kind|state)_/.test(name)) continue;
		assert.ok(named(name), `${name} is not used`);
	}
	for (const [, name] of text.matchAll(/data-text="(\w+)"/g)) assert.ok(messages[name], name);
	for (const [, name] of text.matchAll(/\b(?:text|getMessage|say)\("(\w+)"/g)) assert.ok(messages[name], name);
});

test("a module says at its top what it is for", () => {
	for (const name of names.filter((name) => name.endsWith(".js"))) assert.match(read(name), /^\/\/ [A-Z]/, name);
});

test("the plain build has nothing built in", () => assert.match(read("builtin.js"), /^export const builtin = null;$/m));

test("userscript/main.js is what join.js makes", () => {
	assert.equal(readFileSync(new URL("../userscript/main.js", import.meta.url), "utf8"), join(), "run npm run userscript");
});

test("the userscript knows the strings that the content scripts use", () => {
	const script = join();
	for (const path of contentScripts) {
		for (const [, name] of read(path).matchAll(/text\((?:file \? )?"(\w+)"(?: : "(\w+)")?/g)) assert.ok(script.includes(`"${name}": ${JSON.stringify(messages[name].message)}`), name);
	}
	assert.equal(script.match(/"__SIGNPOST_CONFIGURATION__"/g)?.length, 1);
	assert.equal(script.includes("__SIGNPOST_STRINGS__"), false);
	assert.doesNotMatch(script, /^(import|export) /m);
});

test("the bookmarklet has one place for its configuration", () => {
	const script = readFileSync(new URL("../userscript/bookmarklet.js", import.meta.url), "utf8");
	assert.equal(script.match(/"__SIGNPOST_CONFIGURATION__"/g)?.length, 1);
});

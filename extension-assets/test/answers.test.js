import assert from "node:assert/strict";
import { test } from "node:test";
import { checkLink, primaryAddress, readConfiguration, readLink, readProblem, searchLink } from "../extension/worker/answers.js";

const primary = "https://sourcegraph.example.com";

for (const [name, link, base, ok] of [
	["a link", primary + "/h/P/r@main/-/blob/a.go?L10-15", primary, true],
	["the instance itself", primary, primary, true],
	["with a slash", primary + "/", primary, true],
	["a search with an apostrophe", primary + "/search?q=it's", primary, true],
	["below a context path", "https://c.example:8443/sg/h/r", "https://c.example:8443/sg", true],
	["beside a context path", "https://c.example:8443/sgx/h/r", "https://c.example:8443/sg", false],
	["out of a context path", "https://c.example:8443/sg/../h/r", "https://c.example:8443/sg", false],
	["out of a context path, encoded", "https://c.example:8443/sg/%2e%2e/h/r", "https://c.example:8443/sg", false],
	["the public Sourcegraph", "https://sourcegraph.com/h/r", primary, false],
	["a host that begins like it", "https://sourcegraph.example.com.evil.example/", primary, false],
	["as user info", "https://sourcegraph.example.com@evil.example/", primary, false],
	["with user info", "https://u@sourcegraph.example.com/", primary, false],
	["another port", "https://sourcegraph.example.com:8443/", primary, false],
	["another scheme", "http://sourcegraph.example.com/", primary, false],
	["a script", "javascript:alert(1)//https://sourcegraph.example.com", primary, false],
	["a backslash", "https://sourcegraph.example.com\\@evil.example/", primary, false],
	["a line break", "https://sourcegraph.example.com/\n", primary, false],
	["a space", primary + "/a b", primary, false],
	["not encoded", primary + "/ä", primary, false],
	["no primary URL is known", primary + "/h/r", null, false],
	["without its slashes, which a page reads as below itself", "https:sourcegraph.example.com/h/r", primary, false],
	["with one slash", "https:/sourcegraph.example.com/h/r", primary, false],
	["a number", 7, primary, false],
	["nothing", undefined, primary, false],
]) {
	test(`link check: ${name}`, () => assert.equal(checkLink(link, base), ok ? link : null));
}

for (const [given, want] of [
	[primary, primary],
	[primary + "/", primary],
	["https://sourcegraph.company.example", "https://sourcegraph.company.example"],
	["https://mysourcegraph.com", "https://mysourcegraph.com"],
	["https://sourcegraph.com", null],
	["https://SourceGraph.com.", null],
	["http://sourcegraph.com:8080/x", null],
	["https://about.sourcegraph.com", null],
	["https://u@x.example", null],
	["", null],
	[undefined, null],
]) {
	test(`primary address of ${given}`, () => assert.equal(primaryAddress(given), want));
}

test("a search is on the primary instance and encoded", () => {
	assert.equal(searchLink(primary, "repo:^a/b$ #x?&y"), primary + "/search?q=repo%3A%5Ea%2Fb%24%20%23x%3F%26y");
	assert.equal(searchLink("https://c.example/sg", "\ud800"), "https://c.example/sg/search?q=%EF%BF%BD");
});

test("an answer keeps its checked links only", () => {
	const link = readLink({
		url: primary + "/h/P/r",
		kind: "blob",
		repository: { name: "h/P/r" },
		revision: "main",
		path: "a.go",
		lines: [{ start: 3, end: 3 }, { start: 10, end: 15 }, { start: "x" }, null],
		links: { blob: primary + "/h/P/r", commit: "https://evil.example/", permalink: "javascript:1", "<b>": primary },
		exact: false,
		notes: ["nearest", 7],
	}, primary);
	assert.deepEqual(link, {
		state: "link", url: primary + "/h/P/r", kind: "blob", links: { blob: primary + "/h/P/r" }, exact: false,
		notes: ["nearest"], repository: "h/P/r", revision: "main", path: "a.go", lines: "3, 10-15",
	});
});

for (const body of [null, 7, [], {}, { url: "https://evil.example/", kind: "blob" }, { url: primary.replace("https", "http") }]) {
	test(`no link is made of ${JSON.stringify(body)}`, () => assert.equal(readLink(body, primary), null));
}

for (const [status, code, state, reason] of [
	[404, "unknown_host", "missing", "unknown_host"],
	[404, "repository_not_found", "missing", "repository_not_found"],
	[404, "pull_request_not_found", "missing", "pull_request_not_found"],
	[404, "unsupported_page", "missing", "unsupported_page"],
	[400, "invalid_url", "missing", "invalid_url"],
	[503, "primary_url_not_set", "unset", "primary_url_not_set"],
	[401, undefined, "signin", "signin"],
	[403, "unauthorized", "signin", "signin"],
	[429, "rate_limited", "unreachable", "rate_limited"],
	[429, undefined, "unreachable", "rate_limited"],
	[502, "bitbucket_unavailable", "unreachable", "bitbucket_unavailable"],
	[504, "bitbucket_unavailable", "unreachable", "bitbucket_unavailable"],
	[504, "timeout", "unreachable", "server_error"],
	[500, "internal_error", "unreachable", "server_error"],
	[502, undefined, "unreachable", "server_error"],
	[404, undefined, "unreachable", "not_signpost"],
	[404, "not_found", "unreachable", "not_signpost"],
	[404, 7, "unreachable", "not_signpost"],
]) {
	test(`status ${status} with ${code} means ${state}`, () => assert.deepEqual(readProblem(status, { code }), { state, reason }));
}

test("a configuration keeps what is well formed", () => {
	assert.deepEqual(readConfiguration({ version: "1.0.7", primaryURL: primary + "/", bitbucketURLs: ["https://b.example/", 7, "x", "https://b.example", "http://c.example:7990/ctx"] }), {
		primaryURL: primary, version: "1.0.7", bitbucketURLs: ["https://b.example", "http://c.example:7990/ctx"],
	});
	assert.deepEqual(readConfiguration({ bitbucketURLs: [] }), { primaryURL: null, version: null, bitbucketURLs: [] });
	for (const body of [null, "x", {}, { bitbucketURLs: "https://b.example" }]) assert.equal(readConfiguration(body), null);
});

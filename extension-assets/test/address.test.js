import assert from "node:assert/strict";
import { test } from "node:test";
import { baseAddress, hostPattern, liesBelow, pageAddress, pagePattern } from "../extension/worker/address.js";

const bitbuckets = ["https://bitbucket.example.com", "http://old.example.com:7990/bitbucket"];

for (const [name, given, want] of [
	["a page", "https://bitbucket.example.com/projects/PRJ/repos/app/browse/a.go?at=main", "https://bitbucket.example.com/projects/PRJ/repos/app/browse/a.go?at=main"],
	["the selected lines stay", "https://bitbucket.example.com/projects/P/repos/r/browse/a.go#12,15-18", "https://bitbucket.example.com/projects/P/repos/r/browse/a.go#12,15-18"],
	["a file in the fragment stays as it is", "https://bitbucket.example.com/projects/P/repos/r/commits/1f8#dir/a+b%20c.go?t=7", "https://bitbucket.example.com/projects/P/repos/r/commits/1f8#dir/a+b%20c.go?t=7"],
	["user info is cut", "https://ann:secret@bitbucket.example.com/users/ann/repos/r", "https://bitbucket.example.com/users/ann/repos/r"],
	["a user without a password too", "https://ann@bitbucket.example.com/x", "https://bitbucket.example.com/x"],
	["a context path and a port", "http://old.example.com:7990/bitbucket/projects/P", "http://old.example.com:7990/bitbucket/projects/P"],
	["the context path itself", "http://old.example.com:7990/bitbucket", "http://old.example.com:7990/bitbucket"],
	["the default port is none", "https://bitbucket.example.com:443/projects/P", "https://bitbucket.example.com/projects/P"],
	["the host in capitals", "https://BITBUCKET.example.com/projects/P", "https://bitbucket.example.com/projects/P"],
	["another context path", "http://old.example.com:7990/bitbucket2/projects/P", null],
	["out of the context path by dots", "http://old.example.com:7990/bitbucket/../jira", null],
	["another port", "http://old.example.com:7991/bitbucket/projects/P", null],
	["no port", "http://old.example.com/bitbucket/projects/P", null],
	["another scheme", "http://bitbucket.example.com/projects/P", null],
	["another host", "https://bitbucket.example.com.evil.example/projects/P", null],
	["the host as user info", "https://bitbucket.example.com@evil.example/projects/P", null],
	["a script", "javascript:alert(1)", null],
	["a file", "file:///etc/passwd", null],
	["no address", "projects/P", null],
	["nothing", undefined, null],
]) {
	test(`page address: ${name}`, () => assert.equal(pageAddress(given, bitbuckets), want));
}

for (const [given, want] of [
	["https://signpost.example.com", "https://signpost.example.com"],
	["  https://signpost.example.com/  ", "https://signpost.example.com"],
	["https://signpost.example.com:8443/a/b//", "https://signpost.example.com:8443/a/b"],
	["HTTP://Signpost:7080/", "http://signpost:7080"],
	["https://u@signpost.example.com", null],
	["https://u:p@signpost.example.com", null],
	["https://signpost.example.com?x", null],
	["https://signpost.example.com/?", null],
	["https://signpost.example.com/#", null],
	["https://signpost.example.com\\x", null],
	["ftp://signpost.example.com", null],
	["signpost.example.com", null],
	["", null],
	[7080, null],
	[null, null],
	[["https://signpost.example.com"], null],
	[{ Value: "https://signpost.example.com" }, null],
]) {
	test(`base address of ${JSON.stringify(given)}`, () => assert.equal(baseAddress(given), want));
}

test("nothing lies below what is no address", () => assert.equal(liesBelow(new URL("https://x.example"), ""), false));

test("patterns", () => {
	assert.equal(pagePattern("https://h.example:8443/ctx", true), "https://h.example:8443/ctx/*");
	assert.equal(pagePattern("https://h.example:8443/ctx", false), "https://h.example/ctx/*");
	assert.equal(hostPattern("https://h.example:8443/ctx", true), "https://h.example:8443/*");
	assert.equal(hostPattern("https://h.example:8443/ctx", false), "https://h.example/*");
	assert.equal(pagePattern("http://h.example", true), "http://h.example/*");
});

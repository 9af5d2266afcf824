// Makes userscript/main.js: the modules that source.js imports, source.js itself, and the
// strings of the locale that the content scripts use, in one classic script. Run by
// "npm run userscript"; the output is committed, and a test holds it fresh.

import { readFileSync, writeFileSync } from "node:fs";

const here = (path) => new URL(path, import.meta.url);
const read = (path) => readFileSync(here(path), "utf8");

/** A module as a part of the script: without its imports, and with nothing exported. */
const part = (path) => read(path).replace(/^import .*;\n\n?/gm, "").replace(/^export /gm, "").trim();

/** The strings that content scripts can name: whole names, and reasons. */
function strings() {
	const messages = Object.entries(JSON.parse(read("../extension/_locales/en/messages.json")));
	const scripts = ["look.js"].map((name) => read(`../extension/content/${name}`)).join();
	return Object.fromEntries(messages.filter(([name]) => /^(why|state)_/.test(name) || scripts.includes(`"${name}"`)).map(([name, { message }]) => [name, message]));
}

export function join() {
	const parts = ["../extension/worker/address.js", "../extension/worker/answers.js", "source.js"].map(part);
	const script = parts.join("\n\n").replace('"__SIGNPOST_STRINGS__"', () => JSON.stringify(strings(), null, "\t"));
	return `// Made by join.js of source.js and the modules of the extension. Change those.\n\n(() => {\n${script}\n})();\n`;
}

if (process.argv[1] === here("join.js").pathname) writeFileSync(here("main.js"), join());

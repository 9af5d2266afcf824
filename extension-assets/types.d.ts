// The words that the parts of the extension share. Only the type check reads this file; it
// is not packed.

/** What the worker works with; null where it is not known or not set. */
interface Settings {
	/** The address of Signpost, without a trailing slash. */
	serverURL: string | null;
	/** Who said so. */
	source: "managed" | "builtin" | "typed" | null;
	/** The Sourcegraph instance, as the server named it last. */
	primaryURL: string | null;
	/** The addresses of Bitbucket, with their context paths, without a trailing slash. */
	bitbucketURLs: string[];
	/** The version of the packages that the server hands out. */
	version: string | null;
}

/** The body of builtin.js, which packing writes. */
interface Builtin {
	serverURL: string;
	bitbucketURLs: string[];
}

/** What GET /api/v1/extension/config says, read and checked. */
interface ServerConfiguration {
	primaryURL: string | null;
	bitbucketURLs: string[];
	version: string | null;
}

/** A link, checked: every address in it begins with the primary URL. */
interface LinkAnswer {
	state: "link";
	url: string;
	kind: string;
	/** Every link of the page by kind, such as repository, blob, permalink. */
	links: Record<string, string>;
	exact: boolean;
	notes: string[];
	repository: string;
	revision: string;
	path: string;
	/** The lines as people write them, such as 10-15; empty for none. */
	lines: string;
}

/** Why there is no link. */
interface OtherAnswer {
	/**
	 * missing: not on Sourcegraph; unset: not set up yet; signin: the server wants a sign-in;
	 * unreachable: no answer that can be used; foreign: no page of a configured Bitbucket, so
	 * that nothing was asked.
	 */
	state: "missing" | "unset" | "signin" | "unreachable" | "foreign";
	/** Names the sentence that says why: the message why_REASON of the locale. */
	reason: string;
	/** Milliseconds since 1970: nothing is asked before, unless a person asks. */
	retryAt?: number;
}

type Answer = LinkAnswer | OtherAnswer;

/** What is shown: an answer, or that one is being waited for. */
type Shown = Answer | { state: "looking"; reason?: undefined };

/** What content scripts and pages of the extension may send to the worker. */
type Message =
	| { type: "resolve"; address: string; again: boolean }
	| { type: "resolveAll"; addresses: string[] }
	| { type: "status" }
	| { type: "test"; serverURL: string }
	| { type: "save"; serverURL: string };

/** The answer to "test". */
type TestResult = { configuration: ServerConfiguration } | { failure: OtherAnswer };

/** The answer to "status". */
interface Status {
	settings: Settings;
	/** Why the server's configuration could not be read, if it could not. */
	failure: OtherAnswer | null;
	/** Host patterns that the browser has not granted, the server's first. */
	withheld: string[];
}

/** How the content scripts reach Signpost: by the worker, or by a userscript. */
interface Transport {
	ask(address: string, again: boolean): Promise<Answer>;
	/** One answer for each address, in their order. */
	askAll(addresses: string[]): Promise<Answer[]>;
	/** A sentence of the locale. */
	text(name: string, ...values: string[]): string;
	/** False once the extension was updated or removed under this page. */
	alive(): boolean;
	/** Leave the page to another Signpost that is already in it. */
	yields: boolean;
}

/** Where the view button goes: into parent, before the given child (null: at the end). */
interface Place {
	parent: Element;
	before: Element | null;
}

/** The header of one file of a diff. */
interface FileHeader {
	toolbar: Element;
	/** The address that stands for the file. */
	address: string;
}

/** What the content scripts share, in the one name that they define. */
interface ContentScripts {
	/** Marks what this copy of the extension puts into a page. */
	mark(element: HTMLElement, what: "view" | "file"): void;
	/** Whether this copy has marked it, and no other. */
	owns(element: HTMLElement): boolean;
	isBitbucket(document: Document): boolean;
	findPlace(document: Document): Place | null;
	findFiles(document: Document, address: string): FileHeader[];
	fileLink(answer: Answer): string | null;
	createLink(document: Document, mark: "view" | "file", again: () => void): HTMLAnchorElement;
	showState(link: HTMLElement, shown: Shown, text: Transport["text"]): void;
	createEdge(document: Document, again: () => void): { host: HTMLElement; show(shown: Shown, text: Transport["text"]): void; fit(): void };
	/** Until the signal. */
	watchAddress(window: Window, changed: () => void, signal: AbortSignal): void;
	/** Until the signal. Returns what forgets the changes up to now: they were our own. */
	watchPage(document: Document, changed: () => void, signal: AbortSignal): () => void;
	createButton(document: Document, text: Transport["text"], again: () => void): { show(shown: Shown): void; arrange(patient: boolean): "placed" | "wait"; /** What stands in the page of others (a copy before an update, a second copy, the userscript), and what the page has copied of ours. */
	foreign(): HTMLElement[]; remove(): void };
	createFiles(document: Document, transport: Transport, arranged: () => void): { arrange(address: string): void; remove(): void };
	start(transport: Transport): void;
}

/** An answer of the server in JSON. Times are in milliseconds. */
interface Reply {
	status: number;
	body: unknown;
	/** How long it may be kept. */
	lifetime: number;
	/** The pause that the server asks for, 0 for none. */
	retryAfter: number;
}

/** A reason that the server gave, and how long it may be kept in milliseconds. */
type Refusal = OtherAnswer & { lifetime?: number };

/** What a request depends on; tests give their own. */
interface Surroundings {
	fetch: typeof globalThis.fetch;
	online(): boolean;
	/** Whether the browser lets us ask that server. */
	permitted(serverURL: string): Promise<boolean>;
	now(): number;
}

/** One request, without patience. */
type AskServer = (serverURL: string, path: string, body?: unknown) => Promise<Reply | OtherAnswer>;

interface Wish {
	/** Makes it a POST. */
	body?: unknown;
	/** The address that is asked about. */
	page?: string;
	/** A person asks, now. */
	again?: boolean;
}

/** One request with patience; a Reply is a success. */
type Ask = (serverURL: string, path: string, wish?: Wish) => Promise<Reply | Refusal>;

interface Pause {
	/** In a row. */
	failures: number;
	/** By the server, so that nobody may cut it short. */
	asked: boolean;
	/** The last one, with the end of the pause. */
	failure: OtherAnswer & { retryAt: number };
}

/** The server's configuration as it is kept. */
interface Known {
	serverURL: string;
	configuration: ServerConfiguration;
	/** Fresh until then, milliseconds since 1970. */
	until: number;
}

interface ConfigurationOptions {
	builtin: Builtin | null;
	local: { get(keys: string[]): Promise<Record<string, any>>; set(values: Record<string, unknown>): Promise<void>; remove(key: string): Promise<void> };
	managed: { get(): Promise<Record<string, unknown>> } | undefined;
	ask: Ask;
	/** Another server, or another answer of it. */
	changed(): void;
	now(): number;
}

interface ResolverOptions {
	ask: Ask;
	configuration: import("./extension/worker/configuration.js").Configuration;
	cache: import("./extension/worker/cache.js").Cache<Answer>;
}

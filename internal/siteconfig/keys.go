package siteconfig

import "example.com/signpost/internal/sourcegraph"

// field describes a key of the site configuration, or the values of a list. This table is
// the only place where the keys stand: schema.json is generated from it, and the checks for
// unknown keys, ignored keys and placeholders walk it.
type field struct {
	name     string // a name that ends in "*" stands for all keys with that beginning
	kind     string // the JSON type; "" takes any value
	doc      string // full sentences, shown as help in an editor
	fields   []field
	items    *field
	enum     []string
	min, max int64 // of an integer, where they differ
	minItems int
	fallback any // the default
	examples []any
	required bool
	fill     string // what to put in place of a placeholder in angle brackets
	address  bool   // a placeholder can also be a part of it: https://<host>
	ignored  string // the key is accepted and means nothing; why, and what to do
}

// The defaults of the site configuration, and the bounds of its numbers.
const (
	defaultRequestsPerHour = 28800 // 8 a second, as Sourcegraph since 3.14
	defaultListMinutes     = 1
	maxListMinutes         = 7 * 24 * 60
	defaultClones          = 5
	maxClones              = 100
	defaultGraceDays       = 7
	maxGraceDays           = 3650
	defaultFreePercent     = 10
	maxFreePercent         = 90
	defaultMemoryMiB       = 2048
	minMemoryMiB           = 256
	maxInt                 = 1<<31 - 1
)

// notHere is why a key of Sourcegraph's without any counterpart is ignored.
const notHere = "means nothing to Signpost and is ignored: it can be removed"

// site is the site configuration.
var site = field{
	kind: "object",
	doc:  "The site configuration of Signpost: which Bitbucket Servers it mirrors, and which Sourcegraph it links to.",
	fields: append([]field{
		{
			name: "externalURL", kind: "string", address: true, fill: "the address of this Signpost",
			doc:      "The address of this Signpost, as browsers and Bitbucket reach it.",
			examples: []any{"https://signpost.example.com"},
		},
		{
			name: "primaryURL", kind: "string", address: true, fill: "the address of your Sourcegraph",
			doc: "The address of your own Sourcegraph instance, to which every link goes. Until it is set, there are no links. " +
				"Sourcegraph.com is refused.",
			examples: []any{"https://sourcegraph.example.com"},
		},
		{
			name: "bitbucketServer", kind: "array", items: &connection,
			doc: "The connections to Bitbucket Server and Bitbucket Data Center. An entry of Sourcegraph's site configuration, or " +
				"a code host connection of a newer Sourcegraph, can be pasted here.",
		},
		{
			name: "corsOrigin", kind: "string",
			doc: "The origins whose pages may call the API, separated by spaces: scheme, host and port, without a path. " +
				"By default those of the connections and their aliases.",
			examples: []any{"https://bitbucket.example.com"},
		},
		{
			name: "repoListUpdateInterval", kind: "integer", min: 1, max: maxListMinutes, fallback: defaultListMinutes,
			doc: "Minutes between two listings of the repositories of a connection.",
		},
		{
			name: "gitMaxConcurrentClones", kind: "integer", min: 1, max: maxClones, fallback: defaultClones,
			doc: "How many repositories are cloned or fetched at the same time.",
		},
		{
			name: "disableAutoGitUpdates", kind: "boolean", fallback: false,
			doc: "Stops the fetches that the schedule would make. Webhooks, and what is asked for by hand, still fetch.",
		},
		{
			name: "gitEngine", kind: "string", enum: []string{EngineAuto, EngineGoGit, EngineGit}, fallback: EngineAuto,
			doc: "What clones and fetches: \"git\" is the git program, 2.32 or newer, \"go-git\" is built in and needs nothing installed. " +
				"\"auto\" takes the program where there is one.",
		},
		{
			name: "mirrorGraceDays", kind: "integer", min: 0, max: maxGraceDays, fallback: defaultGraceDays,
			doc: "Days for which the mirror of a repository stays on the disk after the repository was deleted, excluded or left out. 0 removes it at once.",
		},
		{
			name: "minFreeDiskPercent", kind: "integer", min: 0, max: maxFreePercent, fallback: defaultFreePercent,
			doc: "How much of the disk must be free for a new clone to begin, in percent. Below it what is mirrored is kept and updated, and nothing is evicted.",
		},
		{
			name: "memoryBudgetMiB", kind: "integer", min: minMemoryMiB, max: maxInt, fallback: defaultMemoryMiB,
			doc: "How much memory the program should stay within, in MiB. Clones and fetches wait for one another to keep it.",
		},
	}, ignoredSiteKeys...),
}

// connection is an entry of bitbucketServer.
var connection = field{
	kind: "object",
	doc:  "A connection to a Bitbucket Server or Bitbucket Data Center.",
	fields: []field{
		{
			name: "name", kind: "string", fill: "a name for this connection",
			doc: "The name of the connection in paths, webhook addresses and logs: letters, digits, dots, underscores and hyphens. " +
				"By default host, port and context path of the url, joined by hyphens.",
			examples: []any{"bitbucket"},
		},
		{
			name: "url", kind: "string", required: true, address: true, fill: "the address of your Bitbucket",
			doc:      "The address of the Bitbucket, with its context path if it has one.",
			examples: []any{"https://bitbucket.example.com", "https://example.com:8443/bitbucket"},
		},
		{
			name: "aliases", kind: "array", items: &field{kind: "string", address: true, fill: "another address of this Bitbucket"},
			doc: "Other addresses under which browsers know the same Bitbucket: an old host name, a second name, http beside https. " +
				"When the Bitbucket gets another address, keep the old one here: a connection whose url names another server has its repositories cloned anew.",
			examples: []any{[]string{"https://stash.example.com"}},
		},
		{
			name: "token", kind: "string",
			fill: "an HTTP access token with read permission (Bitbucket makes one below Manage account, HTTP access tokens)",
			doc: "An HTTP access token (in older versions: personal access token) with read permission for projects and repositories. " +
				"Bitbucket has them since version 5.5; older versions take username and password. " +
				"It can also be \"env:NAME\" or \"file:PATH\".",
			examples: []any{"env:BITBUCKET_TOKEN", "file:/run/secrets/bitbucket-token"},
		},
		{
			name: "username", kind: "string", fill: "the name of the account that reads Bitbucket",
			doc:      "The account that reads Bitbucket. It goes with a password, and may go with a token, which git over HTTP can need.",
			examples: []any{"signpost-bot"},
		},
		{
			name: "password", kind: "string", fill: "the password of the account",
			doc: "The password of the account, for Bitbucket older than 5.5. Newer versions should be given a token. " +
				"It can also be \"env:NAME\" or \"file:PATH\".",
			examples: []any{"env:BITBUCKET_PASSWORD"},
		},
		{
			name: "gitURLType", kind: "string", enum: []string{"http", "ssh"}, fallback: "http",
			doc: "How git reaches the repositories: \"http\" uses the same credentials as the API. \"ssh\" needs gitSSHCredential " +
				"with knownHosts, and no ssh program; the API keeps its own credentials.",
		},
		{
			name: "gitSSHCredential", kind: "object",
			doc: "The key for git over SSH.",
			fields: []field{
				{
					name: "privateKey", kind: "string", required: true, fill: "the private key",
					doc: "The private key, in PEM form or that form in base64, as Sourcegraph has it. " +
						"It can also be \"env:NAME\" or \"file:PATH\".",
					examples: []any{"file:/run/secrets/id_ed25519"},
				},
				{
					name: "passphrase", kind: "string", fill: "the passphrase of the private key",
					doc: "The passphrase of the private key, if it has one. It can also be \"env:NAME\" or \"file:PATH\".",
				},
				{
					name: "knownHosts", kind: "string", fill: "the lines of known_hosts for this Bitbucket",
					doc: "The host keys of the Bitbucket, as lines of an OpenSSH known_hosts file; without them nothing is fetched over SSH. " +
						"`ssh-keyscan -p 7999 HOST` prints them: have the administrator of the Bitbucket confirm them.",
					examples: []any{"[bitbucket.example.com]:7999 ssh-ed25519 AAAA…"},
				},
			},
		},
		{
			name: "certificate", kind: "string", fill: "the certificate in PEM form",
			doc: "One or more certificates in PEM form that are trusted for this Bitbucket, by the API and git alike, beside those of the " +
				"system. `openssl s_client -connect HOST:443 -showcerts` prints them. Line breaks are written as \\n.",
			examples: []any{"-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"},
		},
		{
			name: "repositoryPathPattern", kind: "string", fallback: sourcegraph.DefaultPathPattern,
			doc: "How your Sourcegraph names the repositories of this Bitbucket; it must be the same as there. " +
				"{host}, {projectKey} and {repositorySlug} are filled in.",
		},
		{
			name: "excludePersonalRepositories", kind: "boolean", fallback: false,
			doc: "Leaves personal repositories out, also those that the account can read.",
		},
		{
			name: "repos", kind: "array", minItems: 1, items: &field{kind: "string", fill: "PROJECT/repository"},
			doc: "Repositories to mirror, as PROJECT/repository or ~user/repository. " +
				"Without repos, projectKeys and repositoryQuery, everything that the account can see is mirrored; otherwise what any of the three names.",
			examples: []any{[]string{"PRJ/my-repo", "~first.last/dotfiles"}},
		},
		{
			name: "projectKeys", kind: "array", items: &field{kind: "string", fill: "the key of a project"},
			doc:      "Projects whose repositories are mirrored, by their keys.",
			examples: []any{[]string{"PRJ"}},
		},
		{
			name: "repositoryQuery", kind: "array", minItems: 1, items: &field{kind: "string", fill: "a query"},
			doc: "Query strings for Bitbucket's list of repositories (name, projectname, permission, visibility; newer versions also " +
				"state, archived and projectkey), or \"all\", or \"none\".",
			examples: []any{[]string{"?name=api&projectname=backend"}, []string{"none"}},
		},
		{
			name: "exclude", kind: "array", items: &exclusion,
			doc:      "Repositories to leave out, whatever else selects them. Each entry has a name, an id or a pattern.",
			examples: []any{[]any{map[string]any{"name": "PRJ/old"}, map[string]any{"id": 42}, map[string]any{"pattern": "^OLD/"}}},
		},
		{
			name: "archived", kind: "string", enum: []string{"include", "exclude"}, fallback: "include",
			doc: "Whether archived repositories are mirrored. Bitbucket knows them since 8.0; before, a repository with the label \"archived\" is one.",
		},
		{
			name: "rateLimit", kind: "object",
			doc: "How many requests to Bitbucket's API this connection makes.",
			fields: []field{
				{
					name: "enabled", kind: "boolean", fallback: true,
					doc: "Whether requests are limited. false lifts the limit.",
				},
				{
					name: "requestsPerHour", kind: "integer", min: 0, max: maxInt, fallback: defaultRequestsPerHour,
					doc: "Requests in an hour.",
				},
			},
		},
		{
			name: "maxDeletions", kind: "integer", min: -maxInt, max: maxInt, fallback: 0,
			doc: "How many repositories may leave the index after one listing; if more are missing, none is removed. 0 or less is no limit.",
		},
		{
			name: "webhooks", kind: "object",
			doc: "The webhooks that Bitbucket sends when something is pushed.",
			fields: []field{{
				name: "secret", kind: "string", fill: "the secret of the webhook",
				doc: "The secret that the webhook is given in Bitbucket. Deliveries without its signature are refused. " +
					"It can also be \"env:NAME\" or \"file:PATH\".",
			}},
		},
		ignore("initialRepositoryEnablement", "means nothing to Signpost and is ignored: every selected repository is mirrored"),
		ignore("plugin", "means nothing to Signpost and is ignored: it does not use Sourcegraph's plugin for Bitbucket"),
		ignore("authorization", "means nothing to Signpost and is ignored: who may see a link's target is for Sourcegraph to decide"),
		ignore("gitSSHCipher", "means nothing to Signpost and is ignored: ssh chooses the cipher"),
	},
}

// exclusion is an entry of exclude.
var exclusion = field{
	kind: "object",
	doc:  "A repository or some repositories to leave out: exactly one of name, id and pattern.",
	fields: []field{
		{
			name: "name", kind: "string", fill: "PROJECT/repository",
			doc: "The repository as PROJECT/repository, in any case.", examples: []any{"PRJ/old"},
		},
		{
			name: "id", kind: "integer", min: 1, max: maxInt,
			doc: "The number that Bitbucket gave the repository. It stays when the repository is renamed or moved.", examples: []any{42},
		},
		{
			name: "pattern", kind: "string", fill: "a regular expression",
			doc:      "A regular expression of Go's syntax, matched anywhere in PROJECT/repository, case-sensitive.",
			examples: []any{"^OLD/"},
		},
	},
}

func ignore(name, why string) field { return field{name: name, ignored: why} }

// ignoredSiteKeys are keys of Sourcegraph's site configuration, of 2018 and later, that an
// administrator would paste along.
var ignoredSiteKeys = func() []field {
	fields := []field{
		ignore("appURL", "is ignored: use externalURL, its newer name"),
		ignore("tls.external", "is ignored: put certificates into the certificate key of the connection"),
		ignore("disableBrowserExtension", "means nothing to Signpost and is ignored: to stop the extension, remove it from the browsers"),
	}
	for _, name := range []string{"github", "gitlab", "gitolite", "phabricator", "awsCodeCommit", "repos.list", "reviewBoard", "bitbucketCloud"} {
		fields = append(fields, ignore(name, "is ignored: Signpost connects to Bitbucket Server only"))
	}
	for _, name := range []string{
		// Whole families.
		"attribution.*", "auth.*", "authz.*", "automation.*", "batchChanges.*", "campaigns.*", "cloneProgress.*", "codeIntel*", "cody.*",
		"debug.*", "deepSearch.*", "email.*", "executors.*", "gitserver.*", "htmlBody*", "htmlHead*", "insights.*", "lightstep*", "mcp.*",
		"observability.*", "own.*", "permissions.*", "privateArtifactRepo*", "scim.*", "search.*", "tracing.*", "webhook.*",
		// Single keys.
		"blacklistGoGet", "branding", "codeMonitors", "completions", "configFeatures", "contributorsDataEnabled", "critical",
		"defaultRateLimit", "disableAutoCodeHostSyncIntervals", "disableAutoCodeHostSyncs", "disableBuiltInSearches", "disableChangelog",
		"disableFeedbackSurvey", "disableNonCriticalTelemetry", "disablePublicRepoRedirects", "disableTelemetry", "discussions",
		"dontIncludeSymbolResultsByDefault", "dotcom", "embeddings", "encryption.keys", "executeGradleOriginalRootPaths",
		"experimentalFeatures", "exportUsageTelemetry", "extensions", "externalService.userMode", "git.cloneURLToRepositoryName",
		"gitHubApp", "githubClientID", "githubClientSecret", "gitLongCommandTimeout", "gitMaxCodehostRequestsPerSecond",
		"gitMaxConcurrentCleanups", "gitOriginMap", "gitRecorder", "gitUpdateInterval", "hideUserSite", "httpStrictTransportSecurity",
		"httpToHttpsRedirect", "inventory", "langservers", "licenseKey", "log", "lsifEnforceAuth", "maxReposToSearch",
		"modelConfiguration", "motd", "noGoGetDomains", "notifications", "organizationInvitations", "outboundRequestLogLimit",
		"parentSourcegraph", "perforce.management", "productResearchPage.enabled", "rateLimits", "redactOutboundRequestHeaders",
		"RedirectUnsupportedBrowser", "repoConcurrentExternalServiceSyncers", "repoPurgeWorker", "searchContentBasedLanguageDetection",
		"searchScopes", "secretKey", "settings", "siteID", "syntaxHighlighting", "telemetry", "tls.letsencrypt", "tlsCert", "tlsKey",
		"update.channel", "useJaeger",
	} {
		fields = append(fields, ignore(name, notHere))
	}
	return fields
}()

// Package siteconfig reads, checks, masks, versions and publishes the site configuration:
// JSON with comments and trailing commas, written as Sourcegraph writes its own, so that an
// entry of bitbucketServer can be pasted from there.
//
// Check turns a text into a Config, or says everything that is wrong with it at once, each
// problem with its place and the mend. The keys are described once, in keys.go; schema.json
// is generated from there, checks types and shapes here, and serves editors as completion
// and help. What a schema cannot say is checked by the check_*.go files.
//
// Mask hides the secrets of a text and leaves the rest of it byte for byte; Unmask puts
// them back. SetPrimaryURL and AddBitbucketServer change a text and keep its comments.
//
// A Publisher holds the running configuration. It stores a new one only after every
// subscriber has agreed to it, and swaps it in only after it was stored.
package siteconfig

//go:generate go test -count=1 -run ^TestSchemaFileIsFresh$ -update

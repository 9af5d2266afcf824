// Package api is the HTTP surface of Signpost, as openapi.yaml has it: a file for each
// noun, its routes beside its handlers, and one function (writeProblem) that turns an
// error into a status and a body.
//
// Handlers return their error; nothing but what the table of problems says about it gets
// out. The page addresses that people ask about are never logged.
package api

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml openapi.yaml

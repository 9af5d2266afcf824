// Package apitest holds answers of the HTTP API against openapi.yaml. Every test that sees
// an answer gives it to Check.
package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"example.com/signpost/api"
)

// contract is openapi.yaml, ready to hold answers against.
type contract struct {
	router  routers.Router
	problem *openapi3.Schema
}

// load reads openapi.yaml once, and checks that it is a valid document.
var load = sync.OnceValues(func() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Contract())
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	openapi3filter.RegisterBodyDecoder("text/html", decodeText)
	return &contract{router, doc.Components.Schemas["Problem"].Value}, nil
})

func decodeText(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	text, err := io.ReadAll(body)
	return string(text), err
}

// Check returns an error when openapi.yaml has no such answer to the request. A path or
// method that it does not have must be refused with 404 or 405 and a problem. The body of
// response is not read: it is given as body. Safe for concurrent use.
func Check(r *http.Request, response *http.Response, body []byte) error {
	c, err := load()
	if err != nil {
		return err
	}
	request := r.Clone(context.Background())
	request.URL.Host, request.URL.Scheme, request.Host = "", "", ""
	head := r.Method == http.MethodHead
	if head { // RFC 9110: as GET; the body is dropped by net/http
		request.Method = http.MethodGet
	}
	route, params, err := c.router.FindRoute(request)
	if err != nil {
		if r.Method == http.MethodOptions && response.StatusCode < http.StatusBadRequest && len(body) == 0 {
			return nil // what CORS asks before the request itself
		}
		if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed {
			return fmt.Errorf("%s %s: answered %d, and openapi.yaml does not have it: %w", r.Method, r.URL.Path, response.StatusCode, err)
		}
		if head && len(body) == 0 {
			return nil
		}
		return c.checkProblem(r, response, body)
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		},
		Status:  response.StatusCode,
		Header:  response.Header,
		Body:    io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: head && len(body) == 0},
	})
	if err != nil {
		return fmt.Errorf("%s %s answered %d with something that openapi.yaml does not have: %w\n%.500s", r.Method, r.URL.Path, response.StatusCode, err, body)
	}
	return nil
}

// checkProblem holds the refusal of what openapi.yaml does not have against its problems.
func (c *contract) checkProblem(r *http.Request, response *http.Response, body []byte) error {
	var problem any
	err := json.Unmarshal(body, &problem)
	if got := response.Header.Get("Content-Type"); err == nil && got != "application/problem+json" {
		err = fmt.Errorf("its Content-Type is %q", got)
	}
	if err == nil {
		err = c.problem.VisitJSON(problem)
	}
	if err != nil {
		return fmt.Errorf("%s %s: the answer %d is no problem: %w\n%.500s", r.Method, r.URL.Path, response.StatusCode, err, body)
	}
	return nil
}

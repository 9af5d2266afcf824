// Package apitest holds answers of the HTTP API against openapi.yaml. Every test that sees
// an answer gives it to Check.
package apitest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"example.com/signpost/api"
)

// load reads openapi.yaml once, and checks that it is a valid document.
var load = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Contract())
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return gorillamux.NewRouter(doc)
})

// Check returns an error when openapi.yaml has no such answer to the request. A path or
// method that it does not have must be refused with 404 or 405. The body of response is not
// read: it is given as body. Safe for concurrent use.
func Check(r *http.Request, response *http.Response, body []byte) error {
	router, err := load()
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead { // RFC 9110: as GET, without the body
		return nil
	}
	request := r.Clone(context.Background())
	request.URL.Host, request.URL.Scheme, request.Host = "", "", ""
	route, params, err := router.FindRoute(request)
	if err != nil {
		if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusMethodNotAllowed || r.Method == http.MethodOptions {
			return nil
		}
		return fmt.Errorf("%s %s: answered %d, and openapi.yaml does not have it: %w", r.Method, r.URL.Path, response.StatusCode, err)
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		},
		Status: response.StatusCode,
		Header: response.Header,
		Body:   io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true,
			ExcludeResponseBody:   strings.HasPrefix(response.Header.Get("Content-Type"), "text/html"),
		},
	})
	if err != nil {
		return fmt.Errorf("%s %s answered %d with something that openapi.yaml does not have: %w\n%.500s", r.Method, r.URL.Path, response.StatusCode, err, body)
	}
	return nil
}

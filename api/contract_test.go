package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"example.com/signpost/api/apitest"
)

// answer is a response whose body was read.
type answer struct {
	*http.Response
	body []byte
}

// ask sends a request to the handler, and holds what it answers against openapi.yaml.
func ask(t *testing.T, h http.Handler, r *http.Request) answer {
	t.Helper()
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	response := recorder.Result()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := apitest.Check(r, response, body); err != nil {
		t.Error(err)
	}
	return answer{response, body}
}

func TestContractHoldsAnswersToIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, body string
		status     int
	}{
		"an answer without a url is refused":           {"/api/v1/resolve?url=x", `{"kind":"blob","exact":true}`, 200},
		"an answer with an unknown field is refused":   {"/api/v1/resolve?url=x", `{"url":"https://s.example/x","kind":"blob","exact":true,"secret":1}`, 200},
		"an answer of an unknown kind is refused":      {"/api/v1/resolve?url=x", `{"url":"https://s.example/x","kind":"house","exact":true}`, 200},
		"a status that is not written down is refused": {"/api/v1/resolve?url=x", `{}`, 418},
		"a path that is not written down is refused":   {"/api/v1/secrets", `{}`, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {"application/json"}}}
			if apitest.Check(httptest.NewRequest(http.MethodGet, c.path, nil), response, []byte(c.body)) == nil {
				t.Errorf("the contract let %s through", c.body)
			}
		})
	}
}

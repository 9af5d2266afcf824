package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"example.com/signpost/api"
	"example.com/signpost/resolver"
)

func TestEveryWayToTheResolverHasADeadline(t *testing.T) {
	t.Parallel()
	batch := func() *http.Request {
		return send(http.MethodPost, "/api/v1/resolve", `{"urls":["`+fileURL+`"]}`)
	}
	head := func() *http.Request {
		r := get(resolvePath(fileURL))
		r.Method = http.MethodHead
		return r
	}
	for name, request := range map[string]func() *http.Request{
		"GET":   func() *http.Request { return get(resolvePath(fileURL)) },
		"HEAD":  head,
		"batch": batch,
		"go":    func() *http.Request { return get("/go?url=" + fileURL) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan context.Context, 1)
			w := newWorld(t, func(ctx context.Context, _ string) (resolver.Result, error) {
				if at, ok := ctx.Deadline(); !ok || time.Until(at) > time.Minute {
					t.Errorf("deadline %v, %t", at, ok)
				}
				if ctx.Err() != nil {
					t.Error(ctx.Err())
				}
				asked <- ctx
				return linkTo("/x"), nil
			}, func(o *api.Options) { o.Timeout = time.Minute })
			ask(t, w.handler, request())
			if err := (<-asked).Err(); err == nil {
				t.Error("the context lives on after the answer")
			}
		})
	}
}

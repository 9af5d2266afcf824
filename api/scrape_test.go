package api_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/signpost/api"
)

// collector is a collector that does what collect says.
type collector struct {
	collect func(out chan<- prometheus.Metric)
}

var testDesc = prometheus.NewDesc("test_total", "For the tests.", nil, nil)

func (c collector) Describe(out chan<- *prometheus.Desc) { out <- testDesc }
func (c collector) Collect(out chan<- prometheus.Metric) { c.collect(out) }

func TestAMetricThatCannotBeReadIsAProblemWithoutItsText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(o *api.Options) {
		o.Metrics.MustRegister(collector{func(out chan<- prometheus.Metric) {
			out <- prometheus.NewInvalidMetric(testDesc, errors.New("open /var/lib/signpost.db: locked"))
		}})
	})
	a := ask(t, w.handler, get("/metrics"))
	wantProblem(t, a, 500, api.InternalError)
	if strings.Contains(string(a.body), "signpost.db") {
		t.Errorf("internal text got out: %s", a.body)
	}
	if !strings.Contains(w.log.String(), "signpost.db") {
		t.Errorf("the log does not say why:\n%s", w.log)
	}
}

func TestAScrapeThatHangsEndsAndMoreOfThemAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		w := newWorld(t, nil, func(o *api.Options) {
			o.Metrics.MustRegister(collector{func(chan<- prometheus.Metric) { <-proceed }})
			o.Timeout = time.Minute
		})
		for range 4 {
			begun := time.Now()
			wantProblem(t, ask(t, w.handler, get("/metrics")), 504, api.Timeout)
			if took := time.Since(begun); took != time.Minute {
				t.Errorf("it took %v", took)
			}
		}
		a := ask(t, w.handler, get("/metrics"))
		wantProblem(t, a, 429, api.RateLimited)
		if a.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		close(proceed)
		synctest.Wait()
		if a := ask(t, w.handler, get("/metrics")); a.StatusCode != 200 {
			t.Errorf("once the collectors answer again: %d %s", a.StatusCode, a.body)
		}
	})
}

package rest

import (
	"context"
	"time"
)

// Health is how a connection stands at a moment: what a Client would do with a request now.
type Health struct {
	// CircuitOpen tells that Bitbucket does not answer and is left alone.
	CircuitOpen bool
	Since       time.Time // of the first request without an answer; zero unless CircuitOpen
	NextTry     time.Time // when Bitbucket is tried again; zero unless CircuitOpen
	Reason      string    // of the last failure, without secrets; "" unless CircuitOpen

	PausedUntil time.Time // Bitbucket asked to send nothing before; zero when it does not

	Limited bool    // the connection has a rate limit
	Tokens  float64 // requests that its rate limit lets out at once; negative when some wait; 0 unless Limited

	Refused      error     // why the credential is not used, in words for administrators; nil unless refused
	RefusedSince time.Time // zero unless refused
}

// Health tells how the connection stands. It asks nobody.
func (c *Client) Health() Health {
	var h Health
	h.CircuitOpen, h.Since, h.NextTry, h.Reason = c.circuit.state()
	if until := c.pacer.pausedUntil(); until.After(time.Now()) {
		h.PausedUntil = until
	}
	if c.pacer.limiter != nil {
		h.Limited, h.Tokens = true, c.pacer.limiter.Tokens()
	}
	h.Refused, h.RefusedSince = c.credential.refusedSince()
	return h
}

// Suspended tells whether requests fail at once now, and until when: Bitbucket does not answer, or
// it asked for a pause that is longer than a request waits.
func (c *Client) Suspended() (until time.Time, suspended bool) {
	if open, _, next, _ := c.circuit.state(); open {
		return next, true
	}
	until = c.pacer.pausedUntil()
	return until, time.Until(until) > maxWait
}

// Answers asks whether Bitbucket answers at all, by one request without a credential, and without a wait for the rate
// limit. Where it does not, that counts as any other failure to answer. It takes no longer than some seconds.
func (c *Client) Answers(ctx context.Context) bool {
	if c.circuit.check() != nil {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, circuitProbeTime)
	defer cancel()
	err := c.askWhetherBack(limited)
	if err != nil && ctx.Err() == nil {
		c.circuit.failed("", err.Error())
	}
	return err == nil
}

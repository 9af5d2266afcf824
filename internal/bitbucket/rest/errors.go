package rest

import (
	"encoding/json"
	"strings"
	"time"
)

// RetryAfterError says how long Bitbucket asked to be left alone. It accompanies
// bitbucket.ErrRateLimited or bitbucket.ErrUnavailable when the wait is longer than a
// Client, or the deadline of the question, is ready to wait.
type RetryAfterError struct {
	Wait time.Duration // from the moment of the error
}

// Error implements error.
func (e *RetryAfterError) Error() string {
	return "Bitbucket asks to come back in " + e.Wait.Round(time.Second).String()
}

// RetryAfter returns Wait, for callers that do not import this package.
func (e *RetryAfterError) RetryAfter() time.Duration { return e.Wait }

// answerError is what went wrong with a question, in words that were cleaned, beside the
// sentinels and causes that it stands for. Causes are for errors.Is and errors.As only:
// their own texts may hold anything.
type answerError struct {
	text   string
	is     []error
	status int  // of the answer; 0 without one
	again  bool // another attempt may help
	// permission tells that Bitbucket knew the account and missed a permission, though the
	// status is 401.
	permission bool
	account    string // that Bitbucket named beside it; "" when it named none
}

func (e *answerError) Error() string   { return e.text }
func (e *answerError) Unwrap() []error { return e.is }

// envelope is what Bitbucket says in an error, as far as it matters. exception is the last
// segment of exceptionName: the package before it changed with the product's name.
type envelope struct {
	exception string
	message   string
}

// parseEnvelope reads the JSON of an error. ok is false when body is something else.
func parseEnvelope(body []byte) (e envelope, ok bool) {
	var raw struct {
		Errors []struct {
			Context       *string `json:"context"`
			Message       *string `json:"message"`
			ExceptionName *string `json:"exceptionName"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &raw) != nil || len(raw.Errors) == 0 {
		return envelope{}, false
	}
	var messages []string
	for _, entry := range raw.Errors {
		if entry.ExceptionName != nil && e.exception == "" {
			e.exception = (*entry.ExceptionName)[strings.LastIndexByte(*entry.ExceptionName, '.')+1:]
		}
		if entry.Message == nil || *entry.Message == "" {
			continue
		}
		if entry.Context != nil && *entry.Context != "" {
			messages = append(messages, *entry.Context+": "+*entry.Message)
		} else {
			messages = append(messages, *entry.Message)
		}
	}
	e.message = strings.Join(messages, "; ")
	return e, true
}

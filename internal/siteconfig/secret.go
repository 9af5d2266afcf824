package siteconfig

import (
	"fmt"
	"log/slog"
)

// Secret is a password, token or key. It prints as "[redacted]" in every form, so that no
// log line and no error can hold it; Reveal gives the value to the one place that sends it.
type Secret struct{ value string }

// NewSecret returns a Secret that holds value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value. Do not keep it, log it or put it into an error.
func (s Secret) Reveal() string { return s.value }

// IsZero tells that no value is set.
func (s Secret) IsZero() bool { return s.value == "" }

const redacted = "[redacted]"

// String implements fmt.Stringer.
func (s Secret) String() string { return redacted }

// Format implements fmt.Formatter for every verb, %#v and %+v included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, redacted) }

// MarshalText implements encoding.TextMarshaler, and so JSON's encoding.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

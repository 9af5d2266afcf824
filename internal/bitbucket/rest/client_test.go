package rest

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.com/signpost/internal/bitbucket"
	"example.com/signpost/internal/siteconfig"
)

func TestNewRefusesOptions(t *testing.T) {
	t.Parallel()
	good := Options{Connection: "bb", BaseURL: bitbucket.BaseURL{Scheme: "https", Host: "bitbucket.example.com"}}
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"without a connection", func(o *Options) { o.Connection = "" }, "needs Connection and BaseURL"},
		{"without an address", func(o *Options) { o.BaseURL = bitbucket.BaseURL{} }, "needs Connection and BaseURL"},
		{"with a line break in the token", func(o *Options) { o.Token = siteconfig.NewSecret("secret-1\n") }, "the token holds a line break"},
		{"with a line break in the password", func(o *Options) { o.Password = siteconfig.NewSecret("secret-1\r") }, "the password holds a line break"},
		{"with a colon in the user name", func(o *Options) { o.Username = "a:b" }, "the username holds a colon"},
		{"with a certificate that is none", func(o *Options) { o.CertificatePEM = "secret-1" }, "-----BEGIN CERTIFICATE-----"},
		{"with a proxy that is none", func(o *Options) {
			o.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New(`invalid proxy "http://u:secret-1@"`) }
		}, "the proxy in the environment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := good
			c.change(&o)
			_, err := New(o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New: error %v, want %q", err, c.want)
			}
			if strings.Contains(errorText(err), "secret-1") {
				t.Errorf("error %q holds a secret", err)
			}
		})
	}
	t.Run("and takes no more than it must", func(t *testing.T) {
		t.Parallel()
		if _, err := New(good); err != nil {
			t.Errorf("New: %v", err)
		}
	})
}

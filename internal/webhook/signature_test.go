package webhook

import (
	"errors"
	"strings"
	"testing"

	"example.com/signpost/internal/siteconfig"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	// RFC 4231, test case 2.
	secret, body := siteconfig.NewSecret("Jefe"), []byte("what do ya want for nothing?")
	const digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if got := Sign(secret, body); got != "sha256="+digest {
		t.Errorf("Sign: %s", got)
	}
	for name, c := range map[string]struct {
		secret    siteconfig.Secret
		signature string
		body      string
		ok        bool
	}{
		"Bitbucket's":                     {secret, "sha256=" + digest, string(body), true},
		"Sourcegraph's plugin's":          {secret, digest, string(body), true},
		"none":                            {secret, "", string(body), false},
		"the prefix alone":                {secret, "sha256=", string(body), false},
		"another body":                    {secret, "sha256=" + digest, string(body) + "\n", false},
		"another secret":                  {siteconfig.NewSecret("jefe"), "sha256=" + digest, string(body), false},
		"a part of it":                    {secret, "sha256=" + digest[:62], string(body), false},
		"more than it":                    {secret, "sha256=" + digest + "00", string(body), false},
		"another hash":                    {secret, "sha1=" + digest[:40], string(body), false},
		"no hexadecimal digits":           {secret, "sha256=" + strings.Repeat("z", 64), string(body), false},
		"the prefix twice":                {secret, "sha256=sha256=" + digest, string(body), false},
		"an empty secret is no secret":    {siteconfig.Secret{}, Sign(siteconfig.Secret{}, body), string(body), false},
		"the signature of an empty body":  {secret, Sign(secret, nil), "", true},
		"a signature of an empty body":    {secret, Sign(secret, nil), string(body), false},
		"blanks are part of no signature": {secret, " sha256=" + digest, string(body), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Verify(c.secret, c.signature, []byte(c.body))
			if c.ok && err != nil || !c.ok && !errors.Is(err, ErrSignature) {
				t.Errorf("Verify: %v, want ok %t", err, c.ok)
			}
		})
	}
}

package storetest

import (
	"testing"
	"time"

	"example.com/signpost/internal/siteconfig"
	"example.com/signpost/syncer"
)

var refusalTests = []test{
	{"the last refusal of each connection is kept", func(t *testing.T, s Store) {
		refusal := func(connection, mark, said string, captcha bool, when time.Time) syncer.Refusal {
			return syncer.Refusal{Connection: connection, Mark: siteconfig.NewSecret(mark), Said: said, Captcha: captcha, At: when}
		}
		for _, r := range []syncer.Refusal{
			refusal("stash", "a", "wrong password", false, at),
			refusal(connection, "b", "wrong password", false, at),
			refusal(connection, "c", "a CAPTCHA", true, at.Add(time.Hour)),
		} {
			if err := s.SaveRefusal(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		want := []syncer.Refusal{
			refusal(connection, "c", "a CAPTCHA", true, at.Add(time.Hour)), refusal("stash", "a", "wrong password", false, at),
		}
		got, err := s.Refusals(t.Context())
		if err != nil || len(got) != len(want) {
			t.Fatalf("Refusals: %v, %v", got, err)
		}
		for i := range want {
			if got[i].Mark != want[i].Mark || !got[i].At.Equal(want[i].At) {
				t.Errorf("mark or time of %s differ", got[i].Connection)
			}
			got[i].Mark, want[i].Mark = siteconfig.Secret{}, siteconfig.Secret{}
			got[i].At, want[i].At = time.Time{}, time.Time{}
			if got[i] != want[i] {
				t.Errorf("got %+v, want %+v", got[i], want[i])
			}
		}
	}},
	{"all refusals are forgotten", func(t *testing.T, s Store) {
		for range 2 {
			if err := s.SaveRefusal(t.Context(), syncer.Refusal{Connection: connection, At: at}); err != nil {
				t.Fatal(err)
			}
			if err := s.ForgetRefusals(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Refusals(t.Context()); err != nil || len(got) != 0 {
				t.Errorf("Refusals: %v, %v", got, err)
			}
		}
	}},
}

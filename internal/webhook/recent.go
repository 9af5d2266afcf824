package webhook

import (
	"slices"
	"sync"
	"time"
)

// Outcome is what became of a delivery. Its values are labels of metrics.
type Outcome string

// What can become of a delivery.
const (
	Fetching      Outcome = "fetching"       // a fetch of the repository was stored
	Forgotten     Outcome = "forgotten"      // what was known of its pull requests is forgotten
	Listing       Outcome = "listing"        // a listing of the connection was stored: it is not known at that address
	Unknown       Outcome = "unknown"        // not known at that address, and looked for a short while ago
	NotSelected   Outcome = "not_selected"   // the repository is not selected
	Pinged        Outcome = "pinged"         // Bitbucket's test
	Ignored       Outcome = "ignored"        // of no concern here
	Refused       Outcome = "refused"        // not signed, or not with the secret
	NotConfigured Outcome = "not_configured" // the connection has no secret
	Unreadable    Outcome = "unreadable"     // signed, and not what a Bitbucket sends
	NotStored     Outcome = "not_stored"     // the database did not take the job
)

// keptDeliveries is how many deliveries are remembered of each connection, and keptStrangers how
// many that were not signed: anybody can send those, and they must not displace the others.
const (
	keptDeliveries = 100
	keptStrangers  = 20
)

// Received is a delivery that came, for administrators.
type Received struct {
	Time       time.Time // UTC
	RequestID  string    // as Bitbucket sent it, bounded; "" when it sent none
	Event      string    // X-Event-Key as it was sent, bounded; "" when it sent none
	Kind       Kind      // Other for what was refused, or could not be read
	Repository string    // KEY/slug as the delivery says; "" when it was refused, or names none
	Outcome    Outcome
}

// ring keeps the last so many deliveries. Safe for concurrent use.
type ring struct {
	size int

	mu   sync.Mutex
	kept []Received
	next int // where the next one goes, once all places are taken
}

func (r *ring) add(d Received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) < r.size {
		r.kept = append(r.kept, d)
		return
	}
	r.kept[r.next] = d
	r.next = (r.next + 1) % r.size
}

// list returns the deliveries, the oldest first.
func (r *ring) list() []Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.kept[r.next:], r.kept[:r.next])
}

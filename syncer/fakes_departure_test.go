package syncer

import (
	"context"
	"maps"
	"slices"
	"time"

	"example.com/signpost/internal/bitbucket"
)

// departures is the part of memory that keeps what has left.
type departures struct {
	left    map[bitbucket.RepoID]time.Time
	gone    map[string]time.Time
	origins map[string][]string
}

// leave notes when a record left the selection. The caller holds mu.
func (m *memory) leave(r Record, now time.Time) {
	switch _, known := m.left[r.ID]; {
	case r.Selected:
		delete(m.left, r.ID)
	case !known:
		m.left[r.ID] = now
	}
}

func (m *memory) departed(r Record, before time.Time) (left time.Time, is bool) {
	left, is = m.left[r.ID]
	if !is {
		left, is = m.gone[r.ID.Connection]
	}
	if !is || left.After(before) {
		return left, false
	}
	old := !r.MissingSince.IsZero() && !r.MissingSince.After(before)
	return left, r.Mirror != (MirrorStatus{}) || r.Foreign || old
}

func (m *memory) Departed(_ context.Context, before time.Time, limit int) ([]Departed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Departed
	for _, r := range m.sorted("") {
		if left, is := m.departed(r, before); is {
			all = append(all, Departed{ID: r.ID, Address: r.Address, Left: left, Reason: r.Reason, Missing: !r.MissingSince.IsZero()})
		}
	}
	return all[:min(limit, len(all))], m.failure("Departed")
}

func (m *memory) IsDeparted(_ context.Context, id bitbucket.RepoID, before time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, known := m.records[id]
	if !known {
		return false, nil
	}
	_, is := m.departed(r, before)
	return is, m.failure("IsDeparted")
}

func (m *memory) Forget(_ context.Context, id bitbucket.RepoID, before time.Time) (deleted bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure("Forget"); err != nil {
		return false, err
	}
	r, known := m.records[id]
	if !known {
		return false, nil
	}
	if _, is := m.departed(r, before); is && !r.MissingSince.IsZero() && !r.MissingSince.After(before) {
		delete(m.records, id)
		return true, nil
	}
	r.Mirror, r.Foreign = MirrorStatus{}, false
	m.records[id] = r
	return false, nil
}

func (m *memory) Origins(context.Context) (map[string][]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.origins), m.failure("Origins")
}

func (m *memory) NoteConnections(_ context.Context, configured map[string][]string, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, addresses := range configured {
		if m.origins[name] == nil {
			m.origins[name] = addresses
		}
		delete(m.gone, name)
	}
	for name := range m.origins {
		if _, there := configured[name]; !there && m.gone[name].IsZero() {
			m.gone[name] = now
		}
	}
	return m.failure("NoteConnections")
}

func (m *memory) ClaimConnection(_ context.Context, connection string, addresses []string, now time.Time, reason string) (Claimed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure("ClaimConnection"); err != nil {
		return Claimed{}, err
	}
	var claimed Claimed
	for _, r := range m.sorted(connection) {
		if !SameServer(m.origins[connection], addresses) {
			if r.Selected {
				claimed.Removed = append(claimed.Removed, r.ID)
			}
			r.Selected, r.Reason, r.Foreign, r.Former, r.Mirror = false, reason, true, nil, MirrorStatus{}
			r.Address = bitbucket.Address{}
			if r.MissingSince.IsZero() {
				r.MissingSince = now
			}
			m.leave(r, now)
			m.records[r.ID] = r
		}
		claimed.Foreign = claimed.Foreign || r.Foreign
	}
	m.origins[connection] = slices.Clone(addresses)
	return claimed, nil
}

func (m *memory) Figures(_ context.Context, now time.Time, paused bool) (Figures, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := Figures{States: make(map[MirrorState]int), Late: make([]int, len(LagBounds()))}
	for _, r := range m.sorted("") {
		if m.gone[r.ID.Connection].IsZero() {
			f.States[MirrorStateOf(r, now, paused)]++
		}
	}
	return f, m.failure("Figures")
}

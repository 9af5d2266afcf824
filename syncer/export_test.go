package syncer

import (
	"context"
	"time"
)

// CleanUp is what the job of that name does.
func (s *Syncer) CleanUp(ctx context.Context) error { return s.cleanUp(ctx) }

// SetUptime replaces the time since the start.
func (s *Syncer) SetUptime(uptime func() time.Duration) { s.departing.uptime = uptime }

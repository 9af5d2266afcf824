package gitmirror

import (
	"errors"
	"fmt"
	"syscall"

	"example.com/signpost/syncer"
)

// Space returns how many bytes of the mirrors' disk this account can still write, and how many it has in all.
// Safe for concurrent use.
func (m *Mirrors) Space() (free, total uint64, err error) { return m.space() }

// diskSpace is Space of the disk that folder is on.
func diskSpace(folder string) (free, total uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, 0, fmt.Errorf("ask for the space of the disk: %w", err)
	}
	unit := uint64(s.Frsize)
	if unit == 0 {
		unit = uint64(s.Bsize)
	}
	return s.Bavail * unit, s.Blocks * unit, nil
}

// Floor returns how many bytes of the mirrors' disk must be free for a new clone to begin; 0 for none. Safe for concurrent
// use.
func (m *Mirrors) Floor() (uint64, error) {
	percent := m.minFreePercent()
	if percent == 0 {
		return 0, nil
	}
	_, total, err := m.Space()
	return total / 100 * percent, err
}

func (m *Mirrors) minFreePercent() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(max(m.settings.MinFreePercent, 0))
}

// Room returns an error that wraps syncer.ErrNoSpace, and says how much is missing, when so little of the disk is free
// that no new clone may begin. What is mirrored goes on being updated. Safe for concurrent use.
func (m *Mirrors) Room() error {
	percent := m.minFreePercent()
	if percent == 0 {
		return nil
	}
	free, total, err := m.Space()
	floor := total / 100 * percent
	if err != nil || free >= floor {
		return err
	}
	return fmt.Errorf("%w: %s of %s are free (%d %%), and minFreeDiskPercent is %d: free another %s, or lower it",
		syncer.ErrNoSpace, size(free), size(total), free*100/total, percent, size(floor-free))
}

// explainDisk makes a disk that is full, or the end of a quota, known as syncer.ErrNoSpace.
func (m *Mirrors) explainDisk(err error) error {
	if errors.Is(err, syncer.ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	if free, total, spaceErr := m.Space(); spaceErr == nil {
		return fmt.Errorf("%w: %s of %s are free: %w", syncer.ErrNoSpace, size(free), size(total), err)
	}
	return fmt.Errorf("%w: %w", syncer.ErrNoSpace, err)
}

// size returns a number of bytes as people read it.
func size[T uint64 | int64](n T) string {
	switch f := float64(n); {
	case f >= 1<<30:
		return fmt.Sprintf("%.1f GiB", f/(1<<30))
	case f >= 1<<20:
		return fmt.Sprintf("%.1f MiB", f/(1<<20))
	default:
		return fmt.Sprintf("%.0f KiB", f/(1<<10))
	}
}

package main

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// turns is what two sides measured, turn by turn.
type turns[T any] struct{ ours, theirs []T }

// takeTurns measures two sides in turns until the budget is used up, and at least so many
// times each. Each side begins every other turn, so that neither always comes second to a
// machine that the first has warmed. Each begins with a heap that was just swept: neither
// pays for the garbage of the other.
func takeTurns[T any](ctx context.Context, budget time.Duration, least int, ours, theirs func(ctx context.Context) (T, error)) (turns[T], error) {
	var t turns[T]
	sides := []struct {
		measure func(ctx context.Context) (T, error)
		values  *[]T
	}{{ours, &t.ours}, {theirs, &t.theirs}}
	for begun := time.Now(); len(t.ours) < least || time.Since(begun) < budget; slices.Reverse(sides) {
		for _, side := range sides {
			if err := ctx.Err(); err != nil {
				return turns[T]{}, err
			}
			runtime.GC()
			value, err := side.measure(ctx)
			if err != nil {
				return turns[T]{}, err
			}
			*side.values = append(*side.values, value)
		}
	}
	return t, nil
}

// ratio returns the median over the turns of ours divided by theirs.
func (t turns[T]) ratio(value func(T) float64) float64 {
	ratios := make([]float64, len(t.ours))
	for i := range ratios {
		ratios[i] = value(t.ours[i]) / value(t.theirs[i])
	}
	return median(ratios)
}

// typical returns the median of each side.
func (t turns[T]) typical(value func(T) float64) (ours, theirs float64) {
	of := func(values []T) float64 {
		numbers := make([]float64, len(values))
		for i, v := range values {
			numbers[i] = value(v)
		}
		return median(numbers)
	}
	return of(t.ours), of(t.theirs)
}

// best returns our fastest turn: what the machine gives while nobody else wants it. Aims in
// time, and not in ratios, are held against it.
func (t turns[T]) best(value func(T) float64) float64 {
	best := value(t.ours[0])
	for _, v := range t.ours[1:] {
		best = min(best, value(v))
	}
	return best
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// nanoseconds is the value of a duration, for ratio and typical.
func nanoseconds(d time.Duration) float64 { return float64(d) }

// timeRow makes the row of a pair of durations.
func timeRow(what, against string, t turns[time.Duration], a aim) row {
	ours, theirs := t.typical(nanoseconds)
	return row{what, against, versus(time.Duration(ours), time.Duration(theirs)), t.ratio(nanoseconds), a}
}

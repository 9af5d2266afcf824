package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"example.com/signpost/internal/bitbucket"
)

const (
	// pageLimit is what is asked for. Servers lower it to their own cap and say so.
	pageLimit = 1000
	// maxPages ends a list that never ends. With the usual limit of 25 it is 250,000 rows.
	maxPages = 10_000
)

// page is one page of a list.
type page struct {
	rows  []json.RawMessage
	limit int   // that the server used; 0 when it does not tell
	last  bool  // and next is 0
	next  int64 // start of the next page: a count of rows before the permission filter, so never start+len(rows)
}

// decodePage reads the page that begins at start. ErrIncompleteListing for one that
// contradicts itself: such a server could repeat itself for ever, or end before its end.
func decodePage(body []byte, start int64) (page, error) {
	var raw struct {
		Values        *[]json.RawMessage `json:"values"`
		IsLastPage    *bool              `json:"isLastPage"`
		Start         *number            `json:"start"`
		Limit         *number            `json:"limit"`
		NextPageStart *number            `json:"nextPageStart"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return page{}, err
	}
	switch {
	case raw.Values == nil:
		return page{}, contradiction("a page has no values")
	case raw.IsLastPage == nil:
		return page{}, contradiction("a page does not say whether it is the last")
	case raw.Start != nil && int64(*raw.Start) != start:
		return page{}, contradiction(fmt.Sprintf("the page at %d was asked for, and the one at %d came", start, *raw.Start))
	}
	p := page{rows: *raw.Values, last: *raw.IsLastPage}
	if raw.Limit != nil && 0 < *raw.Limit && *raw.Limit <= pageLimit {
		p.limit = int(*raw.Limit)
	}
	if p.last {
		return p, nil
	}
	switch {
	case raw.NextPageStart == nil:
		return page{}, contradiction("a page is not the last, and does not say where the next begins")
	case int64(*raw.NextPageStart) <= start:
		return page{}, contradiction(fmt.Sprintf("the page at %d is followed by the one at %d", start, *raw.NextPageStart))
	}
	p.next = int64(*raw.NextPageStart)
	return p, nil
}

func contradiction(text string) *answerError {
	return &answerError{
		text: bitbucket.ErrIncompleteListing.Error() + ": " + text,
		is:   []error{bitbucket.ErrIncompleteListing},
	}
}

// incomplete says that a list broke off for a reason.
func incomplete(err error) error {
	if err == nil || errors.Is(err, bitbucket.ErrIncompleteListing) {
		return err
	}
	return fmt.Errorf("%w: %w", bitbucket.ErrIncompleteListing, err)
}

// eachPage reads a list to its end and calls yield with the rows of each page that has some.
// While yield works on a page, the next one is on its way: storing a page takes about as
// long as asking for one. Whatever ends the list before its end is ErrIncompleteListing,
// except a list that is not there at all: ErrNotFound.
func (c *Client) eachPage(ctx context.Context, op, path string, query url.Values, yield func([]json.RawMessage) error) error {
	ctx, cancel := context.WithCancel(ctx)
	coming := make(chan fetched, 1)
	ask := func(start int64, limit int) {
		go func() { coming <- c.fetchPage(ctx, op, path, query, start, limit) }()
	}
	var (
		start   int64
		limit   = pageLimit
		pending = true
		seen    = map[uint64]bool{}
		seed    = maphash.MakeSeed()
	)
	defer func() {
		cancel()
		if pending {
			<-coming
		}
	}()
	ask(start, limit)
	for n := range maxPages {
		p := <-coming
		pending = false
		if n == 0 && errors.Is(p.err, bitbucket.ErrNotFound) {
			return p.err
		}
		if p.err != nil {
			return incomplete(p.err)
		}
		if p.limit > 0 {
			limit = min(limit, p.limit)
		}
		if !p.last && n+1 < maxPages {
			pending = true
			ask(p.next, limit)
		}
		if len(p.rows) > 0 {
			sum := fingerprint(seed, p.rows)
			if seen[sum] {
				return contradiction(fmt.Sprintf("the page at %d repeats an earlier one", start))
			}
			seen[sum] = true
			if err := yield(p.rows); err != nil {
				return incomplete(err)
			}
		}
		if p.last {
			return nil
		}
		start = p.next
	}
	return contradiction(fmt.Sprintf("it has more than %d pages", maxPages))
}

// fetched is a page, or why there is none.
type fetched struct {
	page
	err error
}

// fetchPage asks for the page that begins at start.
func (c *Client) fetchPage(ctx context.Context, op, path string, query url.Values, start int64, limit int) fetched {
	asked := maps.Clone(query)
	if asked == nil {
		asked = url.Values{}
	}
	asked.Set("limit", strconv.Itoa(limit))
	if start > 0 {
		asked.Set("start", strconv.FormatInt(start, 10))
	}
	var f fetched
	got, err := c.ask(ctx, question{
		op: op, path: path, query: asked,
		decode: func(body []byte) (err error) {
			f.page, err = decodePage(body, start)
			return err
		},
	})
	if err == nil && got.status == http.StatusNoContent {
		err = contradiction("a page is empty")
	}
	f.err = err
	return f
}

func fingerprint(seed maphash.Seed, rows []json.RawMessage) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, row := range rows {
		_, _ = h.Write(row) // a hash takes everything
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// number is an integer that may come as a string: versions differ, and 10.x more so.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	if len(b) >= 2 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	if string(b) == "null" || len(b) == 0 {
		return nil
	}
	v, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("%.40q is no integer", b)
	}
	*n = number(v)
	return nil
}

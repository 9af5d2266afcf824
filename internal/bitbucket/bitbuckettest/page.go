package bitbuckettest

import (
	"cmp"
	"strconv"
)

// defaultPageLimits are the documented caps on limit=; what is not documented is taken.
var defaultPageLimits = map[string]int{
	"projects": 1000, "repositories": 1000, "users": 1000, "branches": 1000, "tags": 1000, "pullrequests": 1000,
	"commits": 100, "lines": 5000, "files": 1000, "webhooks": 1000,
}

const defaultLimit = 25

// pageRequest is what start= and limit= ask for.
type pageRequest struct{ start, limit int }

// pageRequest reads the parameters. A limit above the cap is lowered without a word.
func (c *call) pageRequest(of string) (pageRequest, error) {
	p := pageRequest{limit: defaultLimit}
	for _, parameter := range []struct {
		name string
		into *int
	}{{"start", &p.start}, {"limit", &p.limit}} {
		text := c.query.Get(parameter.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return p, badRequest(parameter.name, "The %s parameter must be a number that is not negative.", parameter.name)
		}
		*parameter.into = n
	}
	limits := c.server.opts.PageLimits
	limitCap := cmp.Or(limits[of], limits["all"], defaultPageLimits[of])
	p.limit = max(1, min(p.limit, limitCap))
	if c.has(EffectRepeatPage) {
		p.start = 0
	}
	return p, nil
}

// page is a part of a listing.
type page struct {
	pageRequest
	rows int   // index of the first row that was not looked at
	last bool  // no further row
	at   []int // the rows that are on it
}

// pageOf picks the rows of a page. Rows that are not visible count for the next page's
// start all the same, as recorded.
func (c *call) pageOf(request pageRequest, total int, visible func(row int) bool) page {
	p := page{pageRequest: request, rows: request.start}
	if c.has(EffectEmptyPage) {
		p.last = true
		return p
	}
	for p.rows < total && len(p.at) < request.limit {
		if c.server.opts.ShortPages && p.rows >= request.start+request.limit {
			break
		}
		if visible(p.rows) {
			p.at = append(p.at, p.rows)
		}
		p.rows++
	}
	p.last = true
	for row := p.rows; row < total; row++ {
		if c.server.opts.ShortPages || visible(row) {
			p.last = false
			break
		}
	}
	return p
}

// envelope wraps values as Bitbucket does, with the keys in its order.
func (c *call) envelope(p page, values list, more ...member) object {
	o := object{
		field("size", len(values)),
		field("limit", p.limit),
		optional("isLastPage", p.last, !c.has(EffectNoLastPage)),
		field("values", values),
		field("start", p.start),
	}
	o = append(o, more...)
	return append(o, c.nextPageStart(p))
}

func (c *call) nextPageStart(p page) member {
	return optional("nextPageStart", p.rows, !p.last && !c.has(EffectNoNextPageStart))
}

// listing pages through rows that are all visible.
func (c *call) listing(of string, total int, render func(row int) any, more ...member) (any, error) {
	request, err := c.pageRequest(of)
	if err != nil {
		return nil, err
	}
	p := c.pageOf(request, total, func(int) bool { return true })
	values := list{}
	for _, row := range p.at {
		values = append(values, render(row))
	}
	return c.envelope(p, values, more...), nil
}

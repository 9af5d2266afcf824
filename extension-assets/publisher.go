package extension

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"
)

// ErrNotBuilt means that the packages are being built, or that building them failed and is tried again.
var ErrNotBuilt = errors.New("the packages of the extension are not built yet")

// PublisherOptions says what a Publisher works with.
type PublisherOptions struct {
	Records Records // required
	Source  fs.FS   // Files if nil
	// Signed returns the add-on as Mozilla signed it, nil for none, and whether that changed since the call
	// before. It is called by one goroutine. There is none if nil.
	Signed func() (signed *SignedXPI, changed bool, err error)
	Logger *slog.Logger  // discards if nil
	Look   time.Duration // between two calls of Signed, and before what failed is tried again; 30 s if zero
}

// Publisher has the packages of the running configuration, and builds them anew when it changes. All
// methods are safe for concurrent use; Run is called once.
type Publisher struct {
	o    PublisherOptions
	wake chan struct{} // holds a token when there is a configuration to look at

	mu        sync.Mutex
	wanted    Configuration
	problem   error     // why wanted cannot be packed, or ErrNotBuilt after a failure
	published *Packages // nil when there are none
	changed   chan struct{}
}

// NewPublisher returns a Publisher that builds nothing until Run.
func NewPublisher(o PublisherOptions) (*Publisher, error) {
	if o.Records == nil {
		return nil, errors.New("extension: PublisherOptions needs Records")
	}
	if o.Source == nil {
		o.Source = Files
	}
	if o.Signed == nil {
		o.Signed = func() (*SignedXPI, bool, error) { return nil, false, nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Look <= 0 {
		o.Look = 30 * time.Second
	}
	return &Publisher{o: o, wake: make(chan struct{}, 1), problem: ErrNoServerURL, changed: make(chan struct{})}, nil
}

// SetConfiguration says what to pack from now on. It waits for nothing: the packages of the
// configuration before are handed out until those of this one are built, or none when it cannot be packed.
func (p *Publisher) SetConfiguration(c Configuration) {
	problem := c.Check()
	p.mu.Lock()
	p.wanted, p.problem = c, problem
	if problem != nil {
		p.published = nil
	}
	p.announce()
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default: // it looks at the newest anyway
	}
}

// Packages returns what there is to hand out. While the first are being built it waits for them, as
// long as ctx allows. The errors are those of Configuration.Check and ErrNotBuilt.
func (p *Publisher) Packages(ctx context.Context) (*Packages, error) {
	for {
		published, changed, problem := p.state()
		if published != nil {
			return published, nil
		}
		if problem != nil {
			return nil, problem
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.Join(ErrNotBuilt, ctx.Err())
		}
	}
}

// Current returns what there is to hand out, nil for nothing. It waits for nothing.
func (p *Publisher) Current() *Packages {
	published, _, _ := p.state()
	return published
}

func (p *Publisher) state() (*Packages, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published, p.changed, p.problem
}

// announce lets those who wait look again. The caller holds the lock.
func (p *Publisher) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Run builds until ctx ends. What fails is logged, and tried again.
func (p *Publisher) Run(ctx context.Context) {
	look := time.NewTicker(p.o.Look)
	defer look.Stop()
	b := &builder{publisher: p}
	for {
		b.build(ctx)
		select {
		case <-p.wake:
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// builder is what the one goroutine that builds remembers.
type builder struct {
	publisher *Publisher
	built     Configuration // of the packages that are published
	signed    *SignedXPI
	outdated  bool   // signed is another than in the packages that are published
	complaint string // about the signed XPI, said already
}

// build builds what is wanted unless that is what is published.
func (b *builder) build(ctx context.Context) {
	p := b.publisher
	b.lookForSigned(ctx)
	p.mu.Lock()
	wanted, problem, published := p.wanted, p.problem, p.published
	p.mu.Unlock()
	if problem != nil && !errors.Is(problem, ErrNotBuilt) || published != nil && !b.outdated && b.built.equal(wanted) {
		return
	}
	packages, err := Pack(ctx, p.o.Records, p.o.Source, wanted, b.signed)
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.wanted.equal(wanted) {
		return // there is a newer one, and the token that says so
	}
	defer p.announce()
	if err != nil {
		p.problem = ErrNotBuilt
		p.o.Logger.ErrorContext(ctx, "the browser extension cannot be built", "err", err)
		return
	}
	p.problem, p.published, b.built, b.outdated = nil, packages, wanted, false
	p.o.Logger.InfoContext(ctx, "browser extension built", "version", packages.Version, "id", packages.ChromeID, "xpi_signed", packages.XPISigned)
	if b.signed != nil && !packages.XPISigned {
		p.o.Logger.WarnContext(ctx, "the signed XPI is of another add-on and is not handed out: have the one of this server signed", "id", packages.FirefoxID)
	}
}

// lookForSigned notes when the signed XPI is another than before.
func (b *builder) lookForSigned(ctx context.Context) {
	signed, changed, err := b.publisher.o.Signed()
	if err != nil {
		if complaint := err.Error(); complaint != b.complaint {
			b.complaint = complaint
			b.publisher.o.Logger.WarnContext(ctx, "the signed XPI cannot be handed out", "err", err)
		}
	} else {
		b.complaint = ""
	}
	if changed {
		b.signed, b.outdated = signed, true
	}
}

package sourcegraph

import "errors"

// What can be wrong with the address of an instance.
var (
	// ErrSourcegraphDotCom means sourcegraph.com or a host below it.
	ErrSourcegraphDotCom = errors.New("primaryURL must be your own Sourcegraph instance")
	// ErrInvalidInstance means anything else that is no address of an instance.
	ErrInvalidInstance = errors.New("not the address of a Sourcegraph instance")
)

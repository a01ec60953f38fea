package cyborgkms

import (
	"errors"
	"fmt"
	"runtime"
)

var errGone = errors.New("ended its goroutine (runtime.Goexit)")

// start runs a caller's code on a goroutine of its own: neither a panic nor runtime.Goexit may unwind through frames
// of C. done hears how it ended.
func start(code func(), done func(fault error)) {
	go func() {
		finished := false
		defer func() {
			if finished {
				done(nil)
				return
			}
			done(ended(recover()))
		}()
		code()
		finished = true
	}()
}

// guard is start, waited for.
func guard(code func()) error {
	faults := make(chan error, 1)
	start(code, func(fault error) { faults <- fault })
	return <-faults
}

// ended tells the panic's kind. Its text only where the Go runtime made it: any other may hold a secret.
func ended(reason any) error {
	switch reason := reason.(type) {
	case nil:
		return errGone
	case runtime.Error:
		return fmt.Errorf("panicked: %w", reason)
	default:
		return fmt.Errorf("panicked with a value of type %T", reason)
	}
}

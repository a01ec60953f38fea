package cyborgkms

// #include "shim.h"
import "C"

import (
	"errors"
	"io"
	"runtime/cgo"
	"strings"
	"sync"
)

// served is a caller's Provider or Records, and how many of its methods run: a call that gave up on one leaves it
// running, and the library may be done with the object meanwhile.
type served struct {
	object  any
	running sync.WaitGroup
}

// serving is what a handle of C's stands for.
func serving[T any](handle C.uintptr_t) (*served, T) {
	s := cgo.Handle(handle).Value().(*served)
	return s, s.object.(T)
}

// end closes what the library is done with, once its last method has returned. Nobody waits for it: least of all the
// thread of the library that says so.
func (s *served) end() {
	closer, ok := s.object.(io.Closer)
	if !ok {
		return
	}
	start(func() {
		s.running.Wait()
		_ = closer.Close()
	}, func(error) {}) // there is nobody to tell
}

// method is a method of a caller's Provider or Records.
type method struct {
	of   *served
	name string
	// unknown is the status of an error that has none.
	unknown Status
	// secret: what it gives is wiped when it was answered.
	secret bool
	run    func() (data []byte, revision uint64, err error)
}

// answer runs a caller's method and answers with what it gave. The thread of the library that asked goes on: it waits
// for the reply with a deadline, which a method that hangs must not take from it.
func (m method) answer(reply *C.cyborg_kms_reply) {
	var data []byte
	var revision uint64
	var failed *Error
	m.of.running.Add(1)
	start(func() {
		var err error
		if data, revision, err = m.run(); err != nil {
			failed = m.told(err)
		}
	}, func(fault error) {
		defer m.of.running.Done() // not before the answer: its bytes may be gone with the object
		if m.secret {
			defer Wipe(data)
		}
		switch {
		case fault == errGone:
			C.cyborg_kms_reply_free(reply) // there is no answer: the library says so
		case fault != nil:
			answerError(reply, &Error{Status: ErrInternal, Message: m.name + " " + fault.Error()})
		case failed != nil:
			answerError(reply, failed)
		default:
			C.cyborg_kms_reply_bytes(reply, pointer(data), length(data), C.uint64_t(revision))
		}
	})
}

// told is what the library hears of an error: its status, or the method's for one that has none.
func (m method) told(err error) *Error {
	told := &Error{Status: m.unknown, Message: err.Error()}
	var failed *Error
	if errors.As(err, &failed) {
		told.Status, told.ProviderCode = failed.Status, failed.ProviderCode
	} else {
		errors.As(err, &told.Status)
	}
	if told.Status == OK {
		told.Status = ErrInternal
	}
	return told
}

func answerError(reply *C.cyborg_kms_reply, failed *Error) {
	C.cyborg_kms_reply_error(reply, C.cyborg_kms_status(failed.Status), shown(failed.ProviderCode), shown(failed.Message))
}

// shown is a text for people: a NUL, which C can't hold, is replaced.
func shown(s string) *C.char {
	shown, _ := text("", strings.ReplaceAll(s, "\x00", "\uFFFD"))
	return shown
}

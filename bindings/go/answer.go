package cyborgkms

// #include "shim.h"
import "C"

import (
	"errors"
	"strings"
)

// method is a method of a caller's Provider or Records.
type method struct {
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
	start(func() {
		var err error
		if data, revision, err = m.run(); err != nil {
			failed = m.told(err)
		}
	}, func(fault error) {
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

// shown is a text for people: what C can't hold is replaced.
func shown(s string) *C.char {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
	shown, _ := text("", s) // it has no NUL
	return shown
}

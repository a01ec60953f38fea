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
	var err error
	start(func() { data, revision, err = m.run() }, func(fault error) {
		if m.secret {
			defer Wipe(data)
		}
		switch {
		case fault != nil:
			answerError(reply, errors.New(m.name+" "+fault.Error()), ErrInternal)
		case err != nil:
			answerError(reply, err, m.unknown)
		default:
			C.cyborg_kms_reply_bytes(reply, pointer(data), length(data), C.uint64_t(revision))
		}
	})
}

// answerError answers with the status that an error has, or with unknown.
func answerError(reply *C.cyborg_kms_reply, err error, unknown Status) {
	var failed *Error
	var code string
	status, message := unknown, err.Error()
	if errors.As(err, &failed) {
		status, code = failed.Status, failed.ProviderCode
	} else {
		errors.As(err, &status)
	}
	if status == OK {
		status = ErrInternal
	}
	C.cyborg_kms_reply_error(reply, C.cyborg_kms_status(status), shown(code), shown(message))
}

// shown is a text for people: what C can't hold is replaced.
func shown(s string) *C.char {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
	shown, _ := text("", s) // it has no NUL
	return shown
}

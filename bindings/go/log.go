package cyborgkms

// #include "shim.h"
import "C"

import (
	"runtime/cgo"
	"sync"
)

// LogLevel is how much is logged.
type LogLevel uint32

const (
	LogOff   LogLevel = C.CYBORG_KMS_LOG_OFF   // nothing
	LogError LogLevel = C.CYBORG_KMS_LOG_ERROR // something is broken
	LogWarn  LogLevel = C.CYBORG_KMS_LOG_WARN  // something needs a look
	LogInfo  LogLevel = C.CYBORG_KMS_LOG_INFO  // what an operator wants to know
	LogDebug LogLevel = C.CYBORG_KMS_LOG_DEBUG // each call of a KMS
	LogTrace LogLevel = C.CYBORG_KMS_LOG_TRACE // everything
)

// LogLine is a line of the library's log. Nothing secret, ever.
type LogLine struct {
	Level LogLevel
	// Target is the part of the library.
	Target  string
	Message string
	// FieldsJSON is an object such as {"slot":"prod","operation":"unwrap","duration_ms":7}.
	FieldsJSON string
}

var logging struct {
	mutex  sync.Mutex
	handle cgo.Handle
}

// SetLogCallback sets who gets the log of the whole process; nil, or LogOff, ends it. It returns when nothing is in
// the former callback any more. The callback is called by several goroutines at once and must not call this package;
// a panic in it is swallowed.
func SetLogCallback(maxLevel LogLevel, log func(LogLine)) {
	logging.mutex.Lock()
	defer logging.mutex.Unlock()
	var handle cgo.Handle
	if log != nil && maxLevel != LogOff {
		handle = cgo.NewHandle(log)
	}
	C.go_kms_set_log_callback(C.cyborg_kms_log_level(maxLevel), C.uintptr_t(handle))
	if logging.handle != 0 {
		logging.handle.Delete()
	}
	logging.handle = handle
}

package cyborgkms

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// KEK are a KEK's bytes in options, which get printed and logged: fmt, slog and JSON show only how many there are. Any
// []byte can be assigned to it.
type KEK []byte

// String is such as "32 bytes".
func (k KEK) String() string { return fmt.Sprintf("%d bytes", len(k)) }

// Format is String for every verb.
func (k KEK) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, k.String()) }

// LogValue is String.
func (k KEK) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON is String.
func (k KEK) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

package cyborgkms_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	kms "cyborg-kms.internal/cyborgkms"
)

func TestKEKsAreNeverShown(t *testing.T) {
	kek := bytes.Repeat([]byte{0x51}, kms.KeyLen) // Q, 81
	options, change := kms.OpenOptions{KEK: kek}, kms.KeyChange{OldKEK: kek, NewKEK: kek}
	for _, value := range []any{options, &options, change, &change, options.KEK, []kms.OpenOptions{options}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%z"} {
			wantHidden(t, verb, fmt.Sprintf(verb, value))
		}
		wantHidden(t, "JSON", string(must(json.Marshal(value))(t)))
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			out.Reset()
			slog.New(handler).Info("opening", "with", value)
			wantHidden(t, fmt.Sprintf("%T", handler), out.String())
		}
	}
}

func wantHidden(t *testing.T, how, text string) {
	t.Helper()
	kek := bytes.Repeat([]byte{0x51}, 4)
	if !strings.Contains(text, "32 bytes") {
		t.Errorf("%s: %s", how, text)
	}
	for _, shown := range []string{
		string(kek), hex.EncodeToString(kek), "51 51", "81 81", "81, 81", "0x51", "121 121",
		base64.StdEncoding.EncodeToString(kek)[:5],
	} {
		if strings.Contains(text, shown) {
			t.Errorf("%s shows the key: %s", how, text)
		}
	}
}

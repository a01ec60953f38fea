package cyborgkms_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	kms "cyborg-kms.internal/cyborgkms"
)

func TestVersions(t *testing.T) {
	parts := fmt.Sprintf("%d.%d.%d", kms.HeaderVersionMajor, kms.HeaderVersionMinor, kms.HeaderVersionPatch)
	if kms.Version() != kms.HeaderVersion || parts != kms.HeaderVersion {
		t.Fatalf("the library says %s, its header %s, in parts %s", kms.Version(), kms.HeaderVersion, parts)
	}
	if kms.ABIVersion() != kms.HeaderABIVersion {
		t.Fatalf("the library says ABI %d, its header %d", kms.ABIVersion(), kms.HeaderABIVersion)
	}
}

func TestRandomKeys(t *testing.T) {
	one, other := make([]byte, kms.KeyLen), make([]byte, kms.KeyLen)
	wantNone(t, kms.RandomKey(one))
	wantNone(t, kms.RandomKey(other))
	if bytes.Equal(one, other) || bytes.Equal(one, make([]byte, kms.KeyLen)) {
		t.Fatal("not random")
	}
	wantStatus(t, kms.RandomKey(nil), kms.ErrInvalidArgument)
}

func TestAStatusIsAnError(t *testing.T) {
	var err error = kms.ErrNotFound
	if err.Error() != "cyborg_kms: NOT_FOUND" || kms.OK.String() != "OK" || kms.Status(999).String() != "UNKNOWN" {
		t.Fatal(err, kms.OK, kms.Status(999))
	}
	wrapped := fmt.Errorf("opening orders: %w", &kms.Error{Status: kms.ErrThrottled, RetryAfter: time.Second})
	if !errors.Is(wrapped, kms.ErrThrottled) || errors.Is(wrapped, kms.ErrTimeout) {
		t.Fatal("errors.Is does not find the status")
	}
}

func TestWhatAnErrorTells(t *testing.T) {
	engine := openYAML(t, localYAML(t))
	_, err := engine.OpenIndex(background, "nobody")
	failed := wantStatus(t, err, kms.ErrNotFound)
	if failed.Retryable || failed.OutcomeUnknown || failed.RetryAfter != 0 || failed.ProviderCode != "" ||
		!strings.HasPrefix(err.Error(), "cyborg_kms: NOT_FOUND: ") {
		t.Fatalf("%+v", failed)
	}
	_, err = kms.OpenYAML("kms: {regstry: {}}")
	if failed = wantStatus(t, err, kms.ErrConfig); !strings.Contains(failed.Message, "regstry") {
		t.Fatal(failed)
	}
	_, err = kms.Open("/nowhere/db.yaml")
	wantStatus(t, err, kms.ErrConfig)
}

func TestATextWithANULIsRefused(t *testing.T) {
	engine, _ := localIndex(t)
	_, opened := engine.OpenIndex(background, "customers\x00x")
	_, created := engine.CreateIndex(background, "other", "prod\x00")
	_, config := kms.OpenYAML("{}\x00")
	_, path := kms.Open("a\x00b")
	_, url := kms.OpenStore("memory://\x00")
	for _, err := range []error{opened, created, config, path, url, engine.Evict("customers\x00"),
		engine.Check(background, "prod\x00"), engine.ReloadYAML("{}\x00"), engine.RegisterProvider("a\x00", newFlip())} {
		wantStatus(t, err, kms.ErrInvalidArgument)
	}
}

func TestTheLogIsHeard(t *testing.T) {
	lines := make(chan kms.LogLine, 1000)
	kms.SetLogCallback(kms.LogTrace, func(line kms.LogLine) {
		select {
		case lines <- line:
		default:
		}
		panic("a panic in a callback of the log is swallowed")
	})
	_, index := localIndex(t)
	line := inTime(t, "a line of the log", lines)
	if line.Message == "" || line.Target == "" || line.Level < kms.LogError || line.Level > kms.LogTrace ||
		!strings.HasPrefix(line.FieldsJSON, "{") {
		t.Fatalf("%+v", line)
	}
	kms.SetLogCallback(kms.LogTrace, nil)
	for len(lines) > 0 {
		<-lines
	}
	wantNone(t, index.Refresh(background))
	kms.SetLogCallback(kms.LogOff, func(line kms.LogLine) { lines <- line })
	wantNone(t, index.Refresh(background))
	if len(lines) > 0 {
		t.Fatalf("heard %+v after it was ended", <-lines)
	}
	kms.SetLogCallback(kms.LogOff, nil)
}

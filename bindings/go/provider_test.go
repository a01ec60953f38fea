package cyborgkms_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	kms "cyborg-kms.internal/cyborgkms"
)

func TestAProviderOfTheCallers(t *testing.T) {
	provider := newFlip()
	engine := flipEngine(t, provider, "")
	wantNone(t, engine.Check(background, "own"))
	wantNone(t, engine.Check(background, ""))
	index := must(engine.CreateIndex(background, "a", "own"))(t)
	sealed := must(index.Encrypt(nil, []byte("page"), nil))(t)
	wantNone(t, engine.Evict("a"))
	if opened := must(index.Decrypt(nil, sealed, nil))(t); string(opened) != "page" {
		t.Fatalf("got %q", opened)
	}
	if index.Name() != "a" || index.KMSName() != "own" || index.Provider() != "external:flip" ||
		index.KeyID() != "k1" || index.Version() != 1 || index.Epoch() != 1 || index.DataKeyID() != 1 {
		t.Fatal(index.Name(), index.KMSName(), index.Provider(), index.KeyID(), index.Version(), index.Epoch(), index.DataKeyID())
	}
	_, _ = index.Close(), engine.Close()
	inTime(t, "closing the provider", provider.closed)
}

func TestWhatAProviderMayAnswer(t *testing.T) {
	denied := &kms.Error{Status: kms.ErrAccessDenied, Message: "not you", ProviderCode: "Denied"}
	for name, c := range map[string]struct {
		unwrap func(string) error
		status kms.Status
		says   string
		code   string
	}{
		"a status":         {func(string) error { return kms.ErrKeyDisabled }, kms.ErrKeyDisabled, "", ""},
		"a wrapped status": {func(string) error { return fmt.Errorf("vault: %w", kms.ErrKeyNotFound) }, kms.ErrKeyNotFound, "vault", ""},
		"an *Error":        {func(string) error { return fmt.Errorf("vault: %w", denied) }, kms.ErrAccessDenied, "not you", "Denied"},
		"any error":        {func(string) error { return errors.New("no idea\x00, and \xff") }, kms.ErrInternal, "no idea\uFFFD, and \uFFFD", ""},
		"OK as an error":   {func(string) error { return kms.OK }, kms.ErrInternal, "", ""},
		"a panic":          {func(string) error { panic("the key is 123") }, kms.ErrInternal, "panicked", ""},
		"a runtime panic":  {func(string) error { var m map[int]int; m[1] = 1; return nil }, kms.ErrInternal, "nil map", ""},
		"a broken error":   {func(string) error { return (*kms.Error)(nil) }, kms.ErrInternal, "nil pointer", ""},
		"Goexit":           {func(string) error { runtime.Goexit(); return nil }, kms.ErrInternal, "without an answer", ""},
	} {
		t.Run(name, func(t *testing.T) {
			provider := newFlip()
			engine := flipEngine(t, provider, "")
			index := must(engine.CreateIndex(background, "a", "own"))(t)
			provider.disturb(c.unwrap)
			failed := wantStatus(t, index.Refresh(background), c.status)
			if !strings.Contains(failed.Message, c.says) || strings.Contains(failed.Message, "123") ||
				failed.ProviderCode != c.code {
				t.Fatalf("%+v", failed)
			}
		})
	}
}

// nonsense answers with what no KEK or wrap can be.
type nonsense struct{ answer []byte }

func (n nonsense) Wrap(string, []byte, []byte) ([]byte, error)   { return n.answer, nil }
func (n nonsense) Unwrap(string, []byte, []byte) ([]byte, error) { return n.answer, nil }

func TestNonsenseOfAProviderIsRefused(t *testing.T) {
	for name, answer := range map[string][]byte{"nothing": nil, "one byte": {1}, "too much": make([]byte, 1<<17)} {
		t.Run(name, func(t *testing.T) {
			engine := flipEngine(t, nonsense{answer}, "")
			if err := engine.Check(background, "own"); err == nil || errors.Is(err, kms.ErrClosed) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestAProviderThatHangsIsATimeout(t *testing.T) {
	provider := newFlip()
	engine := flipEngine(t, provider, ", request_timeout: 50ms")
	release := make(chan struct{})
	provider.disturb(func(string) error { <-release; return nil })
	wantStatus(t, engine.Check(background, "own"), kms.ErrTimeout)
	close(release) // its late answer goes nowhere
	provider.disturb(nil)
	wantNone(t, engine.Check(background, "own"))
}

func TestAProviderIsClosedAfterItsLastMethod(t *testing.T) {
	for name, c := range map[string]struct {
		timeout string
		status  kms.Status
	}{
		"a timeout":           {"50ms", kms.ErrTimeout},
		"a cancelled context": {"5m", kms.ErrCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			provider := newFlip()
			engine := flipEngine(t, provider, ", deadline: 5m, request_timeout: "+c.timeout)
			_ = must(engine.CreateIndex(background, "a", "own"))(t).Close()
			wantNone(t, engine.Evict("a"))
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			begun := func() {
				if c.status == kms.ErrCancelled {
					cancel()
				}
			}
			wantClosedLast(t, provider.disturb, provider.closed, begun, func() {
				_, err := engine.OpenIndex(ctx, "a")
				wantStatus(t, err, c.status)
				wantNone(t, engine.Close())
			})
		})
	}
}

// wantClosedLast has a method hang, which giveUp calls: by then nothing uses the method's object any more.
func wantClosedLast(t *testing.T, disturb func(func(string) error), closed chan struct{}, begun, giveUp func()) {
	t.Helper()
	until, release := context.WithCancel(background)
	defer release()
	disturb(func(string) error {
		begun()
		<-until.Done()
		if len(closed) > 0 {
			t.Error("closed while a method of it ran")
		}
		return nil
	})
	giveUp()
	time.Sleep(50 * time.Millisecond) // for a Close that comes too early
	release()
	inTime(t, "closing it", closed)
}

func TestRegisteringThatFailsClosesTheProvider(t *testing.T) {
	provider := newFlip()
	engine := flipEngine(t, provider, "")
	again := newFlip()
	wantStatus(t, engine.RegisterProvider("flip", again), kms.ErrAlreadyExists)
	inTime(t, "closing the provider", again.closed)
	wantStatus(t, engine.RegisterProvider("a\x00", again), kms.ErrInvalidArgument)
	inTime(t, "closing the provider", again.closed)
	closed := openYAML(t, "{}")
	wantNone(t, closed.Close())
	wantStatus(t, closed.RegisterProvider("flip", again), kms.ErrInvalidArgument)
	inTime(t, "closing the provider", again.closed)
	wantStatus(t, engine.RegisterProvider("other", nil), kms.ErrInvalidArgument)
	if len(provider.closed) != 0 || len(again.closed) != 0 {
		t.Fatal("closed twice, or while it is in use")
	}
	_, err := openYAML(t, `kms: {registry: {own: {provider: "external:flip"}}}`).CreateIndex(background, "a", "own")
	wantStatus(t, err, kms.ErrConfig)
}

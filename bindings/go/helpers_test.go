package cyborgkms_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	kms "cyborg-kms.internal/cyborgkms"
)

var background = context.Background()

// patience is only for what must not hang.
const patience = 20 * time.Second

// localYAML has a store on disk and a slot "prod" whose key is a file.
func localYAML(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	return fmt.Sprintf("storage: {url: %q}\nkms: {registry: {prod: {provider: local, key_id: %q, create: true}}}\n",
		filepath.Join(dir, "store"), filepath.Join(dir, "wrap.key"))
}

// Taken before a test goes to another folder.
var sourceRoot, sourceError = filepath.Abs(cmp.Or(os.Getenv("CYBORG_KMS_SOURCE"), "../.."))

// source is the library's source, with its header and vectors: CYBORG_KMS_SOURCE where the binding was taken out of it.
func source(t testing.TB) string {
	t.Helper()
	return must(sourceRoot, sourceError)(t)
}

func openYAML(t testing.TB, yaml string) *kms.Engine {
	t.Helper()
	engine := must(kms.OpenYAML(yaml))(t)
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// localIndex is a new index of slot "prod".
func localIndex(t testing.TB) (*kms.Engine, *kms.Index) {
	t.Helper()
	engine := openYAML(t, localYAML(t))
	index := must(engine.CreateIndex(background, "customers", "prod"))(t)
	t.Cleanup(func() { _ = index.Close() })
	return engine, index
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func wantNone(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantStatus gives the error, which must have a status and a message of one line.
func wantStatus(t testing.TB, err error, status kms.Status) *kms.Error {
	t.Helper()
	var failed *kms.Error
	if !errors.Is(err, status) || !errors.As(err, &failed) {
		t.Fatalf("want %v, got %v", status, err)
	}
	if failed.Message == "" || bytes.ContainsRune([]byte(failed.Message), '\n') {
		t.Fatalf("the message is not one line: %q", failed.Message)
	}
	return failed
}

// inTime waits for something that must happen.
func inTime[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case value := <-c:
		return value
	case <-time.After(patience):
		t.Fatalf("%s: nothing in %v", what, patience)
		panic("unreachable")
	}
}

// flip is a "KMS" that flips bits and binds the AAD: the provider of the vectors, and one to disturb.
type flip struct {
	mutex  sync.Mutex
	before func(method string) error
	closed chan struct{}
}

func newFlip() *flip { return &flip{closed: make(chan struct{}, 8)} }

func (f *flip) Close() error {
	f.closed <- struct{}{}
	return nil
}

// disturb has every later call go through before first.
func (f *flip) disturb(before func(method string) error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.before = before
}

func (f *flip) disturbed(method string) error {
	f.mutex.Lock()
	before := f.before
	f.mutex.Unlock()
	if before == nil {
		return nil
	}
	return before(method)
}

func flipped(data []byte) []byte {
	out := make([]byte, len(data))
	for at, b := range data {
		out[at] = b ^ 0x5a
	}
	return out
}

func (f *flip) Wrap(_ string, _, kek []byte) ([]byte, error) {
	if err := f.disturbed("wrap"); err != nil {
		return nil, err
	}
	return flipped(kek), nil
}

func (f *flip) Unwrap(_ string, _, wrapped []byte) ([]byte, error) {
	if err := f.disturbed("unwrap"); err != nil {
		return nil, err
	}
	return flipped(wrapped), nil
}

// flipEngine has a store in memory and a slot "own" of the provider; no tries are repeated.
func flipEngine(t testing.TB, provider kms.Provider, more string) *kms.Engine {
	t.Helper()
	engine := openYAML(t, `kms: {registry: {own: {provider: "external:flip", key_id: k1, max_retries: 0`+more+`}}}`)
	wantNone(t, engine.RegisterProvider("flip", provider))
	return engine
}

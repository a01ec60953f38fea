package cyborgkms_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	kms "cyborg-kms.internal/cyborgkms"
)

// exampleConfig has a store in memory and a slot whose key is a file in a folder of the example's.
func exampleConfig() (yaml string, remove func()) {
	dir, err := os.MkdirTemp("", "cyborgkms")
	if err != nil {
		log.Fatal(err)
	}
	key := filepath.Join(dir, "wrap.key")
	return fmt.Sprintf("kms: {registry: {prod: {provider: local, key_id: %q, create: true}}}", key),
		func() { _ = os.RemoveAll(dir) }
}

// A page is sealed under the key of its index, and opened again.
func Example() {
	yaml, remove := exampleConfig()
	defer remove()
	engine, err := kms.OpenYAML(yaml)
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	index, err := engine.CreateIndex(context.Background(), "customers", "prod")
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()

	// The AAD says where the page belongs: in another place it does not open.
	sealed, err := index.Encrypt(nil, []byte("what nobody else may read"), []byte("page 1"))
	if err != nil {
		log.Fatal(err)
	}
	page, err := index.Decrypt(nil, sealed, []byte("page 1"))
	fmt.Printf("%d bytes sealed: %s, %v\n", len(sealed), page, err)
	_, err = index.Decrypt(nil, sealed, []byte("page 2"))
	fmt.Println(errors.Is(err, kms.ErrAuthenticationFailed))
	// Output:
	// 73 bytes sealed: what nobody else may read, <nil>
	// true
}

// What to do about a failure.
func ExampleError() {
	engine, err := kms.OpenYAML("{}")
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	_, err = engine.OpenIndex(context.Background(), "customers")
	var failed *kms.Error
	switch {
	case errors.Is(err, kms.ErrNotFound):
		fmt.Println("lost, or not mounted: never create it anew")
	case errors.As(err, &failed) && failed.Retryable:
		time.Sleep(failed.RetryAfter)
	}
	// Output: lost, or not mounted: never create it anew
}

// Pages of one size are sealed in place, without any allocation.
func ExampleIndex_Encrypt_inPlace() {
	yaml, remove := exampleConfig()
	defer remove()
	engine, err := kms.OpenYAML(yaml)
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	index, err := engine.CreateIndex(context.Background(), "customers", "prod")
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()

	buffer := make([]byte, 4096+kms.Overhead)
	page := buffer[32:][:4096] // 32 bytes behind the room: nothing is moved
	copy(page, "a page")
	sealed, err := index.Encrypt(buffer[:0], page, nil)
	fmt.Println(len(sealed), &sealed[0] == &buffer[0], err)
	// Output: 4144 true <nil>
}

// A rotor stands for a KMS that the library does not know.
type rotor struct{}

func (rotor) Wrap(keyID string, aad, kek []byte) ([]byte, error) {
	wrapped := make([]byte, len(kek))
	for at, b := range kek {
		wrapped[at] = b + 13
	}
	return wrapped, nil
}

func (rotor) Unwrap(keyID string, aad, wrapped []byte) ([]byte, error) {
	if keyID != "k1" {
		return nil, fmt.Errorf("the rotor has no key %s: %w", keyID, kms.ErrKeyNotFound)
	}
	kek := make([]byte, len(wrapped))
	for at, b := range wrapped {
		kek[at] = b - 13
	}
	return kek, nil
}

// A KMS of one's own serves a slot.
func ExampleEngine_RegisterProvider() {
	engine, err := kms.OpenYAML(`kms: {registry: {own: {provider: "external:rotor", key_id: k1}}}`)
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	if err := engine.RegisterProvider("rotor", rotor{}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(engine.Check(context.Background(), "own"))
	// Output: <nil>
}

// The library's log goes to slog.
func ExampleSetLogCallback() {
	levels := map[kms.LogLevel]slog.Level{kms.LogError: slog.LevelError, kms.LogWarn: slog.LevelWarn, kms.LogInfo: slog.LevelInfo}
	kms.SetLogCallback(kms.LogInfo, func(line kms.LogLine) {
		slog.Log(context.Background(), levels[line.Level], line.Message, "target", line.Target, "fields", line.FieldsJSON)
	})
	defer kms.SetLogCallback(kms.LogOff, nil)
}

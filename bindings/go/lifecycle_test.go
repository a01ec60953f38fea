package cyborgkms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	kms "cyborg-kms.internal/cyborgkms"
)

func TestRotations(t *testing.T) {
	engine, index := localIndex(t)
	sealed := must(index.Encrypt(nil, []byte("before"), nil))(t)
	derived, after := make([]byte, 32), make([]byte, 32)
	wantNone(t, index.DeriveKey(derived, "tokens", nil))
	former := must(index.ExportKEK(0))(t)

	err := engine.Rotate(background, "customers", kms.RotateDataKey, "")
	wantNone(t, err)
	wantNone(t, index.Refresh(background))
	if id := must(kms.PageDataKeyID(must(index.Encrypt(nil, nil, nil))(t)))(t); id != 2 || index.DataKeyID() != 2 {
		t.Fatalf("new pages have data key %d, the index says %d", id, index.DataKeyID())
	}
	wantNone(t, engine.Rotate(background, "customers", kms.RotateKEK, "prod"))
	wantNone(t, engine.Rotate(background, "customers", kms.RotateRewrap, ""))
	wantNone(t, index.Refresh(background))
	if current := must(index.ExportKEK(0))(t); bytes.Equal(current, former) {
		t.Fatal("the KEK is the former one")
	}
	if kept := must(index.ExportKEK(1))(t); !bytes.Equal(kept, former) {
		t.Fatal("the former KEK is another")
	}
	must(index.Decrypt(nil, sealed, nil))(t)
	wantNone(t, index.DeriveKey(after, "tokens", nil))
	if !bytes.Equal(after, derived) {
		t.Fatal("a rotation changed a derived key")
	}
	wantNone(t, engine.RetireKEK(background, "customers", 1))
	_, err = index.ExportKEK(1)
	wantStatus(t, err, kms.ErrNotFound)
	// Other processes may still seal with it.
	wantStatus(t, engine.RetireDataKey(background, "customers", 1), kms.ErrConflict)
	wantStatus(t, engine.RetireDataKey(background, "customers", 99), kms.ErrNotFound)
	wantStatus(t, engine.Rotate(background, "nobody", kms.RotateKEK, ""), kms.ErrNotFound)
	wantStatus(t, engine.Rotate(background, "customers", kms.RotateKEK, "no slot"), kms.ErrConfig)
}

func TestRotationsOfProviderNone(t *testing.T) {
	engine := openYAML(t, localYAML(t))
	one, other := make([]byte, kms.KeyLen), make([]byte, kms.KeyLen)
	wantNone(t, kms.RandomKey(one))
	wantNone(t, kms.RandomKey(other))
	index := must(engine.CreateIndexWithKey(background, "none", "", one))(t)
	sealed := must(index.Encrypt(nil, []byte("before"), nil))(t)
	wantNone(t, index.Close())

	err := engine.RotateWithKey(background, "none", kms.RotateKEK, kms.KeyChange{OldKEK: one, NewKEK: other})
	wantNone(t, err)
	open := func(kek []byte) *kms.Index { return must(engine.OpenIndexWithKey(background, "none", kek))(t) }
	must(open(other).Decrypt(nil, sealed, nil))(t)
	_, err = engine.OpenIndexWithKey(background, "none", one)
	wantStatus(t, err, kms.ErrAuthenticationFailed)
	// Into a slot's care, and back to the caller, who proves that he has what nobody else will keep.
	change := kms.KeyChange{KMSName: "prod", OldKEK: other}
	wantNone(t, engine.RotateWithKey(background, "none", kms.RotateRewrap, change))
	guarded := must(engine.OpenIndex(background, "none"))(t)
	must(guarded.Decrypt(nil, sealed, nil))(t)
	change = kms.KeyChange{ToNone: true, NewKEK: other}
	wantNone(t, engine.RotateWithKey(background, "none", kms.RotateRewrap, change))
	must(open(other).Decrypt(nil, sealed, nil))(t)
}

func TestStatesAndDeletion(t *testing.T) {
	engine, index := localIndex(t)
	err := engine.DisableIndex(background, "customers")
	wantNone(t, err)
	_, err = index.Encrypt(nil, nil, nil)
	wantStatus(t, err, kms.ErrKeyDisabled)
	wantNone(t, engine.EnableIndex(background, "customers"))
	must(index.Encrypt(nil, nil, nil))(t)
	wantNone(t, engine.ScheduleDeletion(background, "customers", 24))
	wantStatus(t, engine.EnableIndex(background, "customers"), kms.ErrKeyDisabled)
	var description map[string]any
	wantNone(t, json.Unmarshal(must(engine.DescribeIndex(background, "customers"))(t), &description))
	if len(description) == 0 {
		t.Fatal("an empty description")
	}
	wantNone(t, engine.CancelDeletion(background, "customers"))
	_, err = index.Encrypt(nil, nil, nil)
	wantStatus(t, err, kms.ErrKeyDisabled)
	wantNone(t, engine.EnableIndex(background, "customers"))
	var receipt map[string]any
	wantNone(t, json.Unmarshal(must(engine.DeleteIndex(background, "customers"))(t), &receipt))
	if len(receipt) == 0 {
		t.Fatal("an empty receipt")
	}
	_, err = engine.OpenIndex(background, "customers")
	wantStatus(t, err, kms.ErrNotFound)
}

func TestSync(t *testing.T) {
	engine := openYAML(t, localYAML(t))
	for number := range 3 {
		_ = must(engine.CreateIndex(background, fmt.Sprint("index ", number), "prod"))(t).Close()
	}
	var heard []kms.Progress
	options := kms.SyncOptions{DryRun: true, Concurrency: 1, RequestsPerSecond: 1000}
	report, err := engine.Sync(background, options, func(at kms.Progress) bool {
		heard = append(heard, at)
		return true
	})
	if errors.Is(err, kms.ErrUnsupported) { // declared, not built yet: the caller hears it as that
		failed := wantStatus(t, err, kms.ErrUnsupported)
		if failed.Retryable || len(heard) != 0 || report != nil {
			t.Fatalf("%+v, %s, %+v", failed, report, heard)
		}
		return
	}
	wantNone(t, err)
	if !json.Valid(report) || len(heard) != 3 || heard[2].Done != 3 || heard[2].Total != 3 || heard[2].Status != kms.OK ||
		heard[2].IndexName == "" {
		t.Fatalf("%s, %+v", report, heard)
	}
	must(engine.Sync(background, options, nil))(t)
	_, err = engine.Sync(background, options, func(kms.Progress) bool { panic("in a callback") })
	wantStatus(t, err, kms.ErrInternal)
}

// unheard is a context that has ended, though what waits for that has not run yet.
type unheard struct {
	context.Context
	ended atomic.Bool
}

func (u *unheard) Err() error {
	if u.ended.Load() {
		return context.Canceled
	}
	return nil
}

func TestASyncThatItsContextEndsSaysSo(t *testing.T) {
	engine := openYAML(t, localYAML(t))
	for number := range 3 {
		_ = must(engine.CreateIndex(background, fmt.Sprint("index ", number), "prod"))(t).Close()
	}
	cancelled, cancel := context.WithCancel(background)
	lasting, stop := context.WithCancel(background)
	defer stop()
	silent := &unheard{Context: lasting}
	for name, c := range map[string]struct {
		ctx context.Context
		end func()
	}{
		"cancelled":                     {cancelled, cancel},
		"not heard of by the scope yet": {silent, func() { silent.ended.Store(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			heard := 0
			options := kms.SyncOptions{DryRun: true, Concurrency: 1}
			_, err := engine.Sync(c.ctx, options, func(kms.Progress) bool {
				heard++
				c.end()
				return true
			})
			if wantStatus(t, err, kms.ErrCancelled); !errors.Is(err, context.Canceled) || heard != 1 {
				t.Fatalf("%v, heard %d times", err, heard)
			}
		})
	}
}

// What can't be is refused before anything is asked, in every version of the library.
func TestChangesWithArgumentsThatCannotBe(t *testing.T) {
	engine := openYAML(t, localYAML(t))
	const wrong = "a\x00b"
	_, deleted := engine.DeleteIndex(background, wrong)
	_, described := engine.DescribeIndex(background, wrong)
	_, empty := engine.DescribeIndex(background, "")
	for at, err := range []error{
		deleted, described, empty,
		engine.Rotate(background, wrong, kms.RotateKEK, ""),
		engine.Rotate(background, "a", kms.RotateKEK, wrong),
		engine.Rotate(background, "a", 99, ""),
		engine.RotateWithKey(background, "a", kms.RotateKEK, kms.KeyChange{KMSName: wrong}),
		engine.RotateWithKey(background, "a", kms.RotateKEK, kms.KeyChange{KMSName: "prod", ToNone: true}),
		engine.RotateWithKey(background, "a", kms.RotateKEK, kms.KeyChange{OldKEK: []byte{1}}),
		engine.RotateWithKey(background, "a", kms.RotateKEK, kms.KeyChange{NewKEK: []byte{1}}),
		engine.ScheduleDeletion(background, "a", 23), engine.ScheduleDeletion(background, "a", 8761),
		engine.RetireDataKey(background, wrong, 1), engine.RetireKEK(background, wrong, 1),
		engine.DisableIndex(background, wrong), engine.EnableIndex(background, wrong),
		engine.CancelDeletion(background, wrong),
	} {
		if err == nil {
			t.Fatalf("call %d succeeded", at)
		}
		wantStatus(t, err, kms.ErrInvalidArgument)
	}
}

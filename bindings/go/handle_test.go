package cyborgkms_test

import (
	"bytes"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	kms "cyborg-kms.internal/cyborgkms"
)

func TestClosedHandlesSaySo(t *testing.T) {
	engine, index := localIndex(t)
	store := must(engine.Store())(t)
	for range 2 {
		wantNone(t, index.Close())
		wantNone(t, engine.Close())
		wantNone(t, store.Close())
	}
	var overhead [kms.Overhead]byte
	_, encrypted := index.Encrypt(nil, nil, nil)
	_, decrypted := index.Decrypt(nil, make([]byte, 60), nil)
	_, _, generated := index.GenerateDataKey()
	_, exported := index.ExportKEK(0)
	_, retained := index.Retain()
	_, opened := engine.OpenIndex(background, "customers")
	_, stats := engine.Stats()
	_, metrics := engine.Metrics()
	_, stored := engine.Store()
	_, scoped := engine.Scope(kms.ScopeOptions{})
	_, engineRetained := engine.Retain()
	_, got := store.Get(background, "customers")
	_, storeRetained := store.Retain()
	_, withStore := kms.OpenYAMLWithStore("{}", store)
	var listed error
	for _, err := range store.List(background, "") {
		listed = err
	}
	async := make(chan error, 1)
	engine.OpenIndexAsync("customers", kms.OpenOptions{}, func(_ *kms.Index, err error) { async <- err })
	for at, err := range []error{
		encrypted, decrypted, generated, exported, retained, opened, stats, metrics, stored, scoped, engineRetained, got,
		storeRetained, withStore, listed, index.EncryptDetached(nil, nil, nil, &overhead),
		index.DecryptDetached(nil, nil, nil, &overhead), index.DeriveKey(make([]byte, 1), "", nil),
		index.Refresh(background), engine.Evict(""), engine.Reload(), engine.Check(background, ""),
		engine.RegisterProvider("x", newFlip()), engine.SetAuditCallback(nil), inTime(t, "the callback", async),
	} {
		if !errors.Is(err, kms.ErrClosed) || !errors.Is(err, kms.ErrInvalidArgument) {
			t.Errorf("call %d: %v", at, err)
		}
	}
	if index.Name()+index.KMSName()+index.Provider()+index.KeyID() != "" || index.Version() != 0 ||
		index.Epoch() != 0 || index.DataKeyID() != 0 {
		t.Error("a closed index still tells of itself")
	}
	engine.Cancel() // does nothing
}

func TestCloseWaitsForNoneAndFreesUnderNone(t *testing.T) {
	engine, _ := localIndex(t)
	page := bytes.Repeat([]byte{1}, 4096)
	for range 50 {
		index := must(engine.OpenIndex(background, "customers"))(t)
		begun := make(chan struct{}, 4)
		var workers sync.WaitGroup
		for range 4 {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for first := true; ; first = false {
					sealed, err := index.Encrypt(nil, page, nil)
					if first {
						begun <- struct{}{}
					}
					if errors.Is(err, kms.ErrClosed) {
						return
					}
					if err != nil || len(sealed) != len(page)+kms.Overhead || index.Name() == "" && err != nil {
						t.Errorf("%d bytes, %v", len(sealed), err)
						return
					}
				}
			}()
		}
		for range 4 {
			inTime(t, "a worker", begun)
		}
		go index.Close()
		wantNone(t, index.Close())
		workers.Wait()
	}
}

func TestRetainedHandlesLiveByThemselves(t *testing.T) {
	engine, index := localIndex(t)
	otherEngine, otherIndex := must(engine.Retain())(t), must(index.Retain())(t)
	store := must(engine.Store())(t)
	otherStore := must(store.Retain())(t)
	_, _, _ = engine.Close(), index.Close(), store.Close()
	sealed := must(otherIndex.Encrypt(nil, []byte("x"), nil))(t)
	again := must(otherEngine.OpenIndex(background, "customers"))(t)
	must(again.Decrypt(nil, sealed, nil))(t)
	if blob := must(otherStore.Get(background, "customers"))(t); blob.KMSName != "prod" {
		t.Fatalf("%+v", blob)
	}
	_, _, _, _ = otherEngine.Close(), otherIndex.Close(), otherStore.Close(), again.Close()
}

// The provider hears of the end of its engine: so a handle that was forgotten was freed.
func TestForgottenHandlesAreFreed(t *testing.T) {
	provider := newFlip()
	func() {
		engine := must(kms.OpenYAML(`kms: {registry: {own: {provider: "external:flip"}}}`))(t)
		wantNone(t, engine.RegisterProvider("flip", provider))
		must(engine.CreateIndex(background, "a", "own"))(t)
		must(engine.OpenIndex(background, "a"))(t)
	}()
	collected(t, provider)
}

// collected has the collector free engine and indexes.
func collected(t *testing.T, provider *flip) {
	t.Helper()
	for end := time.Now().Add(patience); len(provider.closed) == 0; {
		if time.Now().After(end) {
			t.Fatal("the collector did not free engine and index")
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

// A forgotten handle with a KEK of the caller's waits for no other, though it was opened among others that are in use.
func TestForgottenHandlesWithAKEKAreFreedByThemselves(t *testing.T) {
	others, _ := localIndex(t)
	var used []*kms.Index
	provider := newFlip()
	func() {
		engine := must(kms.OpenYAML("{}"))(t)
		wantNone(t, engine.RegisterProvider("flip", provider)) // it hears of the end
		kek := make([]byte, kms.KeyLen)
		created := must(engine.CreateIndexWithKey(background, "a", "", kek))(t)
		for range 8 {
			used = append(used, must(others.OpenIndex(background, "customers"))(t))
			must(engine.OpenIndexWithKey(background, "a", kek))(t)
			must(engine.OpenIndexWithOptions(background, "a", kms.OpenOptions{KEK: kek}))(t)
			must(created.Retain())(t)
		}
	}()
	collected(t, provider)
	for _, index := range used {
		must(index.Encrypt(nil, nil, nil))(t)
	}
}

// While a call is under way the collector must not free what it uses, though nothing else refers to it.
func TestTheCollectorFreesUnderNone(t *testing.T) {
	engine, _ := localIndex(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			index, err := engine.OpenIndex(background, "customers")
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := index.Encrypt(nil, make([]byte, 20_000), nil); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
			runtime.GC()
		}
	}
}

package cyborgkms_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	kms "cyborg-kms.internal/cyborgkms"
)

func TestAnEngineFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.yaml")
	write := func(yaml string) { wantNone(t, os.WriteFile(path, []byte(yaml), 0o600)) }
	write("kms: {registry: {one: {provider: local, key_id: one.key, create: true}}}")
	engine := must(kms.Open(path))(t)
	defer engine.Close()
	wantNone(t, engine.Check(background, "one"))
	wantStatus(t, engine.Check(background, "two"), kms.ErrConfig)
	write("kms: {registry: {two: {provider: local, key_id: two.key, create: true}}}")
	wantNone(t, engine.Reload())
	wantNone(t, engine.Check(background, "two"))
	wantStatus(t, engine.Check(background, "one"), kms.ErrConfig)
	wantStatus(t, engine.ReloadYAML("kms: 7"), kms.ErrConfig)
	wantNone(t, engine.Check(background, "two"))
	wantNone(t, engine.ReloadYAML("{}"))
	wantStatus(t, engine.Check(background, "two"), kms.ErrConfig)
	wantStatus(t, openYAML(t, "{}").Reload(), kms.ErrInvalidArgument)
}

func TestAStoreOfTheCallersOpensTheSameIndexes(t *testing.T) {
	store := must(kms.OpenStore("memory://"))(t)
	defer store.Close()
	key := filepath.Join(t.TempDir(), "wrap.key")
	yaml := "kms: {registry: {prod: {provider: local, create: true, key_id: \"" + key + "\"}}}"
	one := must(kms.OpenYAMLWithStore(yaml, store))(t)
	defer one.Close()
	other := must(kms.OpenYAMLWithStore(yaml, store))(t)
	defer other.Close()
	sealer := must(one.CreateIndex(background, "a", "prod"))(t)
	opener := must(other.OpenIndex(background, "a"))(t)
	must(opener.Decrypt(nil, must(sealer.Encrypt(nil, []byte("x"), nil))(t), nil))(t)
	_, err := kms.OpenYAMLWithStore("storage: {url: \"memory://\"}", store)
	wantStatus(t, err, kms.ErrConfig)
	_, err = kms.OpenYAMLWithStore("\x00", store)
	wantStatus(t, err, kms.ErrInvalidArgument)
}

func TestProviderNone(t *testing.T) {
	engine := openYAML(t, localYAML(t))
	kek := make([]byte, kms.KeyLen)
	wantNone(t, kms.RandomKey(kek))
	index := must(engine.CreateIndexWithKey(background, "none", "", kek))(t)
	sealed := must(index.Encrypt(nil, []byte("x"), nil))(t)
	wantNone(t, index.Close())
	for _, open := range []func(kek []byte) (*kms.Index, error){
		func(kek []byte) (*kms.Index, error) { return engine.OpenIndexWithKey(background, "none", kek) },
		func(kek []byte) (*kms.Index, error) {
			return engine.OpenIndexWithOptions(background, "none", kms.OpenOptions{KEK: kek})
		},
	} {
		index := must(open(kek))(t)
		must(index.Decrypt(nil, sealed, nil))(t)
		wantNone(t, index.Close())
		_, err := open(bytes.Repeat([]byte{1}, kms.KeyLen))
		wantStatus(t, err, kms.ErrAuthenticationFailed)
		_, err = open(kek[:31])
		wantStatus(t, err, kms.ErrInvalidArgument)
		_, err = open(nil)
		wantStatus(t, err, kms.ErrInvalidArgument)
	}
	_, err := engine.OpenIndex(background, "none")
	wantStatus(t, err, kms.ErrInvalidArgument)
	_, err = engine.CreateIndexWithKey(background, "short", "", kek[:5])
	wantStatus(t, err, kms.ErrInvalidArgument)
	taken := must(engine.CreateIndexWithKey(background, "taken", "prod", kek))(t)
	if exported := must(taken.ExportKEK(0))(t); !bytes.Equal(exported, kek) {
		t.Fatal("the slot took another KEK into its care")
	}
	if bytes.Equal(kek, make([]byte, kms.KeyLen)) {
		t.Fatal("the caller's KEK was wiped")
	}
}

func TestOptionsOfOpening(t *testing.T) {
	engine, index := localIndex(t)
	sealed := must(index.Encrypt(nil, []byte("x"), nil))(t)
	open := func(options kms.OpenOptions) (*kms.Index, error) {
		return engine.OpenIndexWithOptions(background, "customers", options)
	}
	ingest := must(open(kms.OpenOptions{Capabilities: kms.CanEncrypt}))(t)
	must(ingest.Encrypt(nil, []byte("x"), nil))(t)
	_, decrypted := ingest.Decrypt(nil, sealed, nil)
	_, exported := ingest.ExportKEK(0)
	for _, err := range []error{decrypted, exported, ingest.DeriveKey(make([]byte, 9), "l", nil)} {
		wantStatus(t, err, kms.ErrAccessDenied)
	}
	reader := must(open(kms.OpenOptions{Capabilities: kms.CanDecrypt | kms.CanDerive | kms.CanExport}))(t)
	must(reader.Decrypt(nil, sealed, nil))(t)
	_, _, err := reader.GenerateDataKey()
	wantStatus(t, err, kms.ErrAccessDenied)
	_, err = open(kms.OpenOptions{MinEpoch: index.Epoch() + 1})
	wantStatus(t, err, kms.ErrRolledBack)
	must(open(kms.OpenOptions{MinEpoch: index.Epoch()}))(t)
	for _, wrong := range []kms.OpenOptions{{Capabilities: 1 << 20}, {Flags: 1 << 20}} {
		_, err = open(wrong)
		wantStatus(t, err, kms.ErrInvalidArgument)
	}
	// While the KMS is away and nothing is cached a page waits for none.
	quick := must(open(kms.OpenOptions{Flags: kms.OpenNoWait}))(t)
	must(quick.Decrypt(nil, sealed, nil))(t)
	wantNone(t, engine.Evict("customers"))
	_, err = quick.Decrypt(nil, sealed, nil)
	wantStatus(t, err, kms.ErrKMSUnavailable)
}

func TestStats(t *testing.T) {
	engine, index := localIndex(t)
	var openers sync.WaitGroup
	for range 8 {
		openers.Add(1)
		go func() {
			defer openers.Done()
			if _, err := engine.OpenIndex(background, "customers"); err != nil {
				t.Error(err)
			}
		}()
	}
	openers.Wait()
	wantNone(t, engine.Evict("customers"))
	must(engine.OpenIndex(background, "customers"))(t)
	wantNone(t, index.Refresh(background))
	stats := must(engine.Stats())(t)
	if stats.CacheHits < 8 || stats.CacheEntries != 1 || stats.KMSCalls < 3 || stats.StoreReads < 1 ||
		stats.StoreWrites != 1 || stats.KMSErrors != 0 || stats.KMSRetries != 0 || stats.StaleServed != 0 ||
		stats.CacheMisses < 1 || stats.CoalescedWaits != 0 {
		t.Fatalf("%+v", stats)
	}
	text, err := engine.Metrics()
	wantNone(t, err)
	if !bytes.HasSuffix(text, []byte("# EOF\n")) {
		t.Fatalf("no OpenMetrics text: %.200s", text)
	}
}

package cyborgkms_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	kms "cyborg-kms.internal/cyborgkms"
)

// hexed are bytes that stand in hex in a JSON file.
type hexed []byte

func (h *hexed) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (h hexed) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

type vectorPage struct {
	AAD       hexed `json:"aad_hex"`
	Plaintext hexed `json:"plaintext_hex"`
	Sealed    hexed `json:"sealed_hex,omitempty"`
}

type vectorDetached struct {
	AAD        hexed `json:"aad_hex"`
	Plaintext  hexed `json:"plaintext_hex"`
	Overhead   hexed `json:"overhead_hex,omitempty"`
	Ciphertext hexed `json:"ciphertext_hex,omitempty"`
}

type vectorDataKey struct {
	Key     hexed `json:"key_hex"`
	Wrapped hexed `json:"wrapped_hex"`
}

type vectorDerived struct {
	Label   string `json:"label"`
	Context hexed  `json:"context_hex"`
	Len     int    `json:"len,omitempty"`
	Key     hexed  `json:"key_hex,omitempty"`
}

// vector is an index of tests/vectors/v1/expected.json, or of what a language wrote.
type vector struct {
	IndexName string          `json:"index_name"`
	KMSName   string          `json:"kms_name"`
	KEK       hexed           `json:"kek_hex"`
	FormerKEK hexed           `json:"former_kek_hex,omitempty"`
	Pages     []vectorPage    `json:"pages,omitempty"`
	Detached  *vectorDetached `json:"detached,omitempty"`
	DataKey   *vectorDataKey  `json:"data_key,omitempty"`
	Derived   []vectorDerived `json:"derived,omitempty"`
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	wantNone(t, json.Unmarshal(must(os.ReadFile(path))(t), into))
}

// vectorEngine is an engine over a folder with records and wrap.key, to which it goes: the records name the key file by
// /proc/self/cwd.
func vectorEngine(t testing.TB, folder string) *kms.Engine {
	t.Helper()
	slots := must(os.ReadFile(filepath.Join(folder, "engine.yaml")))(t)
	t.Chdir(folder)
	engine := openYAML(t, "storage: {url: \""+folder+"\"}\n"+string(slots))
	wantNone(t, engine.RegisterProvider("flip", newFlip()))
	return engine
}

// copyOf is a folder's copy, since key files must be private and stores make files of their own.
func copyOf(t testing.TB, folder string) string {
	t.Helper()
	to := t.TempDir()
	wantNone(t, os.CopyFS(to, os.DirFS(folder)))
	wantNone(t, os.Chmod(filepath.Join(to, "wrap.key"), 0o600))
	return to
}

func (v vector) open(t testing.TB, engine *kms.Engine) *kms.Index {
	t.Helper()
	var options kms.OpenOptions
	if v.KMSName == "" {
		options.KEK = kms.KEK(v.KEK)
	}
	index := must(engine.OpenIndexWithOptions(background, v.IndexName, options))(t)
	t.Cleanup(func() { _ = index.Close() })
	return index
}

// read opens everything that a vector holds.
func (v vector) read(t *testing.T, engine *kms.Engine) {
	index := v.open(t, engine)
	same := func(what string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("%s of %s: %x, not %x", what, v.IndexName, got, want)
		}
	}
	same("the KEK", must(index.ExportKEK(0))(t), v.KEK)
	if v.FormerKEK != nil {
		same("the former KEK", must(index.ExportKEK(1))(t), v.FormerKEK)
	}
	for _, page := range v.Pages {
		same("a page", must(index.Decrypt(nil, page.Sealed, page.AAD))(t), page.Plaintext)
		_, err := index.Decrypt(nil, page.Sealed, []byte("another"))
		wantStatus(t, err, kms.ErrAuthenticationFailed)
	}
	if detached := v.Detached; detached != nil {
		out := make([]byte, len(detached.Ciphertext))
		wantNone(t, index.DecryptDetached(out, detached.Ciphertext, detached.AAD, (*[kms.Overhead]byte)(detached.Overhead)))
		same("the detached page", out, detached.Plaintext)
	}
	if v.DataKey != nil {
		same("the data key", must(index.UnwrapDataKey(v.DataKey.Wrapped))(t), v.DataKey.Key)
	}
	for _, derived := range v.Derived {
		key := make([]byte, len(derived.Key))
		wantNone(t, index.DeriveKey(key, derived.Label, derived.Context))
		same("a derived key", key, derived.Key)
	}
}

func TestTheGoldenFilesAreRead(t *testing.T) {
	folder := copyOf(t, filepath.Join(source(t), "tests/vectors/v1"))
	var vectors []vector
	readJSON(t, filepath.Join(folder, "expected.json"), &vectors)
	engine := vectorEngine(t, folder)
	pages := 0
	for _, v := range vectors {
		v.read(t, engine)
		pages += len(v.Pages)
	}
	if len(vectors) < 6 || pages < 16 {
		t.Fatalf("%d vectors with %d pages were read", len(vectors), pages)
	}
}

func TestARecordWithRetiredKeysGivesWhatIsLeft(t *testing.T) {
	folder := copyOf(t, filepath.Join(source(t), "tests/vectors/v1"))
	var retired struct {
		vector
		KEKs    []*hexed   `json:"keks_hex"`
		Derived hexed      `json:"derived_hex"`
		Page    vectorPage `json:"retired_page"`
	}
	readJSON(t, filepath.Join(folder, "retired.json"), &retired)
	engine := vectorEngine(t, folder)
	retired.vector.KMSName = "local"
	retired.read(t, engine)
	index := retired.open(t, engine)
	for at, kek := range retired.KEKs {
		exported, err := index.ExportKEK(uint32(at + 1))
		if kek == nil {
			wantStatus(t, err, kms.ErrNotFound)
		} else if err != nil || !bytes.Equal(exported, *kek) {
			t.Errorf("version %d: another KEK, or %v", at+1, err)
		}
	}
	_, err := index.Decrypt(nil, retired.Page.Sealed, retired.Page.AAD)
	wantStatus(t, err, kms.ErrCorrupt)
	derived := make([]byte, len(retired.Derived))
	wantNone(t, index.DeriveKey(derived, "label", []byte("context")))
	if !bytes.Equal(derived, retired.Derived) || len(retired.KEKs) != 5 || len(retired.Pages) != 2 {
		t.Fatalf("derived %x; %+v", derived, retired)
	}
}

func TestCyborgDBsRecordsAreRead(t *testing.T) {
	var expected []struct {
		IndexName  string `json:"index_name"`
		KMSName    string `json:"kms_name"`
		Provider   string `json:"provider"`
		KeyID      string `json:"key_id"`
		Region     string `json:"region"`
		WrappedKEK hexed  `json:"wrapped_kek_hex"`
		Version    uint32 `json:"version"`
		CreatedAt  int64  `json:"created_at"`
		File       string `json:"file"`
	}
	folder := filepath.Join(source(t), "tests/vectors/cyborgdb-0.18")
	readJSON(t, filepath.Join(folder, "expected.json"), &expected)
	if len(expected) < 11 {
		t.Fatalf("%d records", len(expected))
	}
	copied := t.TempDir()
	wantNone(t, os.CopyFS(copied, os.DirFS(folder)))
	store := must(kms.OpenStore(copied))(t)
	defer store.Close()
	for _, e := range expected {
		want := kms.Blob{KMSName: e.KMSName, Provider: e.Provider, KeyID: e.KeyID, Region: e.Region,
			WrappedKEK: e.WrappedKEK, Version: e.Version, CreatedAt: e.CreatedAt}
		if blob := must(store.Get(background, e.IndexName))(t); !same(blob, want) {
			t.Errorf("%s from the store: %+v, not %+v", e.IndexName, blob, want)
		}
		if blob := must(kms.DecodeBlob(must(os.ReadFile(filepath.Join(folder, e.File)))(t)))(t); !same(blob, want) {
			t.Errorf("%s from its bytes: %+v, not %+v", e.IndexName, blob, want)
		}
	}
}

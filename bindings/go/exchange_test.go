package cyborgkms_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	kms "cyborg-kms.internal/cyborgkms"
)

// rust runs tests/vectors/exchange.rs, the other process, on a folder.
func rust(t *testing.T, verb, folder string) (output string, err error) {
	t.Helper()
	program := os.Getenv("CYBORG_KMS_EXCHANGE")
	if program == "" {
		program = filepath.Join(source(t), "target/debug/examples/exchange")
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: build it by `cargo build --example exchange`, or say where it is in CYBORG_KMS_EXCHANGE", err)
	}
	said, err := exec.Command(program, verb, folder).CombinedOutput()
	return string(said), err
}

func TestWhatRustWritesIsRead(t *testing.T) {
	folder := must(filepath.EvalSymlinks(t.TempDir()))(t)
	if said, err := rust(t, "write", folder); err != nil {
		t.Fatal(said, err)
	}
	var vectors []vector
	readJSON(t, filepath.Join(folder, "expected.json"), &vectors)
	engine := vectorEngine(t, folder)
	for _, v := range vectors {
		v.read(t, engine)
	}
	if len(vectors) < 4 || len(vectors[0].Pages) < 3 || len(vectors[0].Derived) < 3 {
		t.Fatalf("Rust wrote %+v", vectors)
	}
}

func TestRustReadsWhatIsWritten(t *testing.T) {
	vectorFiles := filepath.Join(source(t), "tests/vectors")
	folder := must(filepath.EvalSymlinks(t.TempDir()))(t)
	for _, name := range []string{"wrap.key", "engine.yaml"} {
		wantNone(t, os.WriteFile(filepath.Join(folder, name), must(os.ReadFile(filepath.Join(vectorFiles, "v1", name)))(t), 0o600))
	}
	var vectors []vector
	readJSON(t, filepath.Join(vectorFiles, "languages.json"), &vectors)
	engine := vectorEngine(t, folder)
	for at := range vectors {
		vectors[at].write(t, engine)
	}
	wantNone(t, engine.Close())
	expected := filepath.Join(folder, "expected.json")
	write := func() { wantNone(t, os.WriteFile(expected, must(json.Marshal(vectors))(t), 0o600)) }
	write()
	said, err := rust(t, "read", folder)
	if err != nil {
		t.Fatal(said, err)
	}
	t.Log(said)
	vectors[0].Pages[2].Sealed[60] ^= 1
	write()
	if said, err := rust(t, "read", folder); err == nil {
		t.Fatal("Rust read an altered page: it checks nothing: ", said)
	}
}

// write makes the index and fills in what it gives.
func (v *vector) write(t *testing.T, engine *kms.Engine) {
	index := must(engine.CreateIndexWithKey(background, v.IndexName, v.KMSName, v.KEK))(t)
	defer index.Close()
	if index.DataKeyID() == 0 {
		return // CyborgDB's kind: a KEK alone
	}
	for at := range v.Pages {
		page := &v.Pages[at]
		page.Sealed = must(index.Encrypt(nil, page.Plaintext, page.AAD))(t)
	}
	v.Detached.Overhead = make([]byte, kms.Overhead)
	v.Detached.Ciphertext = make([]byte, len(v.Detached.Plaintext))
	wantNone(t, index.EncryptDetached(v.Detached.Ciphertext, v.Detached.Plaintext, v.Detached.AAD,
		(*[kms.Overhead]byte)(v.Detached.Overhead)))
	key, wrapped, err := index.GenerateDataKey()
	wantNone(t, err)
	v.DataKey = &vectorDataKey{key, wrapped}
	for at := range v.Derived {
		derived := &v.Derived[at]
		derived.Key = make([]byte, derived.Len)
		wantNone(t, index.DeriveKey(derived.Key, derived.Label, derived.Context))
	}
}

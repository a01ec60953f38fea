package cyborgkms_test

import (
	"bytes"
	"strings"
	"testing"

	kms "cyborg-kms.internal/cyborgkms"
)

func TestAPageOpensAgain(t *testing.T) {
	_, index := localIndex(t)
	for _, size := range []int{0, 1, 4096, 100_000} {
		page := bytes.Repeat([]byte{7}, size)
		sealed := must(index.Encrypt(nil, page, []byte("page 1")))(t)
		if len(sealed) != size+kms.Overhead || size > 99 && bytes.Contains(sealed, page) {
			t.Fatalf("%d bytes sealed into %d", size, len(sealed))
		}
		if again := must(index.Encrypt(nil, page, []byte("page 1")))(t); bytes.Equal(again, sealed) {
			t.Fatal("sealed twice to the same bytes")
		}
		if opened := must(index.Decrypt(nil, sealed, []byte("page 1")))(t); !bytes.Equal(opened, page) {
			t.Fatal("another page came back")
		}
		if id := must(kms.PageDataKeyID(sealed[:8]))(t); id != index.DataKeyID() {
			t.Fatalf("the page says data key %d, the index %d", id, index.DataKeyID())
		}
	}
}

func TestWhatIsAppendedLeavesWhatWasThere(t *testing.T) {
	_, index := localIndex(t)
	for _, room := range []int{0, 1000} {
		dst := append(make([]byte, 0, 7+room), "header:"...)
		sealed := must(index.Encrypt(dst, []byte("text"), nil))(t)
		if string(sealed[:7]) != "header:" || len(sealed) != 7+4+kms.Overhead {
			t.Fatalf("got %q", sealed)
		}
		opened := must(index.Decrypt(dst, sealed[7:], nil))(t)
		if string(opened) != "header:text" {
			t.Fatalf("got %q", opened)
		}
	}
}

func TestInPlace(t *testing.T) {
	_, index := localIndex(t)
	plaintext := bytes.Repeat([]byte("in place "), 100)
	for name, at := range map[string]int{"moved": 0, "not moved": 32} {
		t.Run(name, func(t *testing.T) {
			buffer := make([]byte, len(plaintext)+kms.Overhead)
			copy(buffer[at:], plaintext)
			sealed := must(index.Encrypt(buffer[:0], buffer[at:at+len(plaintext)], nil))(t)
			if &sealed[0] != &buffer[0] {
				t.Fatal("it was sealed elsewhere")
			}
			opened := must(index.Decrypt(buffer[:at], sealed, nil))(t)[at:]
			if &opened[0] != &buffer[at] || !bytes.Equal(opened, plaintext) {
				t.Fatal("it was opened elsewhere, or to something else")
			}
		})
	}
	buffer := make([]byte, 200)
	_, err := index.Encrypt(buffer[:0], buffer[5:50], nil)
	wantStatus(t, err, kms.ErrInvalidArgument)
}

func TestDetachedPages(t *testing.T) {
	_, index := localIndex(t)
	var overhead [kms.Overhead]byte
	page := bytes.Repeat([]byte("detached"), 512)
	out := make([]byte, len(page))
	wantNone(t, index.EncryptDetached(out, page, []byte("aad"), &overhead))
	if id := must(kms.PageDataKeyID(overhead[:]))(t); id != index.DataKeyID() {
		t.Fatalf("the overhead says data key %d", id)
	}
	wantNone(t, index.DecryptDetached(out, out, []byte("aad"), &overhead))
	if !bytes.Equal(out, page) {
		t.Fatal("another page came back")
	}
	wantNone(t, index.EncryptDetached(out, out, nil, &overhead))
	wantStatus(t, index.DecryptDetached(out, out, []byte("another"), &overhead), kms.ErrAuthenticationFailed)
	if !bytes.Equal(out, make([]byte, len(out))) {
		t.Fatal("a failure left something")
	}
	wantStatus(t, index.EncryptDetached(out[:3], page, nil, &overhead), kms.ErrInvalidArgument)
	wantStatus(t, index.DecryptDetached(out[:3], page, nil, &overhead), kms.ErrInvalidArgument)
	wantStatus(t, index.EncryptDetached(out, page, nil, nil), kms.ErrInvalidArgument)
	wantStatus(t, index.DecryptDetached(out, page, nil, nil), kms.ErrInvalidArgument)
}

func TestDamageIsRefused(t *testing.T) {
	_, index := localIndex(t)
	sealed := must(index.Encrypt(nil, []byte("a page"), []byte("page 1")))(t)
	_, err := index.Decrypt(nil, sealed, []byte("page 2"))
	wantStatus(t, err, kms.ErrAuthenticationFailed)
	altered := bytes.Clone(sealed)
	altered[len(altered)-20] ^= 1
	room := make([]byte, 0, 100)
	_, err = index.Decrypt(room, altered, []byte("page 1"))
	wantStatus(t, err, kms.ErrAuthenticationFailed)
	if !bytes.Equal(room[:6], make([]byte, 6)) {
		t.Fatal("a failure left something")
	}
	for _, short := range [][]byte{nil, sealed[:47]} {
		_, err = index.Decrypt(nil, short, nil)
		wantStatus(t, err, kms.ErrCorrupt)
	}
	_, err = kms.PageDataKeyID(sealed[:7])
	wantStatus(t, err, kms.ErrCorrupt)
}

func TestPagesTakeNoMemoryOfGo(t *testing.T) {
	_, index := localIndex(t)
	page, aad := make([]byte, 4096), []byte("page 1")
	sealed, opened := make([]byte, 0, 4096+kms.Overhead), make([]byte, 0, 4096)
	var overhead [kms.Overhead]byte
	var err error
	check := func(name string, work func()) {
		if allocations := testing.AllocsPerRun(200, work); allocations != 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", name, allocations, err)
		}
	}
	check("Encrypt", func() { sealed, err = index.Encrypt(sealed[:0], page, aad) })
	check("Decrypt", func() { opened, err = index.Decrypt(opened[:0], sealed, aad) })
	check("EncryptDetached", func() { err = index.EncryptDetached(sealed, page, aad, &overhead) })
	check("DecryptDetached", func() { err = index.DecryptDetached(opened, sealed[:len(page)], aad, &overhead) })
}

func TestDataKeys(t *testing.T) {
	_, index := localIndex(t)
	key, wrapped, err := index.GenerateDataKey()
	if err != nil || len(key) != kms.KeyLen || len(wrapped) != 80 {
		t.Fatal(len(key), len(wrapped), err)
	}
	if again := must(index.UnwrapDataKey(wrapped))(t); !bytes.Equal(again, key) {
		t.Fatal("another key came back")
	}
	wrapped[40] ^= 1
	_, err = index.UnwrapDataKey(wrapped)
	wantStatus(t, err, kms.ErrAuthenticationFailed)
	_, err = index.UnwrapDataKey(wrapped[:5])
	wantStatus(t, err, kms.ErrCorrupt)
}

func TestDerivedKeysAndTheKEK(t *testing.T) {
	engine, index := localIndex(t)
	one, other := make([]byte, 100), make([]byte, 100)
	wantNone(t, index.DeriveKey(one, "tokens", []byte("column 3")))
	second := must(engine.OpenIndex(background, "customers"))(t)
	defer second.Close()
	wantNone(t, second.DeriveKey(other, "tokens", []byte("column 3")))
	if !bytes.Equal(one, other) {
		t.Fatal("the same label and context gave another key")
	}
	wantNone(t, second.DeriveKey(other, "tokens", []byte("column 4")))
	if bytes.Equal(one, other) {
		t.Fatal("another context gave the same key")
	}
	wantStatus(t, index.DeriveKey(nil, "tokens", nil), kms.ErrInvalidArgument)
	wantStatus(t, index.DeriveKey(one, "to\x00kens", nil), kms.ErrInvalidArgument)
	wantStatus(t, index.DeriveKey(one, "\xff", nil), kms.ErrInvalidArgument)

	kek := must(index.ExportKEK(0))(t)
	if current := must(index.ExportKEK(index.Version()))(t); !bytes.Equal(current, kek) {
		t.Fatal("the current version's KEK is another")
	}
	_, err := index.ExportKEK(99)
	wantStatus(t, err, kms.ErrNotFound)
	kms.Wipe(kek)
	if strings.Trim(string(kek), "\x00") != "" {
		t.Fatal("Wipe left something")
	}
	kms.Wipe(nil)
}

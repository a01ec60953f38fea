package cyborgkms_test

import (
	"reflect"
	"slices"
	"testing"

	kms "cyborg-kms.internal/cyborgkms"
)

func sample() kms.Blob {
	return kms.Blob{KMSName: "prod", Provider: "aws-kms", KeyID: "arn:…/ü", Region: "eu-west-1",
		WrappedKEK: []byte{1, 2, 0, 3}, Version: 7, CreatedAt: -5}
}

func TestABlobIsReadAsItWasWritten(t *testing.T) {
	for _, blob := range []kms.Blob{sample(), {Version: 1}} {
		record := must(blob.Encode())(t)
		if read := must(kms.DecodeBlob(append(record, "behind it"...)))(t); !same(read, blob) {
			t.Fatalf("wrote %+v, read %+v", blob, read)
		}
	}
	for _, wrong := range []kms.Blob{{}, {Version: 1, KeyID: "\xff"}, {Version: 1, Region: "a\x00b"},
		{Version: 1, WrappedKEK: make([]byte, 1<<20+1)}} {
		_, err := wrong.Encode()
		wantStatus(t, err, kms.ErrInvalidArgument)
	}
	for _, wrong := range [][]byte{nil, []byte("no record")} {
		_, err := kms.DecodeBlob(wrong)
		wantStatus(t, err, kms.ErrCorrupt)
	}
}

func same(one, other kms.Blob) bool {
	equal := slices.Equal(one.WrappedKEK, other.WrappedKEK)
	one.WrappedKEK, other.WrappedKEK = nil, nil
	return equal && reflect.DeepEqual(one, other)
}

func TestTheStore(t *testing.T) {
	for _, url := range []string{"memory://", t.TempDir(), "file://" + t.TempDir()} {
		store := must(kms.OpenStore(url))(t)
		wantNone(t, store.Create(background, "a", sample()))
		wantStatus(t, store.Create(background, "a", sample()), kms.ErrAlreadyExists)
		pushed := sample()
		pushed.Version = 8
		wantNone(t, store.Push(background, "a", pushed))
		wantNone(t, store.Push(background, "b", sample()))
		if read := must(store.Get(background, "a"))(t); !same(read, pushed) {
			t.Fatalf("%+v", read)
		}
		var names []string
		for name, err := range store.List(background, "") {
			wantNone(t, err)
			names = append(names, name)
		}
		if !slices.Equal(names, []string{"a", "b"}) {
			t.Fatal(names)
		}
		wantNone(t, store.Delete(background, "a"))
		wantNone(t, store.Delete(background, "a"))
		_, err := store.Get(background, "a")
		wantStatus(t, err, kms.ErrNotFound)
		wantStatus(t, store.Create(background, "", sample()), kms.ErrInvalidArgument)
		wantStatus(t, store.Create(background, "c", kms.Blob{}), kms.ErrInvalidArgument)
		wantStatus(t, store.Push(background, "c\x00", sample()), kms.ErrInvalidArgument)
		for _, err := range store.List(background, "a\x00") {
			wantStatus(t, err, kms.ErrInvalidArgument)
		}
		wantNone(t, store.Close())
	}
	_, err := kms.OpenStore("ftp://nowhere")
	wantStatus(t, err, kms.ErrConfig)
}

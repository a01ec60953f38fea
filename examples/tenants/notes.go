package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"cyborg-kms.internal/cyborgkms"
)

// notes keeps each note in a file, sealed under the key of its tenant. Not even the notes' names are on the disk.
type notes struct {
	engine *cyborgkms.Engine
	slot   string
	folder string
	// For exchanging files; never held while a KMS may be asked.
	exchange sync.Mutex
}

// create makes a tenant: the record of its key first, since files without keys would be lost.
func (n *notes) create(ctx context.Context, tenant string) error {
	index, err := n.engine.CreateIndex(ctx, tenant, n.slot)
	if err != nil {
		return err
	}
	defer index.Close()
	return os.MkdirAll(filepath.Join(n.folder, tenant), 0o700)
}

// open opens a tenant: out of the cache, but for the first time and when a lifetime is over.
func (n *notes) open(ctx context.Context, tenant string) (*cyborgkms.Index, error) {
	return n.engine.OpenIndex(ctx, tenant)
}

// place is the file of a note, and the AAD that says so: a file in another place does not open.
func (n *notes) place(index *cyborgkms.Index, note string) (path string, aad []byte, err error) {
	var key [16]byte
	if err := index.DeriveKey(key[:], "tenants: file name", []byte(note)); err != nil {
		return "", nil, err
	}
	name := hex.EncodeToString(key[:])
	return filepath.Join(n.folder, index.Name(), name), placed(name), nil
}

func placed(name string) []byte { return []byte("tenants: note\x00" + name) }

func (n *notes) put(index *cyborgkms.Index, note string, text []byte) error {
	path, aad, err := n.place(index, note)
	if err != nil {
		return err
	}
	plaintext := binary.BigEndian.AppendUint16(nil, uint16(len(note)))
	plaintext = append(append(plaintext, note...), text...)
	sealed, err := index.Encrypt(nil, plaintext, aad)
	if err != nil {
		return err
	}
	n.exchange.Lock()
	defer n.exchange.Unlock()
	return replace(path, sealed)
}

func (n *notes) get(index *cyborgkms.Index, note string) ([]byte, error) {
	path, aad, err := n.place(index, note)
	if err != nil {
		return nil, err
	}
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	_, text, err := opened(index, sealed, aad)
	return text, err
}

// opened are the name and the text of a note.
func opened(index *cyborgkms.Index, sealed, aad []byte) (note string, text []byte, err error) {
	plaintext, err := index.Decrypt(sealed[:0], sealed, aad)
	if err != nil {
		return "", nil, err
	}
	if len(plaintext) < 2 || len(plaintext)-2 < int(binary.BigEndian.Uint16(plaintext)) {
		return "", nil, errors.New("a note is shorter than its name: the file was made by another program")
	}
	end := 2 + int(binary.BigEndian.Uint16(plaintext))
	return string(plaintext[2:end]), plaintext[end:], nil
}

func (n *notes) remove(index *cyborgkms.Index, note string) error {
	path, _, err := n.place(index, note)
	if err != nil {
		return err
	}
	n.exchange.Lock()
	defer n.exchange.Unlock()
	return os.Remove(path)
}

// list names the notes of a tenant.
func (n *notes) list(index *cyborgkms.Index) ([]string, error) {
	names := []string{}
	err := n.each(index, func(name string, sealed []byte) error {
		note, _, err := opened(index, sealed, placed(name))
		names = append(names, note)
		return err
	})
	return names, err
}

// each reads the files of a tenant; one that was removed meanwhile is passed over.
func (n *notes) each(index *cyborgkms.Index, do func(name string, sealed []byte) error) error {
	folder := filepath.Join(n.folder, index.Name())
	files, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, file := range files {
		if filepath.Ext(file.Name()) != "" {
			continue // being written
		}
		sealed, err := os.ReadFile(filepath.Join(folder, file.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = do(file.Name(), sealed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exchanged replaces a file that still holds what was read: a note that was written since is newer.
func (n *notes) exchanged(path string, was, sealed []byte) error {
	n.exchange.Lock()
	defer n.exchange.Unlock()
	is, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Equal(is, was) {
		return nil
	}
	if err != nil {
		return err
	}
	return replace(path, sealed)
}

// replace writes a file so that a crash leaves the old one or the new one.
func replace(path string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "*.new")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already where it worked
	if _, err = file.Write(data); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

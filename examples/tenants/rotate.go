package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"path/filepath"
	"time"

	"cyborg-kms.internal/cyborgkms"
)

// rotate gives a tenant a new data key, while its notes are read and written, and seals them anew under it.
func (n *notes) rotate(ctx context.Context, tenant string) (resealed int, err error) {
	if err := n.engine.Rotate(ctx, tenant, cyborgkms.RotateDataKey, ""); err != nil {
		return 0, err
	}
	index, err := n.open(ctx, tenant)
	if err != nil {
		return 0, err
	}
	defer index.Close()
	return n.reseal(ctx, index)
}

// reseal seals every note that has a former data key under the current one. It may be ended and begun again.
func (n *notes) reseal(ctx context.Context, index *cyborgkms.Index) (resealed int, err error) {
	err = n.each(index, func(name string, sealed []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		key, err := cyborgkms.PageDataKeyID(sealed)
		if err != nil || key == index.DataKeyID() {
			return err
		}
		was := bytes.Clone(sealed)
		plaintext, err := index.Decrypt(sealed[:0], sealed, placed(name))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer cyborgkms.Wipe(plaintext)
		anew, err := index.Encrypt(nil, plaintext, placed(name))
		if err != nil {
			return err
		}
		resealed++
		return n.exchanged(filepath.Join(n.folder, index.Name(), name), was, anew)
	})
	return resealed, err
}

// rotateAll rotates every tenant, again and again, until the context ends.
func (n *notes) rotateAll(ctx context.Context, every time.Duration) {
	for ticks := time.NewTicker(every); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		if err := n.rotateOnce(ctx); err != nil {
			log.Printf("rotating: %v", err)
		}
	}
}

// rotateOnce rotates every tenant. One that fails does not stop the others.
func (n *notes) rotateOnce(ctx context.Context) error {
	store, err := n.engine.Store()
	if err != nil {
		return err
	}
	defer store.Close()
	var failed []error
	for tenant, err := range store.List(ctx, "") {
		if err == nil {
			_, err = n.rotate(ctx, tenant)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", tenant, err))
		}
	}
	return errors.Join(failed...)
}

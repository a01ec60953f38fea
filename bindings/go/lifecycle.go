package cyborgkms

// #include "shim.h"
import "C"

import "context"

// Rotation is what a rotation changes.
type Rotation uint32

const (
	// RotateRewrap wraps the same KEK anew.
	RotateRewrap Rotation = C.CYBORG_KMS_ROTATE_REWRAP
	// RotateKEK makes a new KEK, wraps the data keys anew under it, and keeps the former KEK under it.
	RotateKEK Rotation = C.CYBORG_KMS_ROTATE_KEK
	// RotateDataKey makes a new data key for new pages; old pages stay readable.
	RotateDataKey Rotation = C.CYBORG_KMS_ROTATE_DATA_KEY
)

// Rotate rotates the keys of an index. kmsName is the slot that wraps from now on; "": its own.
func (e *Engine) Rotate(ctx context.Context, indexName string, rotation Rotation, kmsName string) error {
	slot, err := textOrNull("the slot's name", kmsName)
	if err != nil {
		return err
	}
	return e.change(ctx, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_rotate(engine, name, C.cyborg_kms_rotation(rotation), slot, failed)
		})
}

// KeyChange says who has the KEK before and after a rotation of, from or to provider none.
type KeyChange struct {
	// KMSName is the slot that wraps from now on; "": the index's own.
	KMSName string
	// ToNone: no slot wraps from now on, the caller brings the KEK. KMSName is "" then.
	ToNone bool
	// OldKEK is the KEK that is now in use; nil where a KMS has it.
	OldKEK KEK
	// NewKEK is the new one; nil where it stays or a KMS gets a random one.
	NewKEK KEK
}

// RotateWithKey is Rotate for an index of provider none, or from and to none. After any failure keep both KEKs until
// an open tells which it is.
func (e *Engine) RotateWithKey(ctx context.Context, indexName string, rotation Rotation, change KeyChange) error {
	if change.ToNone && change.KMSName != "" {
		return invalid("a rotation to provider none names a slot: set ToNone or KMSName")
	}
	slot, err := textOrNull("the slot's name", change.KMSName)
	if change.ToNone {
		slot, err = text("the slot's name", "")
	}
	if err != nil {
		return err
	}
	return e.change(ctx, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_rotate_with_key(engine, name, C.cyborg_kms_rotation(rotation), slot,
				pointer(change.OldKEK), length(change.OldKEK), pointer(change.NewKEK), length(change.NewKEK), failed)
		})
}

// RetireDataKey forgets a data key that no page uses any more: what it sealed can never be read again.
func (e *Engine) RetireDataKey(ctx context.Context, indexName string, dataKeyID uint32) error {
	return e.change(ctx, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_retire_data_key(engine, name, C.uint32_t(dataKeyID), failed)
		})
}

// RetireKEK forgets a former KEK: what was encrypted under it can never be read again.
func (e *Engine) RetireKEK(ctx context.Context, indexName string, version uint32) error {
	return e.change(ctx, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_retire_kek(engine, name, C.uint32_t(version), failed)
		})
}

// DisableIndex refuses every use of an index from now on.
func (e *Engine) DisableIndex(ctx context.Context, indexName string) error {
	return e.change(ctx, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_disable(engine, name, failed)
		})
}

// EnableIndex undoes DisableIndex.
func (e *Engine) EnableIndex(ctx context.Context, indexName string) error {
	return e.change(ctx, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_enable(engine, name, failed)
		})
}

// ScheduleDeletion disables an index and has Sync delete it when the waiting period, 24 to 8,760 hours, is over.
func (e *Engine) ScheduleDeletion(ctx context.Context, indexName string, waitingHours uint32) error {
	return e.change(ctx, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_schedule_deletion(engine, name, C.uint32_t(waitingHours), failed)
		})
}

// CancelDeletion undoes ScheduleDeletion; it leaves the index disabled.
func (e *Engine) CancelDeletion(ctx context.Context, indexName string) error {
	return e.change(ctx, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_cancel_deletion(engine, name, failed)
		})
}

// DeleteIndex removes the wrapped keys of an index at once, and gives a receipt, a JSON object.
func (e *Engine) DeleteIndex(ctx context.Context, indexName string) (receiptJSON []byte, err error) {
	return e.document(ctx, true, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, out **C.cyborg_kms_buffer, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_delete(engine, name, out, failed)
		})
}

// DescribeIndex describes an index as a JSON object; no KMS is asked.
func (e *Engine) DescribeIndex(ctx context.Context, indexName string) (descriptionJSON []byte, err error) {
	return e.document(ctx, false, indexName,
		func(engine *C.cyborg_kms_engine, name *C.char, out **C.cyborg_kms_buffer, failed **C.cyborg_kms_error) C.cyborg_kms_status {
			return C.cyborg_kms_index_describe(engine, name, out, failed)
		})
}

// change makes a call that changes the record of an index.
func (e *Engine) change(
	ctx context.Context, indexName string,
	work func(*C.cyborg_kms_engine, *C.char, **C.cyborg_kms_error) C.cyborg_kms_status,
) error {
	name, err := text("the index's name", indexName)
	if err != nil {
		return err
	}
	return run(ctx, e, true, func(engine *C.cyborg_kms_engine) error {
		var failed *C.cyborg_kms_error
		status := work(engine, name, &failed)
		return failure(status, failed)
	})
}

// document makes a call that gives a document about an index.
func (e *Engine) document(
	ctx context.Context, writes bool, indexName string,
	work func(*C.cyborg_kms_engine, *C.char, **C.cyborg_kms_buffer, **C.cyborg_kms_error) C.cyborg_kms_status,
) ([]byte, error) {
	name, err := text("the index's name", indexName)
	if err != nil {
		return nil, err
	}
	return call[[]byte]{writes: writes, work: func(engine *C.cyborg_kms_engine) ([]byte, error) {
		var out *C.cyborg_kms_buffer
		var failed *C.cyborg_kms_error
		status := work(engine, name, &out, &failed)
		return taken(out), failure(status, failed)
	}}.do(ctx, e)
}

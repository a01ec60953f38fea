package cyborgkms

// #include "shim.h"
import "C"

import (
	"runtime"
	"sync"
)

// together is how many indexes share a cleanup. One each would take longer than opening a cached index does.
const together = 32

// block is where indexes lie that OpenIndex opened one after another. When none of them is reachable any more, those
// that were forgotten are closed. No key lives longer for that: theirs are the cache's. A handle with a KEK that the
// caller brought has a cleanup of its own.
type block struct {
	indexes [together]Index
	refs    *[together]ref[*C.cyborg_kms_index] // apart, since the cleanup must not reach the block
	used    int
}

// blocks have room left. A block is used by one goroutine at a time.
var blocks = sync.Pool{New: func() any {
	b := &block{refs: new([together]ref[*C.cyborg_kms_index])}
	runtime.AddCleanup(b, closeAll, b.refs)
	return b
}}

func newIndexInBlock(handle *C.cyborg_kms_index) *Index {
	b := blocks.Get().(*block)
	i, r := &b.indexes[b.used], &b.refs[b.used]
	r.handle, r.free = handle, freeIndex
	i.ref = r
	if b.used++; b.used < together {
		blocks.Put(b)
	}
	return i
}

func newIndex(handle *C.cyborg_kms_index) *Index {
	i := new(Index)
	i.ref = newRef(i, handle, freeIndex)
	return i
}

func freeIndex(handle *C.cyborg_kms_index) { C.cyborg_kms_index_free(handle) }

func closeAll(refs *[together]ref[*C.cyborg_kms_index]) {
	for at := range refs {
		if refs[at].handle != nil {
			refs[at].close()
		}
	}
}

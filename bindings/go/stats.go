package cyborgkms

// #include "shim.h"
import "C"

import "unsafe"

// Stats is what an engine has counted since it was opened.
type Stats struct {
	// CacheHits counts openings that found the KEK in the cache, CacheMisses openings and refreshes that did not.
	CacheHits, CacheMisses uint64
	// CacheEntries is how many indexes are in the cache now.
	CacheEntries uint64
	// KMSCalls counts wraps and unwraps asked of providers, tries included; KMSErrors those that failed, KMSRetries
	// those that repeated another.
	KMSCalls, KMSErrors, KMSRetries uint64
	// CoalescedWaits counts callers that waited for the load of another.
	CoalescedWaits uint64
	// StaleServed counts uses of a KEK beyond its lifetime since the KMS did not answer.
	StaleServed uint64
	// StoreReads and StoreWrites count records read, and written or removed.
	StoreReads, StoreWrites uint64
	// AuditFailures counts audit events that could not be written.
	AuditFailures uint64
}

// Stats reads the counters.
func (e *Engine) Stats() (Stats, error) {
	handle, err := e.ref.acquire()
	if err != nil {
		return Stats{}, err
	}
	defer e.released()
	var s C.cyborg_kms_stats
	var failed *C.cyborg_kms_error
	s.struct_size = C.size_t(unsafe.Sizeof(s))
	status := C.cyborg_kms_engine_stats(handle, &s, &failed)
	if err := failure(status, failed); err != nil {
		return Stats{}, err
	}
	return Stats{
		CacheHits:      uint64(s.cache_hits),
		CacheMisses:    uint64(s.cache_misses),
		CacheEntries:   uint64(s.cache_entries),
		KMSCalls:       uint64(s.kms_calls),
		KMSErrors:      uint64(s.kms_errors),
		KMSRetries:     uint64(s.kms_retries),
		CoalescedWaits: uint64(s.coalesced_waits),
		StaleServed:    uint64(s.stale_served),
		StoreReads:     uint64(s.store_reads),
		StoreWrites:    uint64(s.store_writes),
		AuditFailures:  uint64(s.audit_failures),
	}, nil
}

// Metrics is the counters, latencies and breaker states as OpenMetrics text.
func (e *Engine) Metrics() ([]byte, error) {
	handle, err := e.ref.acquire()
	if err != nil {
		return nil, err
	}
	defer e.released()
	var out *C.cyborg_kms_buffer
	var failed *C.cyborg_kms_error
	status := C.cyborg_kms_engine_metrics(handle, &out, &failed)
	return taken(out), failure(status, failed)
}

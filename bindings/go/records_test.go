package cyborgkms_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	kms "cyborg-kms.internal/cyborgkms"
)

type row struct {
	record   []byte
	revision uint64
}

// table is a place for records in memory, and one to disturb.
type table struct {
	mutex  sync.Mutex
	rows   map[string]row
	fail   func(method string) error
	closed chan struct{}
}

func newTable() *table { return &table{rows: map[string]row{}, closed: make(chan struct{}, 8)} }

func (t *table) Close() error {
	t.closed <- struct{}{}
	return nil
}

// enter locks the table; the error is that of the disturbance.
func (t *table) enter(method string) error {
	t.mutex.Lock()
	fail := t.fail
	if fail == nil {
		return nil
	}
	t.mutex.Unlock() // it may panic
	err := fail(method)
	t.mutex.Lock()
	return err
}

func (t *table) Get(name string) ([]byte, uint64, error) {
	err := t.enter("get")
	defer t.mutex.Unlock()
	if err != nil {
		return nil, 0, err
	}
	found, ok := t.rows[name]
	if !ok {
		return nil, 0, kms.ErrNotFound
	}
	return found.record, found.revision, nil
}

func (t *table) Put(name string, record []byte, expected uint64) (uint64, error) {
	err := t.enter("put")
	defer t.mutex.Unlock()
	if err != nil {
		return 0, err
	}
	found, ok := t.rows[name]
	switch {
	case expected == kms.RevisionAbsent && ok:
		return 0, kms.ErrAlreadyExists
	case expected != kms.RevisionAbsent && expected != kms.RevisionAny && found.revision != expected:
		return 0, kms.ErrConflict
	}
	revision := rand.Uint64N(1<<63-1) + 1
	t.rows[name] = row{record, revision}
	return revision, nil
}

func (t *table) Remove(name string, expected uint64) error {
	err := t.enter("remove")
	defer t.mutex.Unlock()
	if err != nil {
		return err
	}
	if found, ok := t.rows[name]; ok && expected != kms.RevisionAny && found.revision != expected {
		return kms.ErrConflict
	}
	delete(t.rows, name)
	return nil
}

func (t *table) List(startAfter string, name func(string) bool) error {
	err := t.enter("list")
	defer t.mutex.Unlock()
	if err != nil {
		return err
	}
	names := make([]string, 0, len(t.rows))
	for known := range t.rows {
		names = append(names, known)
	}
	slices.Sort(names)
	for _, known := range names {
		if known > startAfter && !name(known) {
			return nil
		}
	}
	return nil
}

func (t *table) disturb(fail func(string) error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.fail = fail
}

func tableEngine(t *testing.T, records kms.Records, flags kms.StoreFlags) (*kms.Engine, *kms.Store) {
	t.Helper()
	store := must(kms.OpenRecords(records, flags))(t)
	t.Cleanup(func() { _ = store.Close() })
	engine := must(kms.OpenYAMLWithStore(`kms: {registry: {own: {provider: "external:flip"}}}`, store))(t)
	t.Cleanup(func() { _ = engine.Close() })
	wantNone(t, engine.RegisterProvider("flip", newFlip()))
	return engine, store
}

func TestRecordsOfTheCallers(t *testing.T) {
	for _, flags := range []kms.StoreFlags{0, kms.StoreCallerThread} {
		t.Run(fmt.Sprint("flags ", flags), func(t *testing.T) {
			records := newTable()
			engine, store := tableEngine(t, records, flags)
			index := must(engine.CreateIndex(background, "a/ü", "own"))(t)
			_, err := engine.CreateIndex(background, "a/ü", "own")
			wantStatus(t, err, kms.ErrAlreadyExists)
			wantNone(t, engine.Evict(""))
			sealed := must(index.Encrypt(nil, []byte("x"), nil))(t)
			must(index.Decrypt(nil, sealed, nil))(t)
			if len(records.rows) != 1 || must(store.Get(background, "a/ü"))(t).KMSName != "own" {
				t.Fatalf("%d records", len(records.rows))
			}
			for range 2 {
				wantNone(t, store.Delete(background, "a/ü"))
			}
			_, err = store.Get(background, "a/ü")
			wantStatus(t, err, kms.ErrNotFound)
			_, _, _ = index.Close(), engine.Close(), store.Close()
			inTime(t, "closing the records", records.closed)
		})
	}
}

func TestManyRecordsAreListed(t *testing.T) {
	records := newTable()
	_, store := tableEngine(t, records, 0)
	for number := range 600 {
		wantNone(t, store.Create(background, fmt.Sprintf("index %04d", number), kms.Blob{Provider: "p", Version: 1}))
	}
	seen := 0
	for name, err := range store.List(background, "") {
		wantNone(t, err)
		if name != fmt.Sprintf("index %04d", seen) {
			t.Fatalf("%d is %s", seen, name)
		}
		seen++
	}
	if seen != 600 {
		t.Fatalf("%d names", seen)
	}
	for name, err := range store.List(background, "index 0597") {
		wantNone(t, err)
		if seen++; name == "index 0598" {
			break
		}
	}
	if seen != 601 {
		t.Fatalf("%d names", seen)
	}
	records.disturb(func(string) error { return kms.ErrAccessDenied })
	for _, err := range store.List(background, "") {
		wantStatus(t, err, kms.ErrAccessDenied)
	}
}

func TestWhatRecordsMayAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		fail   func(string) error
		status kms.Status
		says   string
	}{
		"a status":  {func(string) error { return fmt.Errorf("etcd: %w", kms.ErrTimeout) }, kms.ErrTimeout, "etcd"},
		"any error": {func(string) error { return errors.New("disk full") }, kms.ErrStorage, "disk full"},
		"a panic":   {func(string) error { panic(t) }, kms.ErrInternal, "panicked"},
		"Goexit":    {func(string) error { runtime.Goexit(); return nil }, kms.ErrInternal, "without an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			records := newTable()
			_, store := tableEngine(t, records, 0)
			wantNone(t, store.Create(background, "a", kms.Blob{Version: 1}))
			records.disturb(c.fail)
			_, got := store.Get(background, "a")
			var listed error
			for _, err := range store.List(background, "") {
				listed = err
			}
			for _, err := range []error{got, store.Push(background, "a", kms.Blob{Version: 2}),
				store.Delete(background, "a"), listed} {
				if failed := wantStatus(t, err, c.status); !strings.Contains(failed.Message, c.says) {
					t.Errorf("%+v", failed)
				}
			}
		})
	}
	_, err := kms.OpenRecords(nil, 0)
	wantStatus(t, err, kms.ErrInvalidArgument)
	records := newTable()
	_, err = kms.OpenRecords(records, 1<<20)
	wantStatus(t, err, kms.ErrInvalidArgument)
	inTime(t, "closing the records", records.closed)
}

func TestRecordsAreClosedAfterTheirLastMethod(t *testing.T) {
	records := newTable()
	engine, store := tableEngine(t, records, 0)
	_ = must(engine.CreateIndex(background, "a", "own"))(t).Close()
	wantNone(t, engine.Evict("a"))
	ctx, cancel := context.WithCancel(background)
	wantClosedLast(t, records.disturb, records.closed, cancel, func() {
		_, err := engine.OpenIndex(ctx, "a")
		wantStatus(t, err, kms.ErrCancelled)
		_, _ = engine.Close(), store.Close()
	})
}

// straggling leaves a goroutine behind that names on, until it is told to stop.
type straggling struct {
	*table
	stopped chan struct{}
}

func (s straggling) List(startAfter string, name func(string) bool) error {
	begun := make(chan struct{}, 1)
	go func() {
		for name("straggler") {
			select {
			case begun <- struct{}{}:
			default:
			}
		}
		s.stopped <- struct{}{}
	}()
	<-begun
	return s.table.List(startAfter, name)
}

func TestNamesAreHeardOnlyDuringList(t *testing.T) {
	for how, end := range map[string]func(string) error{
		"it returned": func(string) error { return nil },
		"it failed":   func(string) error { return kms.ErrAccessDenied },
		"it panicked": func(string) error { panic("in List") },
		"Goexit":      func(string) error { runtime.Goexit(); return nil },
	} {
		t.Run(how, func(t *testing.T) {
			records := straggling{newTable(), make(chan struct{}, 1)}
			_, store := tableEngine(t, records, 0)
			records.disturb(end)
			for range store.List(background, "") {
			}
			inTime(t, "the end of the goroutine", records.stopped)
		})
	}
}

func TestNamesThatCannotBeArePassedOver(t *testing.T) {
	records := newTable()
	engine, store := tableEngine(t, records, 0)
	for _, name := range []string{"a", "c"} {
		_ = must(engine.CreateIndex(background, name, "own"))(t).Close()
	}
	for _, foreign := range []string{"b\x00", "b\xff"} {
		must(records.Put(foreign, []byte("no index's record"), kms.RevisionAny))(t)
	}
	var listed, synced []string
	for name, err := range store.List(background, "") {
		wantNone(t, err)
		listed = append(listed, name)
	}
	options := kms.SyncOptions{DryRun: true, Concurrency: 1}
	must(engine.Sync(background, options, func(at kms.Progress) bool {
		synced = append(synced, at.IndexName)
		return true
	}))(t)
	if want := []string{"a", "c"}; !slices.Equal(listed, want) || !slices.Equal(synced, want) {
		t.Fatalf("listed %q, synced %q", listed, synced)
	}
}

package cyborgkms_test

import (
	"context"
	"errors"
	"testing"
	"time"

	kms "cyborg-kms.internal/cyborgkms"
)

func TestAContextThatHasEndedAsksNobody(t *testing.T) {
	engine, index := localIndex(t)
	store := must(engine.Store())(t)
	before := must(engine.Stats())(t)
	ended, cancel := context.WithCancel(background)
	cancel()
	_, opened := engine.OpenIndex(ended, "customers")
	_, created := engine.CreateIndex(ended, "another", "prod")
	_, got := store.Get(ended, "customers")
	for _, err := range []error{opened, created, got, engine.Check(ended, ""), index.Refresh(ended),
		store.Delete(ended, "customers")} {
		if failed := wantStatus(t, err, kms.ErrCancelled); !errors.Is(err, context.Canceled) || failed.OutcomeUnknown {
			t.Errorf("%+v", failed)
		}
	}
	if after := must(engine.Stats())(t); after != before {
		t.Fatalf("%+v, then %+v", before, after)
	}
}

func TestAContextThatLastsChangesNothing(t *testing.T) {
	engine, index := localIndex(t)
	ctx, cancel := context.WithTimeout(background, time.Hour)
	defer cancel()
	again := must(engine.OpenIndex(ctx, "customers"))(t)
	sealed := must(again.Encrypt(nil, []byte("x"), nil))(t)
	cancel() // what was opened stays open
	must(again.Decrypt(nil, sealed, nil))(t)
	wantNone(t, again.Refresh(background))
	wantNone(t, index.Refresh(background))
	_, err := engine.OpenIndex(context.WithValue(background, "no", "end"), "nobody")
	wantStatus(t, err, kms.ErrNotFound)
}

// hanging is an engine whose provider hangs until release; asked says that it was asked.
func hanging(t *testing.T) (engine *kms.Engine, index *kms.Index, asked chan struct{}, release func()) {
	t.Helper()
	provider := newFlip()
	engine = flipEngine(t, provider, ", request_timeout: 5m, deadline: 5m")
	index = must(engine.CreateIndex(background, "a", "own"))(t)
	asked = make(chan struct{}, 100)
	until, stop := context.WithCancel(background)
	t.Cleanup(stop)
	provider.disturb(func(string) error {
		asked <- struct{}{}
		<-until.Done()
		return nil
	})
	wantNone(t, engine.Evict(""))
	return engine, index, asked, stop
}

func TestCancellingReturnsAtOnce(t *testing.T) {
	for name, work := range map[string]func(context.Context, *kms.Engine, *kms.Index) error{
		"OpenIndex": func(ctx context.Context, engine *kms.Engine, _ *kms.Index) error {
			index, err := engine.OpenIndex(ctx, "a")
			if index != nil {
				t.Error("an index with an error")
			}
			return err
		},
		"Check": func(ctx context.Context, engine *kms.Engine, _ *kms.Index) error { return engine.Check(ctx, "own") },
		"Refresh": func(ctx context.Context, _ *kms.Engine, index *kms.Index) error {
			return index.Refresh(ctx)
		},
		"CreateIndex": func(ctx context.Context, engine *kms.Engine, _ *kms.Index) error {
			_, err := engine.CreateIndex(ctx, "b", "own")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			engine, index, asked, release := hanging(t)
			ctx, cancel := context.WithCancel(background)
			results := make(chan error, 1)
			go func() { results <- work(ctx, engine, index) }()
			inTime(t, "the provider's call", asked)
			cancel()
			err := inTime(t, "the cancelled call", results)
			if wantStatus(t, err, kms.ErrCancelled); !errors.Is(err, context.Canceled) {
				t.Errorf("not the context's error: %v", err)
			}
			release()
		})
	}
}

func TestADeadlineReturnsInTime(t *testing.T) {
	engine, _, _, release := hanging(t)
	defer release()
	ctx, cancel := context.WithTimeout(background, 30*time.Millisecond)
	defer cancel()
	results := make(chan error, 1)
	go func() {
		_, err := engine.OpenIndex(ctx, "a")
		results <- err
	}()
	err := inTime(t, "the call", results)
	if wantStatus(t, err, kms.ErrCancelled); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("not the context's error: %v", err)
	}
}

func TestScopes(t *testing.T) {
	engine, _, asked, release := hanging(t)
	defer release()
	for _, wrong := range []kms.ScopeOptions{{Deadline: -1}, {Deadline: 1 << 62}, {Principal: "a\x00"}} {
		_, err := engine.Scope(wrong)
		wantStatus(t, err, kms.ErrInvalidArgument)
	}
	engine.Cancel() // it is no scope: nothing happens
	scope, err := engine.Scope(kms.ScopeOptions{Deadline: time.Minute, Principal: "job 7"})
	wantNone(t, err)
	defer scope.Close()
	lasting, cancel := context.WithCancel(background)
	defer cancel()
	for _, ctx := range []context.Context{background, lasting} {
		results := make(chan error, 1)
		go func() {
			_, err := scope.OpenIndex(ctx, "a")
			results <- err
		}()
		if ctx == background {
			inTime(t, "the provider's call", asked)
		}
		scope.Cancel()
		wantStatus(t, inTime(t, "the cancelled call", results), kms.ErrCancelled)
	}
	short := must(engine.Scope(kms.ScopeOptions{Deadline: time.Millisecond}))(t)
	defer short.Close()
	_, err = short.OpenIndex(background, "a")
	wantStatus(t, err, kms.ErrTimeout)
}

func TestOpeningWithoutBlocking(t *testing.T) {
	engine, _ := localIndex(t)
	type outcome struct {
		index *kms.Index
		err   error
	}
	open := func(name string, options kms.OpenOptions) outcome {
		outcomes := make(chan outcome, 2)
		engine.OpenIndexAsync(name, options, func(index *kms.Index, err error) { outcomes <- outcome{index, err} })
		return inTime(t, "the callback", outcomes)
	}
	wantStatus(t, open("a\x00", kms.OpenOptions{}).err, kms.ErrInvalidArgument)
	opened := open("customers", kms.OpenOptions{Capabilities: kms.CanEncrypt})
	wantNone(t, opened.err)
	sealed := must(opened.index.Encrypt(nil, []byte("x"), nil))(t)
	_, err := opened.index.Decrypt(nil, sealed, nil)
	wantStatus(t, err, kms.ErrAccessDenied)
	wantNone(t, opened.index.Close())
	wantStatus(t, open("nobody", kms.OpenOptions{}).err, kms.ErrNotFound)
}

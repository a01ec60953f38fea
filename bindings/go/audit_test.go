package cyborgkms_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kms "cyborg-kms.internal/cyborgkms"
)

func TestAuditEventsAreHeard(t *testing.T) {
	engine := openYAML(t, localYAML(t))
	events := make(chan string, 100)
	wantNone(t, engine.SetAuditCallback(func(event string) {
		events <- event
		panic("a panic in a callback of the audit is swallowed")
	}))
	must(engine.CreateIndex(background, "a", "prod"))(t)
	if event := inTime(t, "an event", events); !json.Valid([]byte(event)) {
		t.Fatal(event)
	}
	scope := must(engine.Scope(kms.ScopeOptions{Principal: "job 7"}))(t)
	for len(events) > 0 {
		<-events
	}
	must(scope.CreateIndex(background, "of the scope", "prod"))(t)
	var heard struct{ Principal string }
	wantNone(t, json.Unmarshal([]byte(inTime(t, "an event of the scope", events)), &heard))
	if heard.Principal != "job 7" {
		t.Fatalf("%+v", heard)
	}
	wantNone(t, engine.SetAuditCallback(nil))
	for len(events) > 0 {
		<-events
	}
	must(engine.CreateIndex(background, "b", "prod"))(t)
	if len(events) > 0 {
		t.Fatalf("heard %s after it was ended", <-events)
	}
	// It ends with the last handle of the engine, also where nobody ended it.
	wantNone(t, engine.SetAuditCallback(func(event string) { events <- event }))
	index := must(engine.OpenIndex(background, "b"))(t)
	for len(events) > 0 {
		<-events
	}
	wantNone(t, engine.Close())
	must(scope.CreateIndex(background, "c", "prod"))(t)
	inTime(t, "an event while a scope is left", events)
	for len(events) > 0 {
		<-events
	}
	wantNone(t, scope.Close())
	wantNone(t, index.Refresh(background))
	if len(events) > 0 {
		t.Fatalf("heard %s after the engine was closed", <-events)
	}
}

func TestTheGoldenAuditLogIsVerified(t *testing.T) {
	folder := t.TempDir()
	wantNone(t, os.CopyFS(folder, os.DirFS(filepath.Join(source(t), "tests/vectors/v1-audit"))))
	var expected struct {
		Head json.RawMessage
		Key  hexed `json:"key_hex"`
	}
	readJSON(t, filepath.Join(folder, "expected.json"), &expected)
	path := filepath.Join(folder, "audit.log")
	head := must(kms.AuditHead(path))(t)
	var want, got any
	wantNone(t, json.Unmarshal(expected.Head, &want))
	wantNone(t, json.Unmarshal(head, &got))
	if string(must(json.Marshal(got))(t)) != string(must(json.Marshal(want))(t)) {
		t.Fatalf("the head is %s", head)
	}
	if report := must(kms.AuditVerify(path, expected.Key, string(head)))(t); !json.Valid(report) {
		t.Fatalf("the report is %s", report)
	}
	must(kms.AuditVerify(path, nil, ""))(t)
	for _, wrong := range [][]byte{{}, expected.Key[:31], append(expected.Key[:32:32], 0)} {
		_, err := kms.AuditVerify(path, wrong, "")
		if failed := wantStatus(t, err, kms.ErrInvalidArgument); !strings.Contains(failed.Message, "or nil") {
			t.Errorf("it does not say what may be: %+v", failed)
		}
	}
	log := must(os.ReadFile(path))(t)
	log[len(log)/2] ^= 1
	wantNone(t, os.WriteFile(path, log, 0o600))
	_, err := kms.AuditVerify(path, expected.Key, string(head))
	wantStatus(t, err, kms.ErrCorrupt)
}

func TestAuditFilesThatCannotBe(t *testing.T) {
	_, head := kms.AuditHead("a\x00")
	_, path := kms.AuditVerify("a\x00", nil, "")
	_, former := kms.AuditVerify("a", nil, "{}\x00")
	_, key := kms.AuditVerify("a", make([]byte, 5), "")
	for _, err := range []error{head, path, former, key} {
		wantStatus(t, err, kms.ErrInvalidArgument)
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cyborg-kms.internal/cyborgkms"
)

// service is a running service, over a folder that outlives it.
type service struct {
	t      *testing.T
	notes  *notes
	server *httptest.Server
}

func start(t *testing.T, root string) *service {
	t.Helper()
	config := filepath.Join(root, "db.yaml")
	yaml := "storage: {url: keys}\nkms: {registry: {prod: {provider: local, key_id: owner/wrap.key, create: true}}}\n"
	for _, err := range []error{os.MkdirAll(filepath.Join(root, "owner"), 0o700), os.WriteFile(config, []byte(yaml), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	engine, err := cyborgkms.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	n := &notes{engine: engine, slot: "prod", folder: filepath.Join(root, "data")}
	return &service{t, n, httptest.NewServer(n.handler())}
}

func (s *service) stop() {
	s.server.Close()
	_ = s.notes.engine.Close()
}

// ask makes a request and gives the answer.
func (s *service) ask(method, path, body string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.server.Client().Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(said)
}

func (s *service) want(code int, method, path, body string) string {
	s.t.Helper()
	got, said := s.ask(method, path, body)
	if got != code {
		s.t.Fatalf("%s %s: %d %s, not %d", method, path, got, said, code)
	}
	return said
}

// documents are the library's own: real text.
func documents(t *testing.T) map[string]string {
	t.Helper()
	root := os.Getenv("CYBORG_KMS_SOURCE")
	if root == "" {
		root = "../.."
	}
	paths, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(paths) < 8 {
		t.Fatalf("documents: %v, %v", paths, err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(path)] = string(text)
	}
	return texts
}

func note(tenant, name string) string { return "/tenants/" + tenant + "/notes/" + url.PathEscape(name) }

func TestTenantsAreServedWhileTheirKeysRotate(t *testing.T) {
	root, texts := t.TempDir(), documents(t)
	s := start(t, root)
	tenants := []string{"acme", "globex", "initech"}
	var workers sync.WaitGroup
	for _, tenant := range tenants {
		s.want(http.StatusCreated, "PUT", "/tenants/"+tenant, "")
		workers.Add(1)
		go func() {
			defer workers.Done()
			for round := range 5 {
				for name, text := range texts {
					s.write(note(tenant, name), fmt.Sprintf("%s of %s, %d\n%s", name, tenant, round, text))
				}
			}
		}()
	}
	rotations := s.rotateUntil(&workers, tenants)
	s.stop()
	t.Logf("%d rotations while notes were written", rotations)

	s = start(t, root) // another process would find the same
	defer s.stop()
	for _, tenant := range tenants {
		for name, text := range texts {
			want := fmt.Sprintf("%s of %s, 4\n%s", name, tenant, text)
			if got := s.want(http.StatusOK, "GET", note(tenant, name), ""); got != want {
				t.Fatalf("%s of %s came back as %.40q", name, tenant, got)
			}
		}
		if said := s.want(http.StatusOK, "GET", "/tenants/"+tenant, ""); !strings.Contains(said, `"format.md"`) {
			t.Fatal(said)
		}
	}
	noPlaintext(t, root, texts)
}

// write writes a note and reads it back; on a goroutine of a test nothing may end it.
func (s *service) write(path, text string) {
	if code, said := s.ask("PUT", path, text); code != http.StatusNoContent {
		s.t.Errorf("PUT %s: %d %s", path, code, said)
	}
	if code, said := s.ask("GET", path, ""); code != http.StatusOK || said != text {
		s.t.Errorf("GET %s: %d %.40q", path, code, said)
	}
}

// rotateUntil rotates the tenants until the workers are done, and once more; then no page has a former key.
func (s *service) rotateUntil(workers *sync.WaitGroup, tenants []string) (rotations int) {
	done := make(chan struct{})
	go func() { workers.Wait(); close(done) }()
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		for _, tenant := range tenants {
			s.want(http.StatusOK, "POST", "/tenants/"+tenant+"/rotate", "")
			rotations++
		}
	}
	for _, tenant := range tenants {
		index, err := s.notes.open(context.Background(), tenant)
		if err != nil {
			s.t.Fatal(err)
		}
		if left, err := s.notes.reseal(context.Background(), index); left != 0 || err != nil || index.DataKeyID() < 2 {
			s.t.Fatalf("%d notes of %s are left under a former key; now it is %d; %v", left, tenant, index.DataKeyID(), err)
		}
		_ = index.Close()
	}
	return rotations
}

// noPlaintext looks into every file for any longer line of the notes, and for their names.
func noPlaintext(t *testing.T, root string, texts map[string]string) {
	t.Helper()
	var secrets []string
	for name, text := range texts {
		secrets = append(secrets, name)
		for _, line := range strings.Split(text, "\n") {
			if len(line) > 20 {
				secrets = append(secrets, line)
			}
		}
	}
	files := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found := slices.IndexFunc(secrets, func(secret string) bool {
			return bytes.Contains(data, []byte(secret)) || strings.Contains(path, secret)
		})
		if files++; found >= 0 {
			t.Errorf("%s holds %q", path, secrets[found])
		}
		return err
	})
	if err != nil || files < 3*len(texts) || len(secrets) < 100 {
		t.Fatalf("%d files, %d texts to look for, %v", files, len(secrets), err)
	}
}

func TestAFileInAnotherPlaceDoesNotOpen(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.stop()
	var files []string
	for _, tenant := range []string{"acme", "globex"} {
		s.want(http.StatusCreated, "PUT", "/tenants/"+tenant, "")
		s.want(http.StatusNoContent, "PUT", note(tenant, "a"), "of "+tenant)
		found, err := filepath.Glob(filepath.Join(s.notes.folder, tenant, "*"))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		files = append(files, found[0])
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[1], data, 0o600); err != nil {
		t.Fatal(err)
	}
	s.want(http.StatusInternalServerError, "GET", note("globex", "a"), "")
	if got := s.want(http.StatusOK, "GET", note("acme", "a"), ""); got != "of acme" {
		t.Fatal(got)
	}
}

func TestTheOwnerTakesTheKeyAway(t *testing.T) {
	root := t.TempDir()
	s := start(t, root)
	defer s.stop()
	s.want(http.StatusCreated, "PUT", "/tenants/acme", "")
	s.want(http.StatusNoContent, "PUT", note("acme", "a"), "text")
	if err := os.Rename(filepath.Join(root, "owner"), filepath.Join(root, "away")); err != nil {
		t.Fatal(err)
	}
	if err := s.notes.engine.Evict(""); err != nil { // as when cache.ttl is over
		t.Fatal(err)
	}
	if code, said := s.ask("GET", note("acme", "a"), ""); code != http.StatusForbidden && code != http.StatusServiceUnavailable {
		t.Fatal(code, said)
	}
}

func TestWhatIsRefused(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.stop()
	s.want(http.StatusNotFound, "GET", note("nobody", "a"), "")
	s.want(http.StatusBadRequest, "PUT", "/tenants/"+url.PathEscape("../evil"), "")
	s.want(http.StatusCreated, "PUT", "/tenants/acme", "")
	s.want(http.StatusConflict, "PUT", "/tenants/acme", "")
	s.want(http.StatusNotFound, "GET", note("acme", "none"), "")
	s.want(http.StatusNotFound, "DELETE", note("acme", "none"), "")
	s.want(http.StatusRequestEntityTooLarge, "PUT", note("acme", "long"), strings.Repeat("x", maxNote+1))
	s.want(http.StatusNoContent, "PUT", note("acme", "a/ü"), "text")
	s.want(http.StatusNoContent, "DELETE", note("acme", "a/ü"), "")
	s.want(http.StatusNotFound, "GET", note("acme", "a/ü"), "")
}

// The program itself: it serves until it is told to stop, and rotates meanwhile.
func TestTheProgramRunsAndStops(t *testing.T) {
	root := t.TempDir()
	s := start(t, root)
	s.want(http.StatusCreated, "PUT", "/tenants/acme", "")
	s.stop()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, filepath.Join(root, "db.yaml"), "prod", filepath.Join(root, "data"), "127.0.0.1:0", time.Millisecond)
	}()
	time.Sleep(50 * time.Millisecond)
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not stop")
	}
	if err := run(ctx, filepath.Join(root, "none.yaml"), "prod", root, "127.0.0.1:0", 0); !errors.Is(err, cyborgkms.ErrConfig) {
		t.Fatal(err)
	}
}

package main

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"math"
	"net/http"
	"regexp"
	"strconv"

	"cyborg-kms.internal/cyborgkms"
)

// maxNote is the longest note.
const maxNote = 1 << 20

var (
	tenantNames = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`) // a folder's name, too
	errTenant   = errors.New("a tenant's name is 1 to 64 of a-z, 0-9 and -")
	errNote     = errors.New("a note's name has 1 to 65,535 bytes")
)

func (n *notes) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /tenants/{tenant}", n.answer(n.putTenant))
	mux.HandleFunc("GET /tenants/{tenant}", n.opened(n.getTenant))
	mux.HandleFunc("POST /tenants/{tenant}/rotate", n.answer(n.postRotate))
	mux.HandleFunc("PUT /tenants/{tenant}/notes/{note}", n.opened(n.putNote))
	mux.HandleFunc("GET /tenants/{tenant}/notes/{note}", n.opened(n.getNote))
	mux.HandleFunc("DELETE /tenants/{tenant}/notes/{note}", n.opened(n.deleteNote))
	return mux
}

// answer checks the tenant's name and turns an error into an answer.
func (n *notes) answer(do func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := errTenant
		if tenantNames.MatchString(r.PathValue("tenant")) {
			err = do(w, r)
		}
		if err != nil {
			refuse(w, err)
		}
	}
}

// opened opens the tenant for one request. When the client goes away, waiting for the KMS ends.
func (n *notes) opened(do func(*cyborgkms.Index, http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return n.answer(func(w http.ResponseWriter, r *http.Request) error {
		if note := r.PathValue("note"); len(note) > math.MaxUint16 {
			return errNote
		}
		index, err := n.open(r.Context(), r.PathValue("tenant"))
		if err != nil {
			return err
		}
		defer index.Close()
		return do(index, w, r)
	})
}

func (n *notes) putTenant(w http.ResponseWriter, r *http.Request) error {
	if err := n.create(r.Context(), r.PathValue("tenant")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (n *notes) getTenant(index *cyborgkms.Index, w http.ResponseWriter, _ *http.Request) error {
	names, err := n.list(index)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(map[string]any{"data_key": index.DataKeyID(), "notes": names})
}

func (n *notes) postRotate(w http.ResponseWriter, r *http.Request) error {
	resealed, err := n.rotate(r.Context(), r.PathValue("tenant"))
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(map[string]int{"resealed": resealed})
}

func (n *notes) putNote(index *cyborgkms.Index, w http.ResponseWriter, r *http.Request) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNote))
	if err != nil {
		return err
	}
	if err := n.put(index, r.PathValue("note"), text); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (n *notes) getNote(index *cyborgkms.Index, w http.ResponseWriter, r *http.Request) error {
	text, err := n.get(index, r.PathValue("note"))
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func (n *notes) deleteNote(index *cyborgkms.Index, w http.ResponseWriter, r *http.Request) error {
	if err := n.remove(index, r.PathValue("note")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// refuse tells the client what kind of failure it is, and the operator which.
func refuse(w http.ResponseWriter, err error) {
	code := code(err)
	if code >= 500 {
		log.Print(err)
	}
	var failed *cyborgkms.Error
	if errors.As(err, &failed) && failed.Retryable {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(failed.RetryAfter.Seconds(), 1)))))
	}
	http.Error(w, http.StatusText(code), code)
}

func code(err error) int {
	for _, known := range []struct {
		code   int
		errors []error
	}{
		{http.StatusBadRequest, []error{errTenant, errNote}},
		{http.StatusNotFound, []error{cyborgkms.ErrNotFound, fs.ErrNotExist}},
		{http.StatusConflict, []error{cyborgkms.ErrAlreadyExists, cyborgkms.ErrConflict}},
		// The key's owner said no.
		{http.StatusForbidden, []error{cyborgkms.ErrAccessDenied, cyborgkms.ErrKeyDisabled, cyborgkms.ErrKeyNotFound}},
		{http.StatusServiceUnavailable, []error{cyborgkms.ErrKMSUnavailable, cyborgkms.ErrThrottled,
			cyborgkms.ErrTimeout, cyborgkms.ErrCancelled}},
	} {
		for _, one := range known.errors {
			if errors.Is(err, one) {
				return known.code
			}
		}
	}
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusInternalServerError // damage, too: it is as a failed checksum
}

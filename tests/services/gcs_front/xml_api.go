package main

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// put writes an object through the JSON API, which has the conditions and decides under a lock.
func (f *front) put(w http.ResponseWriter, r *http.Request, bucket, object string) {
	if r.Header.Get("X-Goog-Copy-Source") != "" {
		fail(w, http.StatusNotImplemented, "NotImplemented", "this server copies nothing: the library's copy passes over conditions")
		return
	}
	query := url.Values{"uploadType": {"media"}, "name": {object}}
	if match := r.Header.Get("X-Goog-If-Generation-Match"); match != "" {
		query.Set("ifGenerationMatch", match)
	}
	target := "/upload/storage/v1/b/" + url.PathEscape(bucket) + "/o?"
	asked := httptest.NewRequest(http.MethodPost, "http://"+f.host+target+query.Encode(), r.Body)
	asked.Header, asked.ContentLength, asked.TransferEncoding = r.Header, r.ContentLength, r.TransferEncoding
	answer := httptest.NewRecorder()
	f.inner.ServeHTTP(answer, asked)
	if answer.Code != http.StatusOK {
		f.refuse(w, bucket, answer.Code)
		return
	}
	var stored struct{ Generation, Etag string }
	if err := json.Unmarshal(answer.Body.Bytes(), &stored); err != nil {
		fail(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	w.Header().Set("ETag", strconv.Quote(strings.Trim(stored.Etag, `"`)))
	w.Header().Set("X-Goog-Generation", stored.Generation)
}

// object reads or removes one; the library's refusals get the XML API's shape.
func (f *front) object(w http.ResponseWriter, r *http.Request, bucket string) {
	answer := httptest.NewRecorder()
	f.inner.ServeHTTP(answer, r)
	if answer.Code >= 400 && answer.Code != http.StatusRequestedRangeNotSatisfiable {
		f.refuse(w, bucket, answer.Code)
		return
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	if r.Method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

type listed struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []content
	CommonPrefixes        []prefix
}

type content struct {
	Key          string
	Generation   int64
	LastModified string
	ETag         string
	Size         int64
}

type prefix struct{ Prefix string }

// list answers `list-type=2`, in pages. The token is the last name of a page.
func (f *front) list(w http.ResponseWriter, r *http.Request, bucket string) {
	query := r.URL.Query()
	most := 1000
	if text := query.Get("max-keys"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			fail(w, http.StatusBadRequest, "InvalidArgument", "max-keys is no positive number")
			return
		}
		most = min(most, number)
	}
	found, err := f.server.ListObjectsWithOptionsPaginated(bucket, fakestorage.ListOptions{
		Prefix: query.Get("prefix"), Delimiter: query.Get("delimiter"),
	})
	if err != nil {
		f.refuse(w, bucket, http.StatusNotFound)
		return
	}
	after := max(query.Get("start-after"), query.Get("continuation-token"))
	result := listed{Name: bucket, Prefix: query.Get("prefix")}
	last := ""
	for _, entry := range merged(found) {
		if entry.name <= after {
			continue
		}
		if len(result.Contents)+len(result.CommonPrefixes) == most {
			result.IsTruncated, result.NextContinuationToken = true, last
			break
		}
		entry.add(&result)
		last = entry.name
	}
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	w.Write([]byte(xml.Header))
	xml.NewEncoder(w).Encode(result)
}

type entry struct {
	name   string
	object *fakestorage.ObjectAttrs
}

// merged gives objects and prefixes, each already sorted, in one order.
func merged(found fakestorage.ListResponse) []entry {
	entries := make([]entry, 0, len(found.Objects)+len(found.Prefixes))
	objects, prefixes := found.Objects, found.Prefixes
	for len(objects)+len(prefixes) > 0 {
		if len(prefixes) == 0 || len(objects) > 0 && objects[0].Name < prefixes[0] {
			entries = append(entries, entry{objects[0].Name, &objects[0]})
			objects = objects[1:]
		} else {
			entries = append(entries, entry{prefixes[0], nil})
			prefixes = prefixes[1:]
		}
	}
	return entries
}

func (e entry) add(result *listed) {
	if e.object == nil {
		result.CommonPrefixes = append(result.CommonPrefixes, prefix{e.name})
		return
	}
	result.Contents = append(result.Contents, content{
		Key:          e.object.Name,
		Generation:   e.object.Generation,
		LastModified: e.object.Updated.UTC().Format(time.RFC3339Nano),
		ETag:         strconv.Quote(e.object.Etag),
		Size:         e.object.Size,
	})
}

// refuse says in XML why the library refused.
func (f *front) refuse(w http.ResponseWriter, bucket string, status int) {
	code := map[int]string{http.StatusPreconditionFailed: "PreconditionFailed", http.StatusNotFound: "NoSuchKey"}[status]
	if status == http.StatusNotFound {
		if _, err := f.server.ListObjectsWithOptionsPaginated(bucket, fakestorage.ListOptions{MaxResults: 1}); err != nil {
			code = "NoSuchBucket"
		}
	}
	fail(w, status, code, http.StatusText(status))
}

func fail(w http.ResponseWriter, status int, code, message string) {
	if code == "" {
		code = "InternalError"
	}
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	w.WriteHeader(status)
	w.Write([]byte("<?xml version='1.0' encoding='UTF-8'?><Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>"))
}

// unescaped is a path's segment as it is meant; one that is wrongly escaped stays as it is, and is not found.
func unescaped(segment string) string {
	if text, err := url.PathUnescape(segment); err == nil {
		return text
	}
	return segment
}

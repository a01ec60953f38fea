// A front of fake-gcs-server, used as a library: it adds the XML API's object PUT and the paged list, which
// object_store uses and fake-gcs-server does not have. Records live in memory.
package main

import (
	"flag"
	"log"
	"net/http"
	"strings"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	addr := flag.String("addr", "", "host:port to listen on")
	flag.Parse()
	if *addr == "" {
		log.Fatal("say where to listen: -addr host:port")
	}
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, PublicHost: *addr, Scheme: "http"})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*addr, &front{server: server, inner: server.HTTPHandler(), host: *addr}))
}

type front struct {
	server *fakestorage.Server
	inner  http.Handler
	host   string
}

// ServeHTTP sorts the XML API's requests (`/bucket`, `/bucket/object`) from the JSON API's, which the library answers.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The library knows its own address only; a client may come through a proxy.
	r.Host = f.host
	bucket, object, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	switch {
	case reserved[bucket] || bucket == "":
		f.inner.ServeHTTP(w, r)
	case object == "" && r.Method == http.MethodGet:
		f.list(w, r, unescaped(bucket))
	case r.Method == http.MethodPut && r.URL.RawQuery == "":
		f.put(w, r, unescaped(bucket), unescaped(object))
	case r.URL.Query().Has("uploads") || r.URL.Query().Has("uploadId"):
		fail(w, http.StatusNotImplemented, "NotImplemented", "this server has no multipart uploads")
	default:
		f.object(w, r, unescaped(bucket))
	}
}

// The JSON API's first segments.
var reserved = map[string]bool{"storage": true, "upload": true, "download": true, "batch": true, "_internal": true}

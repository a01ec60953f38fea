// Command tenants serves the notes of many tenants over HTTP. Each tenant is an index: its notes are sealed under a key
// of its own, which rotates while they are read and written.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"cyborg-kms.internal/cyborgkms"
)

func main() {
	config := flag.String("config", "db.yaml", "the configuration of the keys")
	slot := flag.String("slot", "prod", "the slot that guards new tenants")
	data := flag.String("data", "data", "the folder of the notes")
	listen := flag.String("listen", "127.0.0.1:8080", "the address to listen on")
	every := flag.Duration("rotate-every", 24*time.Hour, "how often each tenant gets a new data key; 0: never")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *config, *slot, *data, *listen, *every); err != nil {
		log.Fatalf("tenants: %v", err)
	}
}

// run serves until the context ends.
func run(ctx context.Context, config, slot, data, listen string, every time.Duration) error {
	engine, err := cyborgkms.Open(config)
	if err != nil {
		return err
	}
	defer engine.Close()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	notes := &notes{engine: engine, slot: slot, folder: data}
	if every > 0 {
		go notes.rotateAll(ctx, every)
	}
	server := &http.Server{Handler: notes.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(patience)
	}()
	log.Printf("serving on http://%s", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

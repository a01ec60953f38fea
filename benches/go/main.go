// Command bench measures what a call from Go costs over the same call from C, by turns in one run: `make bench`.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cyborg-kms.internal/cyborgkms"
)

const (
	round  = 200 * time.Microsecond
	rounds = 601
	// asked is the most that Go may add to a call.
	asked = 150
)

func main() {
	if err := run(); err != nil {
		log.Fatalf("bench: %v", err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "cyborgkms-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	yaml := fmt.Sprintf("kms: {registry: {prod: {provider: local, key_id: %q, create: true}}}\ncache: {ttl: 1h}\n",
		filepath.Join(dir, "wrap.key"))
	openC(yaml)
	engine, err := cyborgkms.OpenYAML(yaml)
	if err != nil {
		return err
	}
	defer engine.Close()
	index, err := engine.CreateIndex(context.Background(), "customers", "prod")
	if err != nil {
		return err
	}
	defer index.Close()

	aad, page := []byte("page 1"), make([]byte, 4096)
	sealed, opened := make([]byte, 0, 4096+cyborgkms.Overhead), make([]byte, 0, 4096)
	fmt.Println("\n| Go over C | C | Go | more | asked | |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | --- |")
	compare("seal 4 KiB from Go", sealC, repeat(func() {
		sealed = must(index.Encrypt(sealed[:0], page, aad))
	}))
	compare("open 4 KiB from Go", unsealC, repeat(func() {
		opened = must(index.Decrypt(opened[:0], sealed, aad))
	}))
	compare("open a cached index from Go, close it", openCachedC, repeat(func() {
		_ = must(engine.OpenIndex(context.Background(), "customers")).Close()
	}))
	return nil
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatalf("bench: %v", err)
	}
	return value
}

func repeat(call func()) func(int) {
	return func(calls int) {
		for range calls {
			call()
		}
	}
}

// compare prints a row: the medians of C and Go, and of what Go adds in neighbouring rounds.
func compare(work string, c, goes func(calls int)) {
	cCalls, goCalls := callsIn(round, c), callsIn(round, goes)
	var ofC, ofGo, more []float64
	for at := range rounds {
		var one, other float64
		if at%2 == 0 { // who goes first changes
			one = each(c, cCalls)
			other = each(goes, goCalls)
		} else {
			other = each(goes, goCalls)
			one = each(c, cCalls)
		}
		ofC, ofGo, more = append(ofC, one), append(ofGo, other), append(more, other-one)
	}
	verdict := "met"
	if median(more) > asked {
		verdict = "NOT MET"
	}
	fmt.Printf("| %s | %.0f ns | %.0f ns | %.0f ns | <= %d ns | %s |\n",
		work, median(ofC), median(ofGo), median(more), asked, verdict)
}

// callsIn is how many calls take about so long; 1 at least.
func callsIn(span time.Duration, work func(int)) int {
	for calls := 1; ; calls *= 2 {
		begin := time.Now()
		work(calls)
		if time.Since(begin) >= span || calls >= 1<<20 {
			return calls
		}
	}
}

// each is the nanoseconds of one of so many calls.
func each(work func(int), calls int) float64 {
	begin := time.Now()
	work(calls)
	return float64(time.Since(begin).Nanoseconds()) / float64(calls)
}

func median(figures []float64) float64 {
	slices.Sort(figures)
	return figures[len(figures)/2]
}

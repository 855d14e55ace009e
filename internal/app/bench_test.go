package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postyard/internal/config"
	"postyard/internal/demo"
	"postyard/internal/sandbox"
	"postyard/internal/secret"
)

// The benchmarks run against a database on disk with fsync on, over real HTTP on loopback. Generator, server and simulated
// provider share the machine's cores.
const (
	benchConnections = 64
	providerLatency  = 20 * time.Millisecond
)

// benchServer is a server with a connected provider that is ready to accept; dispatching has not begun.
func benchServer(b *testing.B) (*Server, *demo.Scene) {
	b.Helper()
	simulator, err := sandbox.New(sandbox.Config{DeliveryDelay: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	// No event comes back within the benchmark: what is measured is one direction.
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/email") {
			<-time.After(providerLatency)
		}
		simulator.Handler().ServeHTTP(w, r)
	}))
	server, err := NewServer(b.Context(), config.Config{Listen: "127.0.0.1:0", Data: b.TempDir(), AllowPrivate: true, SecretKey: secret.NewKey(),
		CallTimeout: time.Minute, AskAfter: []time.Duration{time.Second}, AmbiguousWait: time.Minute, MessageTTL: time.Hour,
		ProviderConcurrency: 8, BatchSize: 100, ShutdownGrace: time.Second}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { server.accepting.Run(ctx) })
	running.Go(func() { server.ingesting.Run(ctx) })
	running.Go(func() { _ = server.http.Serve(server.listener) }) // ends with Close below
	b.Cleanup(func() {
		_ = server.http.Close()
		stop()
		running.Wait()
		if err := server.close(); err != nil {
			b.Error(err)
		}
		slow.Close()
		if err := simulator.Close(); err != nil {
			b.Error(err)
		}
	})
	account, _, err := server.Accounts.Bootstrap(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	scene, err := demo.SetUp(b.Context(), demo.Config{URL: server.URL, AccountID: account.Account.ID, AccountKey: account.AccountKey,
		SandboxURL: slow.URL, NoTraffic: true})
	if err != nil {
		b.Fatal(err)
	}
	return server, scene
}

// sendAll sends n messages over 64 connections and returns how long each took.
func sendAll(b *testing.B, scene *demo.Scene, n int) []time.Duration {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: benchConnections}
	defer transport.CloseIdleConnections()
	caller := &http.Client{Transport: transport}
	took := make([]time.Duration, n)
	var next atomic.Int64
	var running sync.WaitGroup
	for range benchConnections {
		running.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				began := time.Now()
				if err := sendOne(b.Context(), caller, scene, i); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	running.Wait()
	return took
}

var domains = []string{"gmail.com", "yahoo.com", "outlook.com", "example.net"}

func sendOne(ctx context.Context, caller *http.Client, scene *demo.Scene, i int64) error {
	email := scene.FirstEmail()
	email.To[0].Email = fmt.Sprintf("u%d@%s", i, domains[i%int64(len(domains))])
	email.CustomFields["note"] = strings.Repeat("x", 1500) // a request of about 2 KB
	body, err := json.Marshal(email)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, scene.URL+"/api/v1/subaccount/email/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-SubAccount-ApiKey", scene.SubAccounts[0].APIKey)
	res, err := caller.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var sent []struct{ ErrorCode int }
	if err := json.NewDecoder(res.Body).Decode(&sent); err != nil || res.StatusCode != http.StatusOK || len(sent) != 1 || sent[0].ErrorCode != 0 {
		return fmt.Errorf("status %d, %v (%w)", res.StatusCode, sent, err)
	}
	return nil
}

// BenchmarkAccept measures requests from the first byte to the answer, which comes after the fsync.
func BenchmarkAccept(b *testing.B) {
	_, scene := benchServer(b)
	b.ResetTimer()
	took := sendAll(b, scene, b.N)
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkDispatch measures how fast a backlog leaves: claim, call of 20 ms, record of the outcome.
func BenchmarkDispatch(b *testing.B) {
	server, scene := benchServer(b)
	sendAll(b, scene, b.N)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	b.ResetTimer()
	running.Go(func() {
		if err := server.dispatcher.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	for left := int64(b.N); left > 0; {
		<-time.After(time.Millisecond)
		var err error
		if left, err = server.store.Backlog(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	stop()
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

package goredis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// reserveUntil makes a request until its error is what the test waits for.
func reserveUntil(t *testing.T, b *Backend, what string, is func(error) bool) {
	t.Helper()
	var last error
	defer func() {
		if t.Failed() {
			t.Logf("the last error is %v", last)
		}
	}()
	eventually(t, what, func() bool {
		_, last = reserveOnce(t, b)
		return is(last)
	})
}

// reserveOnce makes a request, and returns its error and whether that is final.
func reserveOnce(t *testing.T, b *Backend) (isFinal bool, err error) {
	t.Helper()
	d := make([]backend.Decision, 1)
	if err := b.Reserve(t.Context(), []backend.Request{request(limit("once", every(time.Hour, 1)))}, d); err != nil {
		return false, err
	}
	return d[0].Err != nil && !d[0].Undecided, d[0].Err
}

// setupDecision makes requests until one is decided by a SetupError, and returns that decision. A server
// that sends away a client resets the connection too, and now and then the client hears of that alone.
func setupDecision(t *testing.T, b *Backend) backend.Decision {
	t.Helper()
	d := make([]backend.Decision, 1)
	eventually(t, "the error is a SetupError", func() bool {
		err := b.Reserve(t.Context(), []backend.Request{request(limit("k", every(time.Hour, 1)))}, d)
		return err == nil && errors.Is(d[0].Err, ErrSetup)
	})
	return d[0]
}

// outsider connects from an address that is not 127.0.0.1. Linux has more of those.
func outsider(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	return d.DialContext(ctx, network, addr)
}

// A server in protected mode writes the reason to a client from another host and closes the
// connection, so the client reports only a broken connection. The backend reports the reason, and
// recovers when the mode is turned off.
func TestProtectedMode(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no other address than 127.0.0.1")
	}
	server := redistest.Start(t, "--protected-mode", "yes")
	client := clientWith(t, &redis.Options{Addr: server.Addr(), Dialer: outsider, MaxRetries: -1})
	b := newBackend(t, client, Config{})
	wantSetup(t, setupDecision(t, b), "protected mode")
	if err := server.Client(t).ConfigSet(t.Context(), "protected-mode", "no").Err(); err != nil {
		t.Fatal(err)
	}
	takes(t, b, limit("k", every(time.Hour, 1)))
}

// Too many clients are a passing failure, and the error says so.
func TestTooManyClients(t *testing.T) {
	server := redistest.Start(t, "--maxclients", "1")
	only := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = only.Close() })
	eventually(t, "the only client is in", func() bool { return only.Ping(t.Context()).Err() == nil })
	b := newBackend(t, clientWith(t, &redis.Options{Addr: server.Addr(), MaxRetries: -1}), Config{})
	reserveUntil(t, b, "the error says why", func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "max number of clients")
	})
	if final, err := reserveOnce(t, b); final || errors.Is(err, ErrSetup) {
		t.Errorf("Reserve() = %v, final: %t, want an error that passes", err, final)
	}
	_ = only.Close()
	reserveUntil(t, b, "there is room", func(err error) bool { return err == nil })
}

// withTLS starts a server that speaks only TLS, and returns its address and the
// certificates to trust.
func withTLS(t *testing.T, args ...string) (addr string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certFile, keyFile := write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", private)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	redistest.Start(t, append([]string{
		"--tls-port", port, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", certFile,
	}, args...)...)
	roots = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(parsed)
	return addr, roots
}

// Client and server disagree on TLS.
func TestTLS(t *testing.T) {
	addr, roots := withTLS(t)
	for name, c := range map[string]struct {
		config *tls.Config
		advice string // "" if it works
	}{
		"none":                   {nil, "set TLSConfig"},
		"an unknown certificate": {&tls.Config{}, "TLSConfig"},
		"another name":           {&tls.Config{RootCAs: roots, ServerName: "redis.example"}, "TLSConfig"},
		"no certificate to show": {&tls.Config{RootCAs: roots}, "TLSConfig"},
		"an old version":         {&tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS10}, "TLSConfig"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, clientWith(t, &redis.Options{Addr: addr, TLSConfig: c.config, MaxRetries: -1, DialerRetries: 1}), Config{})
			wantSetup(t, setupDecision(t, b), c.advice)
		})
	}
	addr, roots = withTLS(t, "--tls-auth-clients", "no")
	b := newBackend(t, clientWith(t, &redis.Options{Addr: addr, TLSConfig: &tls.Config{RootCAs: roots}}), Config{})
	takes(t, b, limit("k", every(time.Hour, 1)))
}

// hail returns nil if the server works, or can't be reached.
func TestHailHearsNothing(t *testing.T) {
	for _, args := range [][]string{nil, {"--requirepass", "secret"}} {
		o := redis.Options{Addr: redistest.Start(t, args...).Addr()}
		if err := hail(clientWith(t, &o).Options()); err != nil {
			t.Errorf("hail() of a server with %v = %v, want nil", args, err)
		}
	}
	server := redistest.Start(t)
	o := server.Client(t).Options()
	server.Kill()
	if err := hail(o); err != nil {
		t.Errorf("hail() of a server that is away = %v, want nil", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o.Addr = l.Addr().String()
	if err := hail(o); err != nil { // it accepts, and is silent
		t.Errorf("hail() of a server that is silent = %v, want nil", err)
	}
}

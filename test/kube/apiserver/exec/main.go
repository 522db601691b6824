// Command exec is the part of a kubelet that runs commands in containers (POST /exec/...), as far as the API server
// calls it: it hands each command to the lab by a Unix socket, and streams back what comes.
// Arguments: the address to listen on, the path of the socket.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	api "k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	streaming "k8s.io/kubelet/pkg/cri/streaming/remotecommand"
)

const (
	idleTimeout   = 2 * time.Minute
	streamTimeout = 10 * time.Second
)

// lab runs commands by asking at the socket: one line of JSON each way on a connection.
type lab struct{ socket string }

type question struct {
	Pod     string   `json:"pod"`
	Command []string `json:"command"`
}

type answer struct {
	Output string `json:"output"`
	Exit   int    `json:"exit"`
}

func (l lab) ExecInContainer(
	ctx context.Context, pod string, _ types.UID, _ string, command []string,
	_ io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan api.TerminalSize, _ time.Duration,
) error {
	connection, err := new(net.Dialer).DialContext(ctx, "unix", l.socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := json.NewEncoder(connection).Encode(question{pod, command}); err != nil {
		return err
	}
	var said answer
	if err := json.NewDecoder(connection).Decode(&said); err != nil {
		return err
	}
	if out != nil {
		if _, err := io.WriteString(out, said.Output); err != nil {
			return err
		}
	}
	if said.Exit != 0 {
		return exec.CodeExitError{Err: fmt.Errorf("exit code %d", said.Exit), Code: said.Exit}
	}
	return nil
}

func (l lab) serve(w http.ResponseWriter, r *http.Request) {
	options, err := streaming.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pod := r.PathValue("namespace") + "/" + r.PathValue("pod")
	streaming.ServeExec(
		w, r, l, pod, "", r.PathValue("container"), r.URL.Query()["command"], options,
		idleTimeout, streamTimeout, remotecommand.SupportedStreamingProtocols,
	)
}

// certificate is one that nobody can verify; the API server does not unless it is told to.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: exec ADDRESS SOCKET")
	}
	own, err := certificate()
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /exec/{namespace}/{pod}/{container}", lab{os.Args[2]}.serve)
	server := http.Server{
		Addr: os.Args[1], Handler: mux, ReadHeaderTimeout: streamTimeout,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}},
		// The streams are an upgrade of HTTP/1.1.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	log.Fatal(server.ListenAndServeTLS("", ""))
}

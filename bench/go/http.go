package main

import (
	"net"
	"net/http"
	"os"
)

// web is net/http as its users have it: a handler, and a FileServer for a folder, which sends files by sendfile.
func web(asked arguments) said {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		fail("Go's listener: " + err.Error())
	}
	routes := http.NewServeMux()
	routes.Handle("/", http.FileServer(http.Dir(asked.values["folder"])))
	routes.HandleFunc("/hello", hello)
	say(figure("port", float64(listener.Addr().(*net.TCPAddr).Port)))
	go func() {
		// The driver writes nothing: this returns when it has closed its end.
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	fail("Go's server: " + http.Serve(listener, routes).Error())
	return said{}
}

func hello(to http.ResponseWriter, _ *http.Request) {
	to.Header().Set("Content-Type", "text/plain")
	_, _ = to.Write([]byte("Hello, World!"))
}

package main

import (
	"net"
	"os"
)

// echo is a server with a goroutine for each connection, whose buffer has as many bytes as the driver says.
func echo(asked arguments) said {
	size := asked.number("buffer")
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		fail("Go's listener: " + err.Error())
	}
	say(figure("port", float64(listener.Addr().(*net.TCPAddr).Port)))
	go func() {
		// The driver writes nothing: this returns when it has closed its end.
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	for {
		connection, err := listener.Accept()
		if err != nil {
			fail("Go's listener: " + err.Error())
		}
		go converse(connection, size)
	}
}

// converse goes on until the client has gone. Go sets TCP_NODELAY by itself.
func converse(connection net.Conn, size int) {
	defer connection.Close()
	buffer := make([]byte, size)
	for {
		count, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err = connection.Write(buffer[:count]); err != nil {
			return
		}
	}
}

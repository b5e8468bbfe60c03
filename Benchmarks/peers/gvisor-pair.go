// Two of gVisor's netstack, as Debian packages it, joined by its own link in memory (pipe), with their programs in
// goroutines through the net.Conn adapter. Its own goroutines do what is to be done: nothing steps it, and time is real.
//
//	gvisor-pair bulk|exchange|connect|remember|idle seconds|count NUMBER
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	period, piece, buffer = 251, 1 << 16, 256 << 10
	near, far             = "\x0a\x08\x00\x02", "\x0a\x08\x00\x01"
)

var text [piece + period]byte

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func option(s *stack.Stack, value tcpip.SettableTransportProtocolOption) {
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, value); err != nil {
		log.Fatal(err)
	}
}

func end(address tcpip.Address, link stack.LinkEndpoint, timeWait time.Duration) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	selective, kept := tcpip.TCPSACKEnabled(true), tcpip.TCPTimeWaitTimeoutOption(timeWait)
	option(s, &selective)
	option(s, &kept)
	option(s, &tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: buffer, Max: buffer})
	option(s, &tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: buffer, Max: buffer})
	if err := s.CreateNIC(1, link); err != nil {
		log.Fatal(err)
	}
	prefixed := tcpip.ProtocolAddress{
		Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: address, PrefixLen: 24},
	}
	if err := s.AddProtocolAddress(1, prefixed, stack.AddressProperties{}); err != nil {
		log.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	return s
}

// expect compares all of it, or the first and last eight bytes.
func expect(is []byte, position int, isWhole bool) {
	should, edge := text[position%period:][:len(is)], 8
	if len(is) < edge || isWhole {
		edge = len(is)
	}
	if !bytes.Equal(is[:edge], should[:edge]) || !bytes.Equal(is[len(is)-edge:], should[len(is)-edge:]) {
		log.Fatal("bytes arrived that were not sent")
	}
}

func processor() float64 {
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func resident() float64 {
	debug.FreeOSMemory()
	told, err := os.ReadFile("/proc/self/statm")
	must(err)
	pages, err := strconv.Atoi(strings.Fields(string(told))[1])
	must(err)
	return float64(pages * os.Getpagesize())
}

// measure does the work of `turn`, `warm` of it before the clock runs.
func measure(warm int, isCount bool, number float64, turn func() int) (units int, wall, used float64) {
	for done := 0; done < warm; {
		done += turn()
	}
	start, before := time.Now(), processor()
	for isCount && units < int(number) || !isCount && time.Since(start).Seconds() < number {
		units += turn()
	}
	return units, time.Since(start).Seconds(), processor() - before
}

func main() {
	for i := range text {
		text[i] = byte(i%period*7 + 1)
	}
	mode, isCount := os.Args[1], os.Args[2] == "count"
	number, err := strconv.ParseFloat(os.Args[3], 64)
	must(err)
	timeWait := time.Nanosecond
	if mode == "remember" {
		timeWait = 250 * time.Millisecond // so long do 3,000 last at the rate that it has
	}
	one, other := pipe.New("\x02\x00\x00\x00\x00\x02", "\x02\x00\x00\x00\x00\x01", 1500)
	client, server := end(near, one, timeWait), end(far, other, timeWait)
	service := tcpip.FullAddress{NIC: 1, Addr: far, Port: 7}
	listener, err := gonet.ListenTCP(server, service, ipv4.ProtocolNumber)
	must(err)
	dial := func() net.Conn {
		made, err := gonet.DialContextTCP(context.Background(), client, service, ipv4.ProtocolNumber)
		must(err)
		return made
	}
	accept := func() net.Conn {
		made, err := listener.Accept()
		must(err)
		return made
	}
	var turn func() int
	warm, byte1 := 1000, make([]byte, 1)
	comparesAll := true
	switch mode {
	case "bulk":
		writer, reader := dial(), accept()
		go func() {
			for position := 0; ; position += piece {
				_, err := writer.Write(text[position%period:][:piece])
				must(err)
			}
		}()
		read, into := 0, make([]byte, piece)
		turn = func() int {
			count, err := reader.Read(into)
			must(err)
			expect(into[:count], read, comparesAll)
			read += count
			comparesAll = read < 4<<20
			return count
		}
		warm = 4 << 20
	case "exchange":
		here, there := dial(), accept()
		go func() {
			echoed := make([]byte, 1)
			for {
				_, err := there.Read(echoed)
				must(err)
				echoed[0] = ^echoed[0]
				_, err = there.Write(echoed)
				must(err)
			}
		}()
		next := byte(0)
		turn = func() int {
			next++
			byte1[0] = next
			_, err := here.Write(byte1)
			must(err)
			_, err = here.Read(byte1)
			must(err)
			if byte1[0] != ^next {
				log.Fatal("a byte was not there")
			}
			return 1
		}
	case "idle":
		var held []net.Conn
		before := resident()
		for i := 0; i < int(number); i++ {
			held = append(held, dial(), accept())
		}
		fmt.Printf("{\"bytes\": %.1f}\n", (resident()-before)/2/number)
		held[0].Close()
		return
	default:
		ended, next := make(chan byte), byte(0)
		go func() {
			for {
				there := accept()
				all, err := io.ReadAll(there)
				must(err)
				there.Close()
				if len(all) != 1 {
					log.Fatal("a byte was not there")
				}
				ended <- all[0]
			}
		}()
		turn = func() int {
			next++
			byte1[0] = next
			here := dial()
			_, err := here.Write(byte1)
			must(err)
			here.Close()
			if <-ended != next {
				log.Fatal("a byte was not there")
			}
			return 1
		}
		if mode == "remember" {
			warm = 3000
		}
	}
	units, wall, used := measure(warm, isCount, number, turn)
	if mode == "bulk" {
		comparesAll = true
		turn()
	}
	fmt.Printf("{\"units\": %d, \"wall\": %.9f, \"processor\": %.9f}\n", units, wall, used)
}

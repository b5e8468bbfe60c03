// gVisor's netstack, as Debian packages it, on a TAP: echo at 7007, sink at 7009, source at 7019, through its net.Conn
// adapter, a goroutine for each connection, which is how its users have it.
//
//	gvisor TAP ADDRESS
package main

import (
	"io"
	"log"
	"net"
	"os"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/tun"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

func echo(c net.Conn) {
	buffer := make([]byte, 1<<16)
	for {
		count, err := c.Read(buffer)
		if err != nil {
			return
		}
		if _, err = c.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func source(c net.Conn) {
	buffer := make([]byte, 1<<16)
	for {
		if _, err := c.Write(buffer); err != nil {
			return
		}
	}
}

func main() {
	fd, err := tun.OpenTAP(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	endpoint, err := fdbased.New(&fdbased.Options{
		FDs: []int{fd}, MTU: 1500, EthernetHeader: true, Address: tcpip.LinkAddress("\x02\x00\x00\x00\x00\x02"),
		PacketDispatchMode: fdbased.Readv,
	})
	if err != nil {
		log.Fatal(err)
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, icmp.NewProtocol4},
	})
	selective := tcpip.TCPSACKEnabled(true)
	s.SetTransportProtocolOption(tcp.ProtocolNumber, &selective)
	if err := s.CreateNIC(1, endpoint); err != nil {
		log.Fatal(err)
	}
	address := tcpip.Address(net.ParseIP(os.Args[2]).To4())
	protocolAddress := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address, PrefixLen: 24},
	}
	if err := s.AddProtocolAddress(1, protocolAddress, stack.AddressProperties{}); err != nil {
		log.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	services := map[uint16]func(net.Conn){
		7007: echo, 7019: source, 7009: func(c net.Conn) { io.Copy(io.Discard, c) },
	}
	for port, serve := range services {
		listener, err := gonet.ListenTCP(s, tcpip.FullAddress{NIC: 1, Port: port}, ipv4.ProtocolNumber)
		if err != nil {
			log.Fatal(err)
		}
		go func(serve func(net.Conn)) {
			for {
				c, err := listener.Accept()
				if err != nil {
					log.Fatal(err)
				}
				go func() {
					defer c.Close()
					serve(c)
				}()
			}
		}(serve)
	}
	select {}
}

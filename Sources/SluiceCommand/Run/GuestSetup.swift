import Forwarding
import LinuxDevices
import Sluice

// What guests that configure themselves are told of the network that they find.
extension IsolatedNetwork {
  /// For a DHCP server: addresses from the network's 15th on, where slirp4netns' begin, to its last but one or the
  /// 1024th, which is enough for each guest of a switch; and the command's for its own station.
  var addressServer: AddressServerConfiguration {
    let network = ipv4.rawValue & (~UInt32(0) << UInt32(32 - ipv4PrefixLength))
    let last = min(network | ~UInt32(0) >> UInt32(ipv4PrefixLength), network + 1025) - 1
    var configuration = AddressServerConfiguration(
      server: ipv4Gateway, prefixLength: ipv4PrefixLength,
      pool: IPv4Address(network + 15)...IPv4Address(last))
    configuration.reserved = [commandMAC: ipv4]
    configuration.router = ipv4Gateway
    configuration.nameServers = [ipv4NameServer]
    configuration.mtu = mtu
    return configuration
  }
  /// For router advertisements.
  var routerAdvertising: RouterAdvertising {
    let prefix = IPPrefix(IPAddress(ipv6), length: ipv6PrefixLength)!
    var advertising = RouterAdvertising(prefixes: [IPPrefix(prefix.network, length: ipv6PrefixLength)!])
    advertising.nameServers = [ipv6NameServer]
    advertising.mtu = mtu
    return advertising
  }
}

import Forwarding
import LinuxDevices
import Sluice

// What guests that configure themselves are told of the network that they find.
extension IsolatedNetwork {
  /// For a DHCP server: addresses from the network's 15th to its 30th, as slirp4netns gives them, and the command's for its
  /// own station.
  var addressServer: AddressServerConfiguration {
    let network = ipv4.rawValue & (~UInt32(0) << UInt32(32 - ipv4PrefixLength))
    var configuration = AddressServerConfiguration(
      server: ipv4Gateway, prefixLength: ipv4PrefixLength,
      pool: IPv4Address(network + 15)...IPv4Address(network + 30))
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

import ArgumentParser
import CLinux
import LinuxDevices
import Wire

// What the command line says about where, and about addresses.

extension GatewayCommand {
  /// What is to be served.
  func place() throws -> Place {
    guard !qemu.isEmpty || vhostUser != nil else { return .namespace(try namespace()) }
    guard pid == nil, netns == nil, target == nil, qemu.isEmpty || vhostUser == nil else {
      throw ValidationError(
        "--qemu, --vhost-user, --pid, --netns and PID|PATH are networks to serve, and there is one.")
    }
    guard serving.contexts == 1 else {
      throw ValidationError(
        "\(vhostUser == nil ? "--qemu" : "--vhost-user") has one queue, and takes one context.")
    }
    if let vhostUser {
      guard !vhostUser.isEmpty else {
        throw ValidationError("--vhost-user is the path of a socket, not \"\".")
      }
      return .vhostUser(path: vhostUser)
    }
    return .guests(
      try qemu.map { text in
        guard let endpoint = SwitchEndpoint.parse(text) else {
          throw ValidationError(
            "--qemu \"\(text)\" is no socket. It is PATH, tcp:ADDR:PORT, dgram:PATH or udp:ADDR:PORT.")
        }
        return endpoint
      })
  }

  /// Where the interface is to be made.
  private func namespace() throws -> NamespaceTarget {
    switch (pid, netns, target) {
    case (let pid?, nil, nil):
      guard pid > 0 else { throw ValidationError("--pid is a process, not \(pid).") }
      return NamespaceTarget(process: pid, user: usernsPath)
    case (nil, let path?, nil): return NamespaceTarget(network: path, user: usernsPath)
    case (nil, nil, let target?):
      guard tapName != nil else { throw ValidationError("there is no TAPNAME behind \(target).") }
      guard interface == nil else { throw ValidationError("--interface and TAPNAME are the same: say one.") }
      switch netnsType {
      case .path: return NamespaceTarget(network: target, user: usernsPath)
      case .pid:
        guard let process = Int32(target), process > 0 else {
          throw ValidationError(
            "\"\(target)\" is no process. For a namespace by its path say --netns-type=path, or --netns.")
        }
        return NamespaceTarget(process: process, user: usernsPath)
      }
    case (nil, nil, nil):
      throw ValidationError(
        "there is no network to serve. Say --pid PID, --netns PATH, --qemu SOCKET, --vhost-user SOCKET, or PID TAPNAME."
      )
    default:
      throw ValidationError("--pid, --netns and PID|PATH are networks to serve, and there is one.")
    }
  }

  /// Addresses of both ends, and what the link is like.
  func network() throws -> IsolatedNetwork {
    var network = IsolatedNetwork()
    network.interface = tapName ?? interface ?? "sluice0"
    guard (1...15).contains(network.interface.utf8.count) else {
      throw ValidationError("\"\(network.interface)\" is no interface's name: it has 1 to 15 bytes.")
    }
    guard (576...(isCompatible ? 65_521 : TapDevice.largestMTU)).contains(mtu) else {
      throw ValidationError(
        "--mtu is from 576 to \(isCompatible ? 65_521 : TapDevice.largestMTU) bytes, not \(mtu).")
    }
    network.mtu = min(mtu, TapDevice.largestMTU)
    network.queues = serving.contexts
    network.isSingleQueue = serving.contexts == 1
    network.offload = offload ?? (serving.pcap == nil)
    network.hasIPv6 = !isCompatible || enableIPv6
    if isCompatible {
      // slirp4netns' own prefix, and an address of chance in it.
      let prefix: UInt64 = 0xfd00_0000_0000_0000
      network.ipv6 = IPv6Address(high: prefix, low: UInt64.random(in: 0x1_0000...UInt64.max))
      network.ipv6Gateway = IPv6Address(high: prefix, low: 2)
      network.ipv6NameServer = IPv6Address(high: prefix, low: 3)
    }
    if let cidr { try place(cidr, in: &network) }
    if let macaddress {
      guard configure ?? !isCompatible else {
        throw ValidationError("--macaddress is the configured interface's: say --configure too.")
      }
      guard let address = MACAddress(macaddress), address.isUnicast else {
        throw ValidationError(
          "--macaddress \"\(macaddress)\" is no station address, such as 02:00:00:00:00:01.")
      }
      network.commandMAC = address
    }
    return network
  }

  private func place(_ cidr: String, in network: inout IsolatedNetwork) throws {
    guard cidr.contains("/"), let prefix = IPPrefix(cidr), let first = prefix.address.ipv4,
      (1...25).contains(prefix.length), prefix.contains(prefix.address),
      first.rawValue & (UInt32.max >> UInt32(prefix.length)) == 0
    else {
      throw ValidationError(
        "--cidr \"\(cidr)\" is no IPv4 network with a prefix from 1 to 25, such as 10.0.2.0/24.")
    }
    network.ipv4PrefixLength = prefix.length
    network.ipv4Gateway = IPv4Address(first.rawValue + 2)
    network.ipv4NameServer = IPv4Address(first.rawValue + 3)
    network.ipv4 = IPv4Address(first.rawValue + 100)
  }

  /// What --outbound-addr and --outbound-addr6 say.
  func sources() throws -> [IPAddress] {
    try [(outboundAddr, true, "--outbound-addr"), (outboundAddr6, false, "--outbound-addr6")].compactMap {
      text, isIPv4, option in
      guard let text else { return nil }
      if let address = IPAddress(text) {
        guard address.isIPv4 == isIPv4 else {
          throw ValidationError("\(option) \(text) is an address of the other family.")
        }
        return address
      }
      guard let address = Self.address(of: text, isIPv4: isIPv4) else {
        throw ValidationError(
          "\(option) \"\(text)\" is no address, and no interface with one (`ip address` shows them).")
      }
      return address
    }
  }

  private static func address(of interface: String, isIPv4: Bool) -> IPAddress? {
    var bytes = [UInt8](repeating: 0, count: isIPv4 ? 4 : 16)
    guard unsafe sluice_interface_address(interface, Int32(bytes.count), &bytes) == 0 else { return nil }
    func word(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
    return isIPv4
      ? IPAddress(IPv4Address(UInt32(word(bytes[...]))))
      : IPAddress(high: word(bytes[..<8]), low: word(bytes[8...]))
  }
}

// Router advertisements that we send (RFC 4861 section 6.2, RFC 8106): a link's hosts learn from them all that they need.

import Buffers
import Exclusion
import SoftInterrupts
import Timing
public import Wire

/// What a stack tells the hosts of a link as their router. It takes a link-local address on the interface.
public struct RouterAdvertising: Sendable, Hashable {
  /// Prefixes of the link, of which hosts make addresses (RFC 4862): of IPv6, 64 bits long.
  public var prefixes: [IPPrefix]
  /// Who answers for names, the best one first.
  public var nameServers: [IPv6Address] = []
  /// Domains that names without a dot are looked for in; those that are none are left out.
  public var searchDomains: [String] = []
  /// The largest packet of the link, in bytes; nil: it is not told.
  public var mtu: Int?
  /// How long we are a default router, in seconds, 0...9000; 0: we are none.
  public var routerSeconds: UInt16 = 1800
  /// How long addresses that were made of a prefix are used for what is new, and at all, in seconds.
  public var preferredSeconds: UInt32 = 14_400
  /// See ``preferredSeconds``.
  public var validSeconds: UInt32 = 86_400
  /// Between what nobody asked for, in seconds, 4...1800.
  public var intervalSeconds = 300

  /// Prefixes, and the rest as usual.
  public init(prefixes: [IPPrefix]) { self.prefixes = prefixes }

  /// The message, with options, for the checksum to be filled in. `isLast`: who answered for names goes too.
  func message(from station: MACAddress?, isLast: Bool = false) -> [UInt8] {
    var options: [(option: NeighborDiscoveryOption, rest: [UInt8])] = []
    if let station { options.append((.sourceLinkLayer(station), [])) }
    if let mtu { options.append((.mtu(UInt32(clamping: mtu)), [])) }
    for prefix in prefixes {
      guard let address = prefix.address.ipv6 else { continue }
      let information = PrefixInformation(
        prefix: address, length: UInt8(clamping: prefix.length), flags: 0xC0, validSeconds: validSeconds,
        preferredSeconds: min(preferredSeconds, validSeconds))
      options.append((.prefixInformation(information), []))
    }
    // As long as two of ours in a row may be lost (RFC 8106 section 5.1).
    let lifetime = isLast ? 0 : UInt32(clamping: 3 * max(4, intervalSeconds))
    if !nameServers.isEmpty {
      let bytes = nameServers.flatMap { server in
        (0..<16).map {
          UInt8(truncatingIfNeeded: ($0 < 8 ? server.high : server.low) >> UInt64(56 - $0 % 8 * 8))
        }
      }
      options.append((.recursiveServers(lifetimeSeconds: lifetime, addresses: 8..<8 + bytes.count), bytes))
    }
    let names = searchDomains.flatMap { Self.labels($0) ?? [] }
    if !names.isEmpty {
      let words = (0..<4).map { UInt8(truncatingIfNeeded: lifetime >> UInt32(24 - $0 * 8)) }
      var bytes = [0, 0] + words + names
      while (bytes.count + 2) % 8 != 0 { bytes.append(0) }
      options.append((.other(type: 31, data: 2..<2 + bytes.count), bytes))
    }
    var message = [UInt8](repeating: 0, count: 16)
    for (option, rest) in options {
      let start = message.count
      message += [UInt8](repeating: 0, count: option.byteCount)
      var elements = message.mutableSpan
      var span = unsafe elements.mutableBytes  // bytes have no padding
      option.emit(into: &span, at: start)
      for (index, byte) in rest.enumerated() { message[message.count - rest.count + index] = byte }
    }
    return message
  }

  /// A name as labels with their lengths; nil: it is none (RFC 1035 section 2.3.4).
  private static func labels(_ name: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    for label in name.split(separator: ".", omittingEmptySubsequences: false) {
      guard (1...63).contains(label.utf8.count) else { return nil }
      bytes += [UInt8(label.utf8.count)] + label.utf8
    }
    return bytes.count < 255 ? bytes + [0] : nil
  }

  /// `isLast`: we are no router any more.
  func header(isLast: Bool) -> ICMPv6Message {
    .routerAdvertisement(
      RouterAdvertisement(
        currentHopLimit: 64, flags: 0, routerLifetimeSeconds: isLast ? 0 : min(routerSeconds, 9000),
        reachableMilliseconds: 0, retransmitMilliseconds: 0))
  }
}

/// What an interface advertises, and when. Key: (c) constant, (h) the interface's home context.
@safe
struct AdvertisementState: ~Copyable {
  /// (c)
  let configuration: RouterAdvertising
  let message: [UInt8]
  /// (h)
  var sent = 0
  var nextMulticast = Instant.zero
  var isOver = false
  let timer: TimerRef
  private let node: UnsafeMutablePointer<TimerNode>

  /// RFC 4861 section 10: at least so long between those for everybody.
  static let pause = Nanoseconds.seconds(3)
  /// Of the first ones, which come sooner.
  static let initialCount = 3
  static let initialInterval = Nanoseconds.seconds(16)

  init(_ configuration: RouterAdvertising, station: MACAddress?, interface: UInt16) {
    self.configuration = configuration
    message = configuration.message(from: station)
    unsafe node = .allocate(capacity: 1)
    timer = unsafe TimerRef.initialize(
      at: UnsafeMutableRawPointer(node), kind: InternetKind.advertisementTimer, owner: UInt(interface))
  }
  deinit { unsafe node.deallocate() }

  var interval: Nanoseconds {
    sent < Self.initialCount
      ? Self.initialInterval : Nanoseconds.seconds(Int64(min(max(configuration.intervalSeconds, 4), 1800)))
  }
}

extension InternetLayer {
  private func home(of interface: InterfaceRef) -> Int { Int(interface.index) % contexts.count }

  /// Begins to advertise, when the contexts run.
  func beginAdvertising(_ index: UInt16) {
    guard let interface = interface(index), unsafe interface.advertisement != nil else { return }
    contexts.perform(on: home(of: interface)) { cx in
      cx.internet.advertise(index, &cx)
    }
  }
  /// The last part of a shutdown.
  func endAdvertising(_ index: UInt16) {
    guard let interface = interface(index), unsafe interface.advertisement != nil else { return }
    contexts.perform(on: home(of: interface)) { cx in
      guard let state = unsafe cx.internet.interface(index)?.advertisement, unsafe !state.pointee.isOver
      else {
        return
      }
      unsafe state.pointee.isOver = true
      unsafe cx.cancel(state.pointee.timer)
      // Nobody is to wait for the router that goes (RFC 4861 section 6.2.5).
      if unsafe state.pointee.sent > 0 {
        cx.internet.sendAdvertisement(index, to: IPAddress(IPv6Address.allNodes), isLast: true, &cx)
      }
    }
  }

  /// A host asks who its routers are (RFC 4861 section 6.1.1).
  func receiveSolicitation(
    _ packet: consuming Packet, _ interface: InterfaceRef, _ cx: inout SoftInterrupt
  ) {
    let isProbe = packet.metadata.source.isUnspecified
    guard packet.metadata.hopLimit == 255, packet.count >= 8,
      let options = try? NeighborDiscoveryOptions.parse(packet.bytes.extracting(8..<packet.count)),
      !isProbe || options.sourceLinkLayer == nil
    else { return drop(packet, .ndInvalid, &cx) }
    guard unsafe interface.advertisement != nil else { return drop(packet, .ndIgnored, &cx) }
    count(.ndReceived, cx)
    let home = home(of: interface)
    if home == cx.index { return answerSolicitation(packet, &cx) }
    let item = packet.intoItem()
    item.kind = InternetKind.routerSolicitation
    contexts.port(home).post(item)
  }

  /// At the interface's home: everybody hears the answer, or, where everybody has just heard one, who asked, or, if that
  /// one has no address, everybody a little later (section 6.2.6).
  func answerSolicitation(_ packet: consuming Packet, _ cx: inout SoftInterrupt) {
    let (index, source) = (packet.metadata.interface, packet.metadata.source)
    _ = consume packet
    guard let state = unsafe interface(index)?.advertisement, unsafe !state.pointee.isOver else { return }
    let next = unsafe state.pointee.nextMulticast
    if cx.now >= next { return advertise(index, &cx) }
    if !source.isUnspecified, allowsError(cx) { return sendAdvertisement(index, to: source, &cx) }
    let timer = unsafe state.pointee.timer
    if !timer.isArmed || timer.deadline > next { cx.arm(timer, at: next) }
  }

  /// Tells everybody, and when the next time is. At the interface's home.
  func advertise(_ index: UInt16, _ cx: inout SoftInterrupt) {
    guard let state = unsafe interface(index)?.advertisement, unsafe !state.pointee.isOver else { return }
    sendAdvertisement(index, to: IPAddress(IPv6Address.allNodes), &cx)
    unsafe state.pointee.sent += 1
    unsafe state.pointee.nextMulticast = cx.now + AdvertisementState.pause
    unsafe cx.arm(state.pointee.timer, at: cx.now + state.pointee.interval)
  }

  private func sendAdvertisement(
    _ index: UInt16, to destination: IPAddress, isLast: Bool = false, _ cx: inout SoftInterrupt
  ) {
    guard let interface = interface(index), let state = unsafe interface.advertisement,
      let other = destination.ipv6,
      let source = snapshot.with({ $0.linkLocal(of: index) }), let own = source.ipv6
    else { return }
    guard var packet = cx.pool.allocate() else { return count(.poolExhausted, cx) }
    let message =
      unsafe isLast
      ? state.pointee.configuration.message(from: interface.station, isLast: true) : state.pointee.message
    guard message.count <= packet.tailroom else { return count(.sendTooBig, cx) }
    packet.append(message.count)
    var span = packet.mutableBytes
    span.copy(unsafe message.span.bytes, at: 0)  // bytes have no padding
    unsafe state.pointee.configuration.header(isLast: isLast).emit(
      into: &span, source: own, destination: other)
    packet.metadata.source = source
    packet.metadata.hopLimit = 255
    packet.metadata.trafficClass = 0
    buildHeader(&packet, source, destination, .icmpv6)
    count(.routerAdvertisementsSent, cx)
    count(.ipv6Sent, cx)
    transmit(packet, interface, to: destination, destination.isMulticast ? .multicast : .unicast, &cx)
  }
}

extension NetworkSnapshot {
  /// The link-local address of an interface.
  func linkLocal(of interface: UInt16) -> IPAddress? {
    for index in 0..<addresses.count {
      let own = addresses[index]
      if own.interface == interface, !own.address.isIPv4, own.address.isLinkLocal { return own.address }
    }
    return nil
  }
}

// Each option by its level and number: what it says, and what setting it does. Numbers are Linux's; what only BSD has
// is numbered from 0x10000 on (``Numbers``).

import Sockets
import TCP
import Timing

extension DrillHost {
  // MARK: Asking

  func option(_ endpoint: Endpoint, _ level: Int32, _ name: Int32) -> OptionOutcome {
    switch level {
    case 1: socketOption(endpoint, name)
    case 6: transportOption(endpoint, name)
    case 0: internetOption(endpoint, name)
    case 41: internet6Option(endpoint, name)
    default: .refused(isLinux ? .EOPNOTSUPP : .EINVAL)
    }
  }

  private func flag(_ isOn: Bool) -> OptionOutcome { .value(.integer(isOn ? 1 : 0)) }
  private func number(_ value: some BinaryInteger) -> OptionOutcome {
    .value(.integer(Int32(truncatingIfNeeded: value)))
  }
  private func time(_ span: Nanoseconds) -> OptionOutcome {
    .value(.time(seconds: span.count / 1_000_000_000, microseconds: span.count % 1_000_000_000 / 1000))
  }

  private func socketOption(_ endpoint: Endpoint, _ name: Int32) -> OptionOutcome {
    let options = endpoint.options
    switch name {
    case 2: return flag(options.reuseAddress)
    case 3: return number(1)
    case 4: return number(endpoint.takeError()?.rawValue ?? 0)
    case 7: return number(sendBuffer(endpoint))
    case 8: return number(receiveBuffer(endpoint))
    case 9: return flag(options.keepAlive)
    case 10: return flag(options.outOfBandInline)
    case 12: return number(options.priority)
    case 13: return .value(.linger(isOn: options.linger != nil, seconds: options.lingerSeconds))
    case 15: return flag(options.reusePort)
    case 18: return number(options.receiveLowWater)
    case 19: return number(isLinux ? 1 : 2048)
    case 20: return time(options.receiveTimeout)
    case 21: return time(options.sendTimeout)
    case 30: return flag(endpoint.listener != nil)
    case 36: return number(options.mark)
    case 38: return number(6)
    case 39: return number(endpoint.isIPv4 ? 2 : 10)
    case 60: return flag(options.zeroCopy)
    case 37: return number(endpoint.stamps.flags.rawValue)
    case 29, 35: return .unsupported("time stamps of what arrives")
    default: return .unsupported("SOL_SOCKET option \(name)")
    }
  }

  func sendBuffer(_ endpoint: Endpoint) -> Int {
    isLinux
      ? endpoint.sendMemory.limit
      : endpoint.options.sendBuffer.map { Int($0) } ?? endpoint.settings.sendMemory.initial
  }
  func receiveBuffer(_ endpoint: Endpoint) -> Int {
    if let set = endpoint.options.receiveBuffer { return Int(set) }
    let initial = endpoint.settings.receiveMemory.initial
    guard isLinux, let stream = endpoint.stream else { return initial }
    // As far as it has grown by itself: half of the memory that Linux counts is text.
    return max(initial, 2 * stream.limits.receive)
  }

  private func transportOption(_ endpoint: Endpoint, _ name: Int32) -> OptionOutcome {
    let options = endpoint.options
    switch name {
    case 1: return flag(options.noDelay)
    case 2: return number(maximumSegment(endpoint))
    case 3: return flag(options.cork)
    case 4: return number(options.keepIdle)
    case 5: return number(options.keepInterval)
    case 6: return number(options.keepCount)
    case 7: return number(options.synCount > 0 ? options.synCount : Int32(endpoint.settings.synRetries))
    case 8: return number(options.finWait2 != 0 ? options.finWait2 : endpoint.settings.finWait2Seconds)
    case 9: return number(RetransmissionTime.seconds(options.deferAccept))
    case 10: return number(options.windowClamp)
    case 12: return flag(options.quick)
    case 13: return .value(.string(options.congestion))
    case 14 where !isLinux: return flag(!options.signatures.isEmpty)
    case 18: return number(options.userTimeout)
    case 23: return number(options.fastOpenQueue ?? 0)
    case 25: return number(options.unsentLowWater)
    case 30: return flag(options.opensFast)
    case 33: return .value(.bytes((options.fastOpenKeys ?? sockets.currentFastOpenKeys).bytes))
    case 34: return flag(options.needsNoCookie)
    case 36: return flag(options.tellsQueue)
    case 40, 41: return authentication(endpoint, name)
    case 0x10001: return flag(options.noOptions)
    case 0x10002: return number(options.keepInit)
    case 0x10004: return number(endpoint.stream?.encapsulationPort ?? options.encapsulationPort)
    default: return .unsupported("TCP option \(name)")
    }
  }

  /// The payload of a full segment; what was asked for, where there is no connection (Linux).
  private func maximumSegment(_ endpoint: Endpoint) -> Int32 {
    switch endpoint.state {
    case .closed, .listen:
      if endpoint.options.maximumSegment > 0 { return endpoint.options.maximumSegment }
      return 536
    case .synSent, .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck,
      .timeWait:
      guard let stream = endpoint.stream, let info = wait(stream.info()), let info else { return 536 }
      // Since FreeBSD 11 it is told without a word of options.
      return Int32(isLinux || !info.tcp.timestamps ? info.tcp.sendSegment : info.tcp.sendSegment + 12)
    }
  }

  private func internetOption(_ endpoint: Endpoint, _ name: Int32) -> OptionOutcome {
    let options = endpoint.options
    switch name {
    case 1: return number(options.typeOfService)
    case 2: return number(options.timeToLive > 0 ? options.timeToLive : Int32(settings.hopLimit))
    case 10: return number(options.pathDiscovery)
    case 11: return flag(options.receivesErrors)
    case 14: return pathMTU(endpoint)
    case 15: return flag(options.freeBind)
    default: return .unsupported("IP option \(name)")
    }
  }

  private func internet6Option(_ endpoint: Endpoint, _ name: Int32) -> OptionOutcome {
    if endpoint.isIPv4 { return .refused(.ENOPROTOOPT) }
    let options = endpoint.options
    switch name {
    case 16: return number(options.hopLimit > 0 ? options.hopLimit : Int32(settings.hopLimit))
    case 23: return number(options.pathDiscovery6)
    case 24: return pathMTU(endpoint)
    case 25: return flag(options.receivesErrors6)
    case 26: return flag(options.isIPv6Only)
    case 67: return number(options.trafficClass)
    case 0x10008: return flag(options.usesLeastMTU)
    default: return .unsupported("IPv6 option \(name)")
    }
  }

  private func pathMTU(_ endpoint: Endpoint) -> OptionOutcome {
    guard let stream = endpoint.stream, endpoint.state != .closed else { return .refused(.ENOTCONN) }
    guard let info = wait(stream.info()), let info else { return .refused(.ENOTCONN) }
    return number(info.tcp.pathSegment + (stream.remoteAddress.address.isIPv4 ? 40 : 60))
  }

  // MARK: Setting

  /// Nil: it is set.
  func setOption(
    _ endpoint: Endpoint, _ level: Int32, _ name: Int32, _ value: OptionValue, given size: Int
  ) -> OptionOutcome? {
    switch level {
    case 1: setSocketOption(endpoint, name, value, size)
    case 6: setTransportOption(endpoint, name, value, size)
    case 0: setInternetOption(endpoint, name, value)
    case 41: endpoint.isIPv4 ? .refused(.ENOPROTOOPT) : setInternet6Option(endpoint, name, value)
    default: .refused(.ENOPROTOOPT)
    }
  }

  private func setSocketOption(
    _ endpoint: Endpoint, _ name: Int32, _ value: OptionValue, _ size: Int
  ) -> OptionOutcome? {
    switch (name, value) {
    case (13, .linger(let isOn, let seconds)):
      guard size >= 8 else { return .refused(.EINVAL) }
      endpoint.options.linger = isOn ? 1 : nil
      endpoint.options.lingerSeconds = seconds
      endpoint.stream?.setAbortOnClose(endpoint.options.abortsOnClose)
      settle()
      return nil
    case (20, .time(let seconds, let microseconds)), (21, .time(let seconds, let microseconds)):
      guard (0..<1_000_000).contains(microseconds) else { return .refused(.EDOM) }
      let span = Nanoseconds.seconds(max(0, seconds)) + .microseconds(microseconds)
      if name == 20 { endpoint.options.receiveTimeout = span } else { endpoint.options.sendTimeout = span }
      return nil
    case (13, _), (20, _), (21, _): return .refused(.EINVAL)
    default: break
    }
    guard let number = value.number, size >= 4 else { return .refused(.EINVAL) }
    switch name {
    case 2: endpoint.options.reuseAddress = number != 0
    case 3, 4, 30, 38, 39: return .refused(.ENOPROTOOPT)
    case 7, 32:
      let most = name == 32 ? Int32.max / 2 : Int32(clamping: endpoint.settings.largestSendBuffer)
      if !isLinux, number <= 0 { return .refused(.EINVAL) }
      let buffer = isLinux ? max(min(max(number, 0), most) * 2, 4608) : min(number, most)
      endpoint.options.sendBuffer = buffer
      endpoint.sendMemory.lock(Int(buffer))
      apply(endpoint)
    case 8, 33:
      let most = name == 33 ? Int32.max / 2 : Int32(clamping: endpoint.settings.largestReceiveBuffer)
      if !isLinux, number <= 0 { return .refused(.EINVAL) }
      endpoint.options.receiveBuffer = isLinux ? max(min(max(number, 0), most) * 2, 2304) : min(number, most)
      apply(endpoint)
    case 9:
      endpoint.options.keepAlive = number != 0
      apply(endpoint)
    case 10: endpoint.options.outOfBandInline = number != 0
    case 12: endpoint.options.priority = number
    case 15: endpoint.options.reusePort = number != 0
    case 18: endpoint.options.receiveLowWater = max(1, number < 0 ? .max : number)
    case 19: return isLinux ? .refused(.ENOPROTOOPT) : .unsupported("SO_SNDLOWAT")
    case 36: endpoint.options.mark = number
    case 60:
      guard (0...1).contains(number) else { return .refused(.EINVAL) }
      endpoint.options.zeroCopy = number != 0
    case 37: return setStamping(endpoint, TransmitStamps.Flags(rawValue: number))
    case 29, 35: return .unsupported("time stamps of what arrives")
    case 47: return .unsupported("SO_MAX_PACING_RATE")
    case 0x10009: break  // nobody raises signals
    default: return .unsupported("SOL_SOCKET option \(name)")
    }
    return nil
  }

  private func setStamping(_ endpoint: Endpoint, _ flags: TransmitStamps.Flags) -> OptionOutcome? {
    guard flags.isDisjoint(with: [.receiveHardware, .receiveSoftware]) else {
      return .unsupported("time stamps of what arrives")
    }
    let isNumbered = flags.contains(.numbered) && !endpoint.stamps.flags.contains(.numbered)
    switch endpoint.state {
    case .closed, .listen: if isNumbered { return .refused(.EINVAL) }
    case .synSent, .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck,
      .timeWait:
      break
    }
    let unacknowledged = endpoint.condition?.unacknowledged ?? 0
    endpoint.stamps.set(flags, acknowledged: endpoint.written - UInt64(clamping: unacknowledged))
    return nil
  }

  private func setTransportOption(
    _ endpoint: Endpoint, _ name: Int32, _ value: OptionValue, _ size: Int
  ) -> OptionOutcome? {
    if name == 13 {
      guard case .string(let congestion) = value else { return .refused(.EINVAL) }
      guard CongestionNames.algorithm(congestion) != nil else {
        return .unsupported("congestion control \(congestion)")
      }
      endpoint.options.congestion = congestion
      apply(endpoint)
      return nil
    }
    if name == 33 { return setFastOpenKeys(endpoint, value, size) }
    if name == 0x10003, !isLinux {
      // One of TCP's makings in the kernel; the others are not here.
      guard case .string(let text) = value else { return .refused(.EINVAL) }
      guard text == "freebsd" else { return .refused(.ENOENT) }
      endpoint.options.recoversByNumber = true
      apply(endpoint)
      return nil
    }
    if name == 14 || name == 32 { return setSignature(endpoint, name, value) }
    if (38...41).contains(name) { return setAuthentication(endpoint, name, value) }
    guard let number = value.number, size >= 4 else { return .refused(.EINVAL) }
    switch name {
    case 1:
      endpoint.options.noDelay = number != 0
      apply(endpoint)
      // What waited for company goes, corked or not.
      if number != 0 { endpoint.stream?.push() }
    case 2:
      if isLinux, number != 0, !(88...32767).contains(number) { return .refused(.EINVAL) }
      if !isLinux, number <= 0 || number > 1460 { return .refused(.EINVAL) }
      endpoint.options.maximumSegment = number
      apply(endpoint)
    case 3:
      endpoint.options.cork = number != 0
      apply(endpoint)
    case 4, 5, 6: return setKeepAlive(endpoint, name, number)
    case 7:
      guard (1...127).contains(number) else { return .refused(.EINVAL) }
      endpoint.options.synCount = number
      apply(endpoint)
    case 8:
      endpoint.options.finWait2 = max(-1, min(number, 120))
      apply(endpoint)
    case 9:
      endpoint.options.deferAccept = RetransmissionTime.count(number)
      apply(endpoint)
    case 10:
      if number == 0, endpoint.state != .closed { return .refused(.EINVAL) }
      endpoint.options.windowClamp = number == 0 ? 0 : max(number, 1152)
      apply(endpoint)
    case 12:
      endpoint.options.quick = number != 0
      endpoint.stream?.setQuickAcknowledgments(number != 0)
    case 18:
      guard number >= 0 else { return .refused(.EINVAL) }
      endpoint.options.userTimeout = number
      apply(endpoint)
    case 23, 30, 34: return setFastOpen(endpoint, name, number)
    case 25:
      endpoint.options.unsentLowWater = UInt32(bitPattern: number)
      apply(endpoint)
    case 36:
      guard (0...1).contains(number) else { return .refused(.EINVAL) }
      endpoint.options.tellsQueue = number != 0
    case 0x10001:
      endpoint.options.noOptions = number != 0
      apply(endpoint)
    case 0x10002:
      guard number > 0 else { return .refused(.EINVAL) }
      endpoint.options.keepInit = number
      apply(endpoint)
    case 0x10004:
      // Before there is a connection, and only where the host has a port itself.
      guard let port = UInt16(exactly: number), case .fresh = endpoint.phase,
        port == 0 || sockets.encapsulation != nil
      else { return .refused(.EINVAL) }
      endpoint.options.encapsulationPort = port
      apply(endpoint)
    // The other making's, RACK's: FreeBSD's usual one knows nothing of them.
    case 0x10005...0x10007 where !isLinux: return .refused(.ENOPROTOOPT)
    default: return .unsupported("TCP option \(name)")
    }
    settle()
    return nil
  }

  private func setFastOpen(_ endpoint: Endpoint, _ name: Int32, _ number: Int32) -> OptionOutcome? {
    switch name {
    case 23:
      guard number >= 0, !isLinux || endpoint.stream == nil else { return .refused(.EINVAL) }
      endpoint.options.fastOpenQueue = number > 0 || isLinux ? number : nil
      endpoint.listener?.setFastOpen(limit: Int(number))
    case 30:
      guard (0...1).contains(number) else { return .refused(.EINVAL) }
      guard opensFast else { return .refused(.EOPNOTSUPP) }
      guard case .fresh = endpoint.phase else { return .refused(.EINVAL) }
      endpoint.options.opensFast = number != 0
    default:
      guard (0...1).contains(number), endpoint.stream == nil else { return .refused(.EINVAL) }
      endpoint.options.needsNoCookie = number != 0
      apply(endpoint)
    }
    return nil
  }

  private func setFastOpenKeys(_ endpoint: Endpoint, _ value: OptionValue, _ size: Int) -> OptionOutcome? {
    let bytes: [UInt8]
    switch value {
    case .bytes(let given): bytes = given
    case .string(let text): bytes = Array(text.utf8)
    case .integer, .byte, .linger, .time, .records, .null: return .refused(.EINVAL)
    }
    guard size == 16 || size == 32, let keys = TCPFastOpenCookies(bytes: Array(bytes.prefix(size))) else {
      return .refused(.EINVAL)
    }
    endpoint.options.fastOpenKeys = keys
    setFastOpenKeys(keys)
    return nil
  }

  private func setKeepAlive(_ endpoint: Endpoint, _ name: Int32, _ number: Int32) -> OptionOutcome? {
    guard (1...(name == 6 ? 127 : 32767)).contains(number) else { return .refused(.EINVAL) }
    switch name {
    case 4: endpoint.options.keepIdle = number
    case 5: endpoint.options.keepInterval = number
    default: endpoint.options.keepCount = number
    }
    apply(endpoint)
    return nil
  }

  private func setInternetOption(_ endpoint: Endpoint, _ name: Int32, _ value: OptionValue) -> OptionOutcome?
  {
    guard let number = value.number else { return .refused(.EINVAL) }
    switch name {
    case 1:
      // The two bits of ECN are the protocol's.
      endpoint.options.typeOfService = UInt8(truncatingIfNeeded: number) & 0xFC
      apply(endpoint)
    case 2:
      guard number == -1 || (1...255).contains(number) else { return .refused(.EINVAL) }
      endpoint.options.timeToLive = number
      apply(endpoint)
    case 10:
      guard (0...5).contains(number) else { return .refused(.EINVAL) }
      endpoint.options.pathDiscovery = number
      apply(endpoint)
    case 11: return number == 0 ? nil : .unsupported("IP_RECVERR")
    case 15: return number == 0 ? nil : .unsupported("IP_FREEBIND")
    default: return .unsupported("IP option \(name)")
    }
    return nil
  }

  private func setInternet6Option(_ endpoint: Endpoint, _ name: Int32, _ value: OptionValue) -> OptionOutcome?
  {
    guard let number = value.number else { return .refused(.EINVAL) }
    switch name {
    case 16:
      guard (-1...255).contains(number), number != 0 else { return .refused(.EINVAL) }
      endpoint.options.hopLimit = number
      apply(endpoint)
    case 23:
      guard (0...5).contains(number) else { return .refused(.EINVAL) }
      endpoint.options.pathDiscovery6 = number
      apply(endpoint)
    case 25: return number == 0 ? nil : .unsupported("IPV6_RECVERR")
    case 26:
      // Not once it has a name.
      guard endpoint.name == nil, case .fresh = endpoint.phase else { return .refused(.EINVAL) }
      endpoint.options.isIPv6Only = number != 0
    case 67:
      guard (-1...255).contains(number) else { return .refused(.EINVAL) }
      endpoint.options.trafficClass = number < 0 ? 0 : UInt8(number) & 0xFC
      apply(endpoint)
    case 0x10008:
      // -1: with multicast alone, which TCP has none of.
      guard (-1...1).contains(number) else { return .refused(.EINVAL) }
      endpoint.options.usesLeastMTU = number == 1
      apply(endpoint)
    default: return .unsupported("IPv6 option \(name)")
    }
    return nil
  }
}

extension OptionValue {
  /// As a number.
  fileprivate var number: Int32? {
    switch self {
    case .integer(let number): number
    case .byte(let byte): Int32(byte)
    case .linger, .time, .string, .bytes, .records, .null: nil
    }
  }
}

/// Seconds as a count of retransmissions, each after twice the time of the one before, and back (TCP_DEFER_ACCEPT).
enum RetransmissionTime {
  /// The least count that takes so many seconds.
  static func count(_ seconds: Int32) -> UInt8 {
    guard seconds > 0 else { return 0 }
    var (count, period, timeout) = (1, 1, 1)
    while Int(seconds) > period, count < 255 {
      count += 1
      timeout = min(timeout * 2, 120)
      period += timeout
    }
    return UInt8(count)
  }
  /// How long so many take.
  static func seconds(_ count: UInt8) -> Int {
    guard count > 0 else { return 0 }
    var (period, timeout) = (1, 1)
    for _ in 1..<Int(count) {
      timeout = min(timeout * 2, 120)
      period += timeout
    }
    return period
  }
}

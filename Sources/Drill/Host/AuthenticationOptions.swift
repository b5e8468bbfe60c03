// TCP_AO_ADD_KEY, TCP_AO_DEL_KEY, TCP_AO_INFO and TCP_AO_GET_KEYS: the structures as scripts write them, by the names of
// their fields, and what Linux answers.

import Sockets
import TCP
import Wire

/// A structure by the names of its fields.
public struct OptionRecord: Hashable, Sendable {
  /// A field's value.
  public enum Value: Hashable, Sendable {
    /// A number.
    case number(Int64)
    /// A name, or a key.
    case text(String)
  }
  /// The fields, in any order.
  public var fields: [String: Value]

  /// A structure.
  public init(_ fields: [String: Value]) { self.fields = fields }

  func number(_ name: String) -> Int64? { if case .number(let number) = fields[name] { number } else { nil } }
  func text(_ name: String) -> String? { if case .text(let text) = fields[name] { text } else { nil } }
  func identifier(_ name: String) -> UInt8? { number(name).flatMap { UInt8(exactly: $0) } }

  /// Fields by which a structure is known for one of these.
  static let names: Set<String> = [
    "sndid", "rcvid", "current_key", "rnext", "ao_required", "accept_icmps", "pkt_good", "pkt_bad",
    "pkt_key_not_found", "pkt_ao_required", "pkt_dropped_icmp", "nkeys", "key",
  ]

  /// The key of TCP_AO_ADD_KEY.
  func key(isIPv4: Bool) throws(Errno) -> TCPAuthenticationKey {
    guard let sendID = identifier("sndid"), let receiveID = identifier("rcvid") else { throw .EINVAL }
    guard let algorithm = ScriptKeys.algorithm(text("alg") ?? "hmac(sha1)") else { throw .ENOENT }
    // Linux takes 80 bytes.
    guard let secret = text("key"), secret.utf8.count <= 80, let master = TCPMasterKey(Array(secret.utf8)),
      let network = IPAddress(text("addr") ?? (isIPv4 ? "0.0.0.0" : "::")),
      let prefix = UInt8(exactly: number("prefix") ?? (text("addr") == nil ? 0 : network.isIPv4 ? 32 : 128)),
      number("maclen") ?? 0 == 0 || number("maclen") == 12
    else { throw .EINVAL }
    let flags = number("keyflags") ?? 0
    guard flags & ~2 == 0 else { throw .EINVAL }
    func port(_ name: String) throws(Errno) -> UInt16? {
      guard let number = number(name) else { return nil }
      guard let port = UInt16(exactly: number) else { throw .EINVAL }
      return port
    }
    return TCPAuthenticationKey(
      network: network, prefixLength: prefix, remotePort: try port("port"), localPort: try port("local_port"),
      sendID: sendID, receiveID: receiveID, algorithm: algorithm, coversOptions: flags & 2 == 0,
      master: master)
  }
}

extension Errno {
  fileprivate init(_ error: TCPAuthenticationError) {
    self =
      switch error {
      case .duplicate: .EEXIST
      case .tooMany: .ENOMEM
      case .notFound: .ENOENT
      case .inUse: .EBUSY
      case .mismatch, .notAuthenticated, .ended: .EINVAL
      }
  }
}

extension DrillHost {
  /// Sets one of the four. Nil: it is done.
  func setAuthentication(_ endpoint: Endpoint, _ name: Int32, _ value: OptionValue) -> OptionOutcome? {
    guard isLinux else { return .refused(.ENOPROTOOPT) }
    guard case .records(let records) = value, let record = records.first else { return .refused(.EINVAL) }
    do throws(Errno) {
      switch name {
      case 38: try addKey(endpoint, record)
      case 39: try removeKey(endpoint, record)
      case 40: try chooseKeys(endpoint, record)
      default: throw .ENOPROTOOPT
      }
      return nil
    } catch {
      return .refused(error)
    }
  }

  private func change(_ stream: StreamSocket, _ change: TCPAuthenticationChange) throws(Errno) {
    guard let answer = wait(stream.changeAuthentication(change)) else { throw .EINVAL }
    if let refusal = answer { throw Errno(refusal) }
  }

  private func edit(
    _ endpoint: Endpoint, _ body: (inout TCPAuthenticationSettings) throws(TCPAuthenticationError) -> Void
  ) throws(Errno) {
    var settings = endpoint.options.authentication
    do throws(TCPAuthenticationError) { try body(&settings) } catch { throw Errno(error) }
    endpoint.options.authentication = settings
    apply(endpoint)
  }

  private func addKey(_ endpoint: Endpoint, _ record: OptionRecord) throws(Errno) {
    let key = try record.key(isIPv4: endpoint.isIPv4)
    let (isCurrent, isNext) = (record.number("set_current") ?? 0 != 0, record.number("set_rnext") ?? 0 != 0)
    if let stream = endpoint.stream {
      try change(stream, .add(key))
      try change(
        stream, .choose(current: isCurrent ? key.sendID : nil, next: isNext ? key.receiveID : nil))
      return
    }
    // What sockets that listen send with is the peers' choice.
    if endpoint.listener != nil, isCurrent || isNext { throw .EINVAL }
    try edit(endpoint) { settings throws(TCPAuthenticationError) in
      try settings.keys.add(key)
      if isCurrent { settings.current = key.sendID }
      if isNext { settings.next = key.receiveID }
    }
  }

  private func removeKey(_ endpoint: Endpoint, _ record: OptionRecord) throws(Errno) {
    guard let sendID = record.identifier("sndid"), let receiveID = record.identifier("rcvid") else {
      throw .EINVAL
    }
    let (current, next) = (record.identifier("current_key"), record.identifier("rnext"))
    if let stream = endpoint.stream {
      return try change(
        stream, .remove(sendID: sendID, receiveID: receiveID, current: current, next: next))
    }
    try edit(endpoint) { settings throws(TCPAuthenticationError) in
      let wanted = (current ?? settings.current, next ?? settings.next)
      let isThere = settings.keys.all.contains { $0.sendID == sendID && $0.receiveID == receiveID }
      if isThere, wanted.0 == sendID || wanted.1 == receiveID { throw .inUse }
      try settings.keys.remove(sendID: sendID, receiveID: receiveID)
      (settings.current, settings.next) = wanted
    }
  }

  private func chooseKeys(_ endpoint: Endpoint, _ record: OptionRecord) throws(Errno) {
    let (current, next) = (record.identifier("current_key"), record.identifier("rnext"))
    if let stream = endpoint.stream {
      // A connection that lives has keys or has none.
      if record.number("ao_required") ?? 0 != 0, record.fields.count == 1 { return }
      try change(stream, .choose(current: current, next: next))
      if let accepts = record.number("accept_icmps") {
        try change(stream, .acceptNetworkErrors(accepts != 0))
      }
      return
    }
    if endpoint.listener != nil, current != nil || next != nil { throw .EINVAL }
    try edit(endpoint) { settings throws(TCPAuthenticationError) in
      if let current {
        guard settings.keys.all.contains(where: { $0.sendID == current }) else { throw .notFound }
        settings.current = current
      }
      if let next {
        guard settings.keys.all.contains(where: { $0.receiveID == next }) else { throw .notFound }
        settings.next = next
      }
      if let isRequired = record.number("ao_required") { settings.isRequired = isRequired != 0 }
      if let accepts = record.number("accept_icmps") { settings.acceptsNetworkErrors = accepts != 0 }
    }
  }

  // MARK: Asking

  /// TCP_AO_INFO and TCP_AO_GET_KEYS.
  func authentication(_ endpoint: Endpoint, _ name: Int32) -> OptionOutcome {
    guard isLinux else { return .refused(.ENOPROTOOPT) }
    var info = TCPAuthenticationInfo()
    let settings = endpoint.options.authentication
    if let stream = endpoint.stream {
      guard let answer = wait(stream.authentication()), let live = answer else { return .refused(.ENOENT) }
      info = live
    } else {
      info.keys = settings.keys.all
      info.current = settings.current ?? info.keys.first?.sendID ?? 0
      info.next = settings.next ?? info.keys.first?.receiveID ?? 0
      if info.keys.isEmpty, !settings.isRequired { return .refused(.ENOENT) }
    }
    if name == 41 { return .value(.records(info.keys.map { OptionRecord($0, of: info) })) }
    return .value(.records([OptionRecord(info, settings)]))
  }
}

extension OptionRecord {
  private mutating func set(_ name: String, _ value: some BinaryInteger) {
    fields[name] = .number(Int64(value))
  }

  /// TCP_AO_INFO.
  fileprivate init(_ info: TCPAuthenticationInfo, _ settings: TCPAuthenticationSettings) {
    self.init([:])
    set("current_key", info.current)
    set("rnext", info.next)
    set("ao_required", settings.isRequired ? 1 : 0)
    set("accept_icmps", settings.acceptsNetworkErrors ? 1 : 0)
    set("pkt_good", info.counters.good)
    set("pkt_bad", info.counters.bad)
    set("pkt_key_not_found", info.counters.keyNotFound)
    set("pkt_ao_required", info.counters.required)
    set("pkt_dropped_icmp", info.counters.ignoredErrors)
  }

  /// One of TCP_AO_GET_KEYS.
  fileprivate init(_ key: TCPAuthenticationKey, of info: TCPAuthenticationInfo) {
    self.init([:])
    set("sndid", key.sendID)
    set("rcvid", key.receiveID)
    set("nkeys", info.keys.count)
    set("is_current", key.sendID == info.current ? 1 : 0)
    set("is_rnext", key.receiveID == info.next ? 1 : 0)
    set("prefix", key.prefixLength)
    set("maclen", key.algorithm.codeByteCount)
    set("keyflags", key.coversOptions ? 0 : 2)
    fields["addr"] = .text("\(key.network)")
    fields["alg"] = .text(key.algorithm == .sha1 ? "hmac(sha1)" : "cmac(aes128)")
    let secret = key.master.withBytes { bytes in (0..<bytes.byteCount).map { bytes.uint8(at: $0) } }
    fields["key"] = .text(String(decoding: secret, as: UTF8.self))
  }
}

// Listeners and datagram sockets by local address and port. One writer, the control context; everybody
// looks up without a lock inside a grace section.

import Exclusion
import Wire

/// What a bound socket is found by. Bind is address and port (P6); the unspecified address of a family
/// stands for all of its addresses.
struct BindingKey: Hashable, Sendable {
  var address: IPAddress
  var port: UInt16
  var `protocol`: IPProtocol

  func hash(_ key: HashKey) -> UInt64 {
    keyedHash(key, address.high, address.low, UInt64(port) << 8 | UInt64(self.protocol.rawValue))
  }
  /// The key of sockets bound to every address of the same family.
  var wildcard: BindingKey {
    BindingKey(address: address.isIPv4 ? .anyIPv4 : .anyIPv6, port: port, protocol: self.protocol)
  }
  /// IPv6 sockets that are bound to every address also take IPv4, unless one is bound for IPv4 (as Linux
  /// has it by default).
  var dual: BindingKey { BindingKey(address: .anyIPv6, port: port, protocol: self.protocol) }
}

/// Memory that can be bound begins with these 64 bytes: the slot's own header, then the key.
@safe
struct BoundRef: @unchecked Sendable {  // the key is constant while the slot can be found
  let raw: UnsafeMutableRawPointer
  init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }
  var item: ItemRef { unsafe ItemRef(raw) }
  var key: UnsafeMutablePointer<BindingKey> { unsafe (raw + 32).assumingMemoryBound(to: BindingKey.self) }
}

/// The table of bindings.
@safe
final class PortBindings: @unchecked Sendable {  // written by the control context only
  private let hashKey: HashKey
  private let table: UnsafeMutablePointer<PublishedTable>

  init(hashKey: HashKey, grace: GraceDomain) {
    self.hashKey = hashKey
    unsafe table = .allocate(capacity: 1)
    unsafe table.initialize(to: PublishedTable(capacity: 64, domain: grace))
  }
  deinit {
    unsafe table.deinitialize(count: 1)
    unsafe table.deallocate()
  }

  var count: Int { unsafe table.pointee.count }

  /// Exactly this key. Any thread inside a grace section.
  func find(_ key: BindingKey) -> BoundRef? {
    unsafe table.pointee.find(hash: key.hash(hashKey)) { item in
      unsafe BoundRef(item.raw).key.pointee == key
    }.map { unsafe BoundRef($0.raw) }
  }

  /// The most specific socket for a destination.
  func match(_ key: BindingKey) -> BoundRef? {
    if let exact = find(key) { return exact }
    if let any = find(key.wildcard) { return any }
    return key.address.isIPv4 ? find(key.dual) : nil
  }

  /// Control context: check and insert is one step. False: the key is taken.
  func insert(_ bound: BoundRef) -> Bool {
    let key = unsafe bound.key.pointee
    guard find(key) == nil else { return false }
    unsafe table.pointee.insert(hash: key.hash(hashKey), bound.item)
    return true
  }
  /// Control context.
  func remove(_ bound: BoundRef) {
    _ = unsafe table.pointee.remove(hash: bound.key.pointee.hash(hashKey), bound.item)
  }
  /// Any thread inside a grace section.
  func forEach(_ body: (BoundRef) -> Void) { unsafe table.pointee.forEach { body(unsafe BoundRef($0.raw)) } }
}

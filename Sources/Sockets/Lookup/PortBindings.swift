// Who has which port. One writer, the control context; everybody looks up without a lock inside a grace section.

import Exclusion
import SoftInterrupts
import Wire

/// The table of bindings: the claims that decide who may bind, for the control context, and what packets find.
@safe
final class PortBindings: @unchecked Sendable {  // written by the control context only
  private let hashKey: HashKey
  /// Names to their slots.
  private let table: UnsafeMutablePointer<PublishedTable>
  /// (a) A bit for each TCP port that somebody has bound, at whatever address: connect keeps away from them.
  private let boundPorts: UnsafeMutablePointer<AtomicWord>
  /// (a) Sockets that packets can find.
  private let found = AtomicWord(0)
  /// (p) What resets have that are sent for bound sockets; the control context publishes.
  private let names = Published(BoundNames())
  /// Control context: every claim, by protocol and port.
  private var uses: [UInt32: [PortUse]] = [:]

  init(hashKey: HashKey, grace: GraceDomain) {
    self.hashKey = hashKey
    unsafe table = .allocate(capacity: 1)
    unsafe table.initialize(to: PublishedTable(capacity: 64, domain: grace))
    unsafe boundPorts = .allocate(capacity: 1024)
    for index in 0..<1024 { unsafe (boundPorts + index).initialize(to: AtomicWord(0)) }
  }
  deinit {
    unsafe table.pointee.forEach { item in
      let slot = unsafe PortSlotRef(item.raw)
      slot.members.destroy()
      slot.destroy()
    }
    unsafe table.deinitialize(count: 1)
    unsafe table.deallocate()
    unsafe boundPorts.deinitialize(count: 1024)
    unsafe boundPorts.deallocate()
  }

  // MARK: Any thread inside a grace section

  /// Sockets that packets can find.
  var count: Int { Int(found.loadRelaxed()) }

  private func slot(_ key: BindingKey) -> PortSlotRef? {
    unsafe table.pointee.find(hash: key.hash(hashKey)) { item in
      unsafe PortSlotRef(item.raw).key.pointee == key
    }.map { unsafe PortSlotRef($0.raw) }
  }

  /// The sockets with the most specific name for a destination.
  func match(_ key: BindingKey) -> PortMembers? {
    (slot(key) ?? slot(key.wildcard) ?? slot(key.dual))?.members
  }

  /// Whether connect should choose another local port. A hint: what must be unique is the 4-tuple.
  func isBound(_ port: UInt16) -> Bool {
    unsafe boundPorts[Int(port >> 6)].loadRelaxed() & 1 << UInt64(port & 63) != 0
  }

  /// What the socket is set to in whose name a segment for `key` is refused; nil: in nobody's.
  func answer(_ key: BindingKey) -> ListenerOptions? { names.with { $0.options(key) } }

  func forEach(_ body: (BoundRef) -> Void) {
    unsafe table.pointee.forEach { item in
      let members = unsafe PortSlotRef(item.raw).members
      for index in 0..<members.count { body(members[index]) }
    }
  }

  // MARK: Control context: claims

  private func place(_ key: BindingKey) -> UInt32 { UInt32(key.protocol.rawValue) << 16 | UInt32(key.port) }

  /// Whether nobody else's claim excludes this one. Its owner's own is no hindrance: a bound socket that begins
  /// to listen, or a socket whose memory `instead` was, whose claim it takes over.
  func mayClaim(_ use: PortUse, instead owner: UInt = 0) -> Bool {
    !(uses[place(use.key)] ?? []).contains {
      $0.owner != use.owner && $0.owner != owner && use.isExcluded(by: $0)
    }
  }

  /// Notes a claim. `mayClaim` said yes, in the same step.
  func claim(_ use: PortUse) {
    uses[place(use.key), default: []].append(use)
    if use.key.protocol == .tcp {
      unsafe boundPorts[Int(use.key.port >> 6)].formOr(1 << UInt64(use.key.port & 63))
    }
  }

  /// The owner's claim ends; harmless if it has none.
  func disclaim(_ key: BindingKey, owner: UInt) {
    let place = place(key)
    uses[place]?.removeAll { $0.owner == owner }
    guard uses[place]?.isEmpty == true else { return }
    uses[place] = nil
    if key.protocol == .tcp {
      unsafe boundPorts[Int(key.port >> 6)].formAnd(~(1 << UInt64(key.port & 63)))
    }
  }

  /// What is refused at the name of a claim is refused as `options` say; nil: as anybody's. Not once the claim was given
  /// back.
  func setAnswer(_ options: StreamOptions?, _ use: PortUse, _ grace: GraceDomain) {
    guard options == nil || uses[place(use.key)]?.contains(where: { $0.owner == use.owner }) ?? false else {
      return
    }
    let changed = names.with { $0.with(options, use.key, owner: use.owner) }
    if let changed { names.publish(changed, grace) }
  }

  // MARK: Control context: what packets find

  /// From now on packets find `bound`, which is whole (SO-PUBLISH), beside those of the same name.
  func publish(_ bound: BoundRef, _ options: BindOptions, _ cx: inout SoftInterrupt) {
    let key = unsafe bound.key.pointee
    found.storeRelaxed(found.loadRelaxed() + 1)
    guard let slot = slot(key) else {
      let slot = PortSlotRef.make(key, PortMembers.make([bound], isShared: options.contains(.reusePort)))
      return unsafe table.pointee.insert(hash: key.hash(hashKey), slot.item)
    }
    replace(slot, by: all(slot) + [bound], &cx)
  }

  /// From now on packets do not find `bound`; who found it before is gone after a grace period.
  func withdraw(_ bound: BoundRef, _ cx: inout SoftInterrupt) {
    let key = unsafe bound.key.pointee
    guard let slot = slot(key) else { return }
    let rest = all(slot).filter { $0 != bound }
    guard rest.count < slot.members.count else { return }
    found.storeRelaxed(found.loadRelaxed() - 1)
    guard rest.isEmpty else { return replace(slot, by: rest, &cx) }
    _ = unsafe table.pointee.remove(hash: key.hash(hashKey), slot.item)
    cx.retire(slot.members.item)
    cx.retire(slot.item)
  }

  private func all(_ slot: PortSlotRef) -> [BoundRef] {
    let members = slot.members
    return (0..<members.count).map { members[$0] }
  }

  /// Members share their flows if all have asked to.
  private func replace(_ slot: PortSlotRef, by members: [BoundRef], _ cx: inout SoftInterrupt) {
    let uses = uses[place(unsafe slot.key.pointee)] ?? []
    let isShared = members.allSatisfy { member in
      uses.contains { $0.owner == member.owner && $0.options.contains(.reusePort) }
    }
    let old = slot.members
    slot.publish(PortMembers.make(members, isShared: isShared))
    cx.retire(old.item)  // keeps PCB-GRACE
  }
}

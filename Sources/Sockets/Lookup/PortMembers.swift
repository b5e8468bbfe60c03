// The sockets of one name, as packets find them: a slot in the table of bindings, which stays, and an immutable
// list of its members, which is replaced. Almost always there is one member.

import Exclusion
import Wire

/// Memory that can be bound begins with these 64 bytes: the slot's own header, then the key.
@safe
struct BoundRef: Equatable, @unchecked Sendable {  // the key is constant while the slot can be found
  let raw: UnsafeMutableRawPointer
  init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }
  var item: ItemRef { unsafe ItemRef(raw) }
  var key: UnsafeMutablePointer<BindingKey> { unsafe (raw + 32).assumingMemoryBound(to: BindingKey.self) }
  var owner: UInt { unsafe UInt(bitPattern: raw) }
  static func == (left: BoundRef, right: BoundRef) -> Bool { unsafe left.raw == right.raw }
}

/// An immutable list of sockets with the same name. Readers are inside a grace section.
@safe
struct PortMembers: @unchecked Sendable {  // constant while it can be found
  private let raw: UnsafeMutableRawPointer
  /// After the item: how many there are, whether they share the flows, and their addresses.
  private static var countOffset: Int { 32 }
  private static var sharedOffset: Int { 40 }
  private static var membersOffset: Int { 64 }

  init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }

  static func make(_ members: [BoundRef], isShared: Bool) -> PortMembers {
    let bytes = byteCount(members.count)
    let raw = unsafe SharedMemory.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: WorkItem.self, to: WorkItem(kind: SocketKind.portMemory))
    unsafe (raw + countOffset).initializeMemory(as: Int.self, to: members.count)
    unsafe (raw + sharedOffset).initializeMemory(as: Bool.self, to: isShared)
    for (index, member) in members.enumerated() {
      unsafe (raw + membersOffset + index * 8).initializeMemory(as: BoundRef.self, to: member)
    }
    return unsafe PortMembers(raw)
  }

  private static func byteCount(_ members: Int) -> Int { membersOffset + members * MemoryLayout<UInt>.stride }
  /// Nobody reads it any more.
  func destroy() { unsafe SharedMemory.deallocate(raw, byteCount: Self.byteCount(count)) }

  var item: ItemRef { unsafe ItemRef(raw) }
  var address: UInt64 { unsafe UInt64(UInt(bitPattern: raw)) }
  var count: Int { unsafe raw.load(fromByteOffset: Self.countOffset, as: Int.self) }
  private var isShared: Bool { unsafe raw.load(fromByteOffset: Self.sharedOffset, as: Bool.self) }
  subscript(index: Int) -> BoundRef {
    unsafe raw.load(fromByteOffset: Self.membersOffset + index * 8, as: BoundRef.self)
  }

  /// The member that hears a flow: in a group the same for the same hash; otherwise the newest.
  func member(_ hash: UInt64) -> BoundRef {
    let count = count
    guard count > 1, isShared else { return self[count - 1] }
    // The low half of the hash; the high one chooses the flow's home.
    return self[Int(((hash & 0xFFFF_FFFF) &* UInt64(count)) >> 32)]
  }
}

/// A name in the table of bindings, for as long as it has members.
@safe
struct PortSlotRef: @unchecked Sendable {  // the word behind it is atomic
  let raw: UnsafeMutableRawPointer
  private static var wordOffset: Int { 64 }
  private static var byteCount: Int { 128 }
  /// Nobody looks at it any more.
  func destroy() { unsafe SharedMemory.deallocate(raw, byteCount: Self.byteCount) }
  init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = raw }

  static func make(_ key: BindingKey, _ members: PortMembers) -> PortSlotRef {
    let raw = unsafe SharedMemory.allocate(byteCount: byteCount, alignment: 64)
    unsafe raw.initializeMemory(as: WorkItem.self, to: WorkItem(kind: SocketKind.portSlot))
    let slot = unsafe PortSlotRef(raw)
    unsafe slot.key.initialize(to: key)
    unsafe (raw + wordOffset).initializeMemory(as: AtomicWord.self, to: AtomicWord(members.address))
    return slot
  }

  var item: ItemRef { unsafe ItemRef(raw) }
  var key: UnsafeMutablePointer<BindingKey> { unsafe BoundRef(raw).key }
  private var word: UnsafeMutablePointer<AtomicWord> {
    unsafe (raw + Self.wordOffset).assumingMemoryBound(to: AtomicWord.self)
  }
  /// The members now. Any thread inside a grace section.
  var members: PortMembers {
    unsafe PortMembers(UnsafeMutableRawPointer(bitPattern: UInt(word.pointee.load())).unsafelyUnwrapped)
  }
  /// Control context: others from now on. The old list goes after a grace period.
  func publish(_ members: PortMembers) { unsafe word.pointee.store(members.address) }
}

/// The wake-ups that a context raised while it owned something, kept until its root delivers them. Of its
/// capacity, each costs two stores; beyond it a wake-up is kept all the same, in memory taken then, and counted.
@safe @frozen public struct WakeBuffer: ~Copyable, @unchecked Sendable {
  @unsafe @usableFromInline struct State {
    @usableFromInline var targets: UnsafeMutablePointer<WakeTarget>
    @usableFromInline var count = 0
    @usableFromInline var room: Int

    init(room: Int) {
      unsafe targets = .allocate(capacity: room)
      unsafe self.room = room
    }
  }
  @usableFromInline let state: UnsafeMutablePointer<State>
  private let capacity: Int
  /// How many were delivered.
  public let delivered = Counter()
  /// How many did not fit the capacity.
  public let overflowed = Counter()

  init(capacity: Int) {
    precondition(capacity > 0)
    self.capacity = capacity
    unsafe state = SharedMemory.allocate(
      byteCount: MemoryLayout<State>.size, alignment: MemoryLayout<State>.alignment
    ).bindMemory(to: State.self, capacity: 1)
    unsafe state.initialize(to: State(room: capacity))
  }
  deinit {
    unsafe state.pointee.targets.deallocate()
    unsafe SharedMemory.deallocate(state, byteCount: MemoryLayout<State>.size)
  }

  /// How many wait for delivery. The context only.
  @inlinable public var count: Int { unsafe state.pointee.count }
  /// How many more fit the capacity: a loop that is short of room ends its pass early. The context only.
  @inlinable public var room: Int { max(0, unsafe state.pointee.room - state.pointee.count) }

  @inlinable @inline(__always) func add(_ target: WakeTarget) {
    #if Explore
      if Mutation.wokenWhileOwned.isOn { return target.deliver() }
      if Mutation.wakeBufferDropsBeyondCapacity.isOn, room == 0 { return }
    #endif
    unsafe willOwn(state)
    if unsafe state.pointee.count == state.pointee.room { grow() }
    unsafe (state.pointee.targets + state.pointee.count).initialize(to: target)
    unsafe state.pointee.count &+= 1
  }

  /// Keeps what does not fit: losing a wake-up would let somebody sleep for ever.
  @usableFromInline @inline(never) func grow() {
    let larger = unsafe UnsafeMutablePointer<WakeTarget>.allocate(capacity: state.pointee.room * 2)
    unsafe larger.moveInitialize(from: state.pointee.targets, count: state.pointee.count)
    unsafe state.pointee.targets.deallocate()
    unsafe state.pointee.targets = larger
    unsafe state.pointee.room *= 2
  }

  /// With nothing owned and nothing held. A target may add further wake-ups through another context only.
  func deliver() -> Int {
    let count = unsafe state.pointee.count
    guard count > 0 else { return 0 }
    unsafe willOwn(state)
    unsafe state.pointee.count = 0
    for index in 0..<count { unsafe state.pointee.targets[index].deliver() }
    delivered.increment(by: UInt64(count))
    if count > capacity {
      overflowed.increment(by: UInt64(count - capacity))
      unsafe state.pointee.targets.deallocate()
      unsafe state.pointee.targets = .allocate(capacity: capacity)
      unsafe state.pointee.room = capacity
    }
    return count
  }
}

import Devices
import Exclusion

/// One receive queue that a context serves: what is constant about it.
final class ReceivePort: Sendable {
  let device: any Device
  let queue: Int
  /// The poller tells of frames; else the device raises the signal.
  let hasDescriptor: Bool
  let interface: Int
  let signal: ReceiveSignalRef
  /// What passed the queue.
  let counters: DeviceCounters
  /// A read that finds nothing costs a system call, so it may be put off.
  let isEmptyByCall: Bool

  init(
    device: any Device, queue: Int, hasDescriptor: Bool, interface: Int, signal: ReceiveSignalRef,
    counters: DeviceCounters
  ) {
    (self.device, self.queue, self.hasDescriptor) = (device, queue, hasDescriptor)
    (self.interface, self.signal, self.counters) = (interface, signal, counters)
    isEmptyByCall = hasDescriptor && device.isEmptyByCall
  }
}

/// What changes about it, and what is looked at in each pass. Plain: copying it counts nothing.
@safe
struct ReceiveSource {
  /// Kept by the list that it is in.
  let port: Unmanaged<ReceivePort>
  let level: Level
  let hasDescriptor: Bool
  let isEmptyByCall: Bool
  let transmit: TransmitQueueRef
  /// (a) Of its transmit queue.
  private let standing: UnsafePointer<AtomicWord>
  /// More may be in the device: poll it in the next pass.
  fileprivate(set) var isPending = false
  /// More may be in it, which is looked at before the context sleeps.
  fileprivate(set) var isPutOff = false
  /// Whether its frames come alone.
  var lone = LoneFrames()
  var isWatchedForRoom = false
  /// Packets that the transmit queue had sent when its watchdog was armed; nil while it is not.
  var watchedFrom: UInt64?
  var hasFailed = false

  init(_ port: ReceivePort, level: Level, transmit: TransmitQueueRef) {
    unsafe self.port = .passRetained(port)
    self.level = level
    self.transmit = transmit
    (hasDescriptor, isEmptyByCall) = (port.hasDescriptor, port.isEmptyByCall)
    unsafe standing = transmit.standingWord
  }

  /// Whether packets wait in the transmit queue.
  @inline(__always) var isWaiting: Bool { unsafe standing.pointee.load() != 0 }
}

/// The receive queues of a context, by number: the token or tag of their signals. The context's own thread's, once it
/// runs. How many are pending is counted, so that a pass with nothing to receive looks at none.
@safe
struct ReceiveSources: ~Copyable {
  private var first: UnsafeMutablePointer<ReceiveSource>
  private(set) var count = 0
  private var capacity = 4
  private var pending = InlineArray<5, Int>(repeating: 0)
  private var pendingCount = 0
  private var putOff = 0

  init() { unsafe first = .allocate(capacity: capacity) }
  deinit {
    for number in 0..<count { unsafe first[number].port.release() }
    unsafe first.deallocate()
  }

  mutating func append(_ port: ReceivePort, level: Level, transmit: TransmitQueueRef) {
    if count == capacity {
      let larger = UnsafeMutablePointer<ReceiveSource>.allocate(capacity: capacity * 2)
      unsafe larger.moveInitialize(from: first, count: count)
      unsafe first.deallocate()
      unsafe first = larger
      capacity *= 2
    }
    unsafe (first + count).initialize(to: ReceiveSource(port, level: level, transmit: transmit))
    count += 1
  }

  /// The source of this number, which there is.
  @inline(__always) subscript(number: Int) -> ReceiveSource {
    _read {
      precondition(number >= 0 && number < count, "RX-MISSED: a receive queue that the context does not have")
      yield unsafe first[number]
    }
    _modify {
      precondition(number >= 0 && number < count, "RX-MISSED: a receive queue that the context does not have")
      yield unsafe &first[number]
    }
  }

  /// Whether a poller tells of any.
  var hasDescriptors: Bool { (0..<count).contains { self[$0].hasDescriptor } }

  @inline(__always) func hasPending(_ level: Level) -> Bool { pending[level.rawValue] != 0 }
  @inline(__always) var hasAnyPending: Bool { pendingCount != 0 }
  /// Whether one is pending, of that level, and no other.
  @inline(__always) func onlyPending(_ level: Level) -> Bool {
    pendingCount == 1 && pending[level.rawValue] == 1
  }
  @inline(__always) mutating func setPending(_ number: Int, _ isPending: Bool) {
    guard self[number].isPending != isPending else { return }
    self[number].isPending = isPending
    let change = isPending ? 1 : -1
    pending[self[number].level.rawValue] &+= change
    pendingCount &+= change
  }

  /// What it may still have waits until ``takePutOff()``.
  mutating func putOff(_ number: Int) {
    setPending(number, false)
    guard !self[number].isPutOff else { return }
    self[number].isPutOff = true
    putOff += 1
  }
  /// Makes those pending that were put off. False: there were none.
  @inline(__always) mutating func takePutOff() -> Bool { putOff != 0 && takeAllPutOff() }
  @inline(never) private mutating func takeAllPutOff() -> Bool {
    for number in 0..<count where self[number].isPutOff {
      self[number].isPutOff = false
      setPending(number, true)
    }
    putOff = 0
    return true
  }
}

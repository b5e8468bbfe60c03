import Devices
internal import Exclusion
internal import SoftInterrupts
import Timing

/// A pcapng file that gets a copy of every frame of an interface, both ways. Written by the stack's control
/// context at bio level, after everything more urgent; frames that the file cannot keep up with are counted in it
/// as dropped.
@safe public final class PacketCapture: @unchecked Sendable {
  // Unchecked because of the writer, which is the control context's and then the closer's.
  private let file: CaptureFile
  /// The posted item of this capture: 64 bytes, the item first, then an unowned reference back.
  private let slot: UnsafeMutableRawPointer
  /// (a) 1 while the item is posted, or about to be.
  private let isPosted = AtomicWord(0)
  /// (0) control context; after its end, whoever finishes.
  private var writer: PcapNGWriter?
  /// (c) once attached
  private var device: CapturedDevice?
  /// (c) once attached
  private var time: any TimeSource = RealClock()
  /// (a) An errno; nothing is written after it was set.
  private let failed = AtomicWord(0)
  /// (a) 1 once totals are written.
  private let finished = AtomicWord(0)
  private let bytes = Counter()
  /// For ``firstFailure()``.
  private let waiter = Waiter()

  private static var kind: WorkKind { WorkKind(rawValue: 31) }
  /// Frames written at a time.
  private static var batch: Int { 256 }

  /// Creates the file, or empties it. Throws what the system refuses.
  public init(path: String) throws(CaptureError) {
    file = try CaptureFile(path: path)
    unsafe slot = .allocate(byteCount: 64, alignment: 64)
    unsafe slot.initializeMemory(as: WorkItem.self, to: WorkItem(kind: Self.kind))
    unsafe (slot + 32).initializeMemory(
      as: Unmanaged<PacketCapture>.self, to: Unmanaged.passUnretained(self))
  }

  deinit { unsafe slot.deallocate() }

  /// The file's name.
  public var path: String { file.path }
  /// Bytes written so far.
  public var byteCount: UInt64 { bytes.value }
  /// Why the file could not be written; nil as long as it can.
  public var failure: CaptureError? {
    let errno = Int32(truncatingIfNeeded: failed.load())
    return errno == 0 ? nil : CaptureError(path: path, errno: errno)
  }

  /// Waits until the file could not be written, or, with nil, until it is finished or the task is cancelled. One
  /// task at a time.
  public nonisolated(nonsending) func firstFailure() async -> CaptureError? {
    let suspension = Suspension()
    defer { withExtendedLifetime(suspension) {} }
    let ticket = waiter.publish(need: 0, suspension.target)
    if failed.load() != 0 || finished.load() != 0, waiter.retract(ticket) { return failure }
    if await suspension.sleep(isCancellable: true) == .cancelled {
      if waiter.retract(ticket) { return nil }
      _ = await suspension.sleep(isCancellable: false)
    }
    waiter.finish(ticket)
    return failure
  }

  // MARK: The stack's side

  static func register(in handlers: inout Handlers) {
    handlers.register(kind, at: .bio) { item, cx in
      let capture = unsafe (item.raw + 32).assumingMemoryBound(to: Unmanaged<PacketCapture>.self).pointee
      unsafe capture._withUnsafeGuaranteedRef { $0.run(&cx) }
    }
  }

  /// Puts itself in front of a device. While the stack is assembled, once.
  func attach(_ inner: any Device, _ contexts: ContextSet) -> any Device {
    precondition(device == nil, "a capture file belongs to one interface")
    time = contexts.timeSource
    let epoch = CaptureFile.wallClock() &- time.now().nanoseconds
    let port = contexts.port(0)
    let captured = CapturedDevice(inner, time: time, epoch: epoch) { [unowned self] in post(port) }
    device = captured
    var writer = PcapNGWriter(interfaces: [captured.capture], start: time.now(), epoch: epoch)
    do {
      try writer.begin { span throws(CaptureError) in try put(span) }
    } catch {
      failed.store(UInt64(error.errno))
    }
    self.writer = consume writer
    return captured
  }

  private func post(_ port: ContextPortRef) {
    guard isPosted.exchange(1) == 0 else { return }
    unsafe port.post(ItemRef(slot))
  }

  private func put(_ span: RawSpan) throws(CaptureError) {
    try file.write(span)
    bytes.increment(by: UInt64(span.byteCount))
  }

  /// Bio level of the control context.
  private func run(_ cx: inout SoftInterrupt) {
    _ = isPosted.exchange(0)  // what is recorded from here on posts again
    device?.takePending()
    guard failed.load() == 0 else { return }
    do {
      let isMoreLeft = try writer?.drain(limit: Self.batch) { span throws(CaptureError) in try put(span) }
      if isMoreLeft == true { post(cx.core.port) }
    } catch {
      failed.store(UInt64(error.errno))
      if let target = waiter.claim(where: { _ in true }) { cx.wake(target) }
    }
  }

  /// Writes what is left, and totals. After the contexts have stopped.
  func finish() {
    guard device != nil, finished.load() == 0 else { return }
    if failed.load() == 0 {
      do {
        try writer?.finish(at: time.now()) { span throws(CaptureError) in try put(span) }
      } catch {
        failed.store(UInt64(error.errno))
      }
    }
    finished.store(1)
    if let target = waiter.claim(where: { _ in true }) { withApplication { held in wake(target, &held) } }
  }
}

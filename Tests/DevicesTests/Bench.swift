import Buffers
import DeviceTesting
import Devices
import Exclusion
import Testing
import Timing

/// Contexts that share one transmit queue of a scripted device, stepped by the test. The first one is its home.
@safe
final class Bench {
  let cores: [ContextCoreRef]
  let pool = PacketPool(limit: 5000)
  let device: ScriptedDevice
  let queue: TransmitQueueRef
  let signal: ReceiveSignalRef
  private let batches: UnsafeMutablePointer<TransmitBatch>
  static let queueKind = WorkKind(rawValue: 3)
  static let noticeKind = WorkKind(rawValue: 4)
  /// Notices that home got of a queue that stands.
  private(set) var notices = 0
  var now = Instant.zero

  init(
    _ kind: TransmitSerialization = .gate, completion: TransmitCompletion = .later, slots: Int,
    contexts count: Int = 1, guests: Int = 0, offloads: DeviceOffloads = [],
    isPrivate: Bool = false, _ configuration: TransmitConfiguration = TransmitConfiguration()
  ) throws {
    let contexts = count + guests
    let made = try (0..<contexts).map {
      try ContextCoreRef.make(index: $0, host: $0 % count, kick: .counted)
    }
    cores = made
    device = ScriptedDevice(kind, completion: completion, slots: slots, offloads: offloads)
    unsafe batches = .allocate(capacity: contexts)
    for index in 0..<contexts {
      unsafe (batches + index).initialize(to: TransmitBatch())
      unsafe batches[index].pool = pool.ref
      unsafe made[index].attach(UnsafeMutableRawPointer(batches + index), .devices)
    }
    queue = TransmitQueueRef.make(
      device: device, queue: 0, kind: Self.queueKind, notice: Self.noticeKind,
      isPrivate: isPrivate, home: made[0].port, configuration)
    signal = ReceiveSignalRef.make(kind: WorkKind(rawValue: 2), source: 0, port: made[0].port)
    device.attach(queue: 0, receive: signal, transmit: queue)
  }
  deinit {
    queue.destroy()
    signal.destroy()
    for index in cores.indices {
      unsafe (batches + index).deinitialize(count: 1)
      cores[index].destroy()
    }
    unsafe batches.deallocate()
  }

  func run(on context: Int = 0, _ body: (inout SoftInterrupt) -> Void) {
    unsafe batches[context].now = now
    withContextRoot(cores[context]) { root in root.withSoftInterrupt { cx in body(&cx) } }
  }
  /// Packets of one byte each, or more of the same.
  func send(_ marks: [UInt8], bytes count: Int = 1, on context: Int = 0, credit: PacketCreditRef? = nil) {
    run(on: context) { cx in
      for mark in marks {
        var packet = pool.ref.allocate()!
        packet.append(count)
        var span = packet.mutableBytes
        span.set(mark, at: 0)
        packet.credit = credit
        queue.send(packet, &cx)
      }
    }
  }
  /// What a context's loop does with posted work, and at the end of a pass.
  func pass(on context: Int = 0) {
    run(on: context) { cx in
      var posted = cores[context].port.takeAll()
      while let item = posted.popFirst() {
        switch item.kind {
        case Self.queueKind: unsafe GateRef<TransmitQueue>(item.raw).resume(budget: 64, &cx)
        case Self.noticeKind:
          TransmitQueueRef.of(notice: item).noticed()
          notices += 1
        default: Issue.record("work of an unknown kind")
        }
      }
      cx.finishTransmission()
    }
  }
  /// Completes frame by frame until the ring is empty and nothing waits.
  func drain() {
    pass()
    while device.completes(1) > 0 { pass() }
    pass()
  }
}

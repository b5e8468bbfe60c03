import Timing
import Wire

/// BBR as the congestion control of a connection: what it keeps lies in memory of its own, which only connections have
/// that chose it. Calling context: the owner of the connection.
@safe struct BBR: ~Copyable, CongestionControl {
  private let model: UnsafeMutablePointer<BBRModel>

  init(seed: UInt64, delivered: UInt32, now: Instant) {
    unsafe model = .allocate(capacity: 1)
    unsafe model.initialize(to: BBRModel(seed: seed, delivered: delivered, now: now))
  }
  deinit {
    unsafe model.deinitialize(count: 1)
    unsafe model.deallocate()
  }

  /// Recovery does not set the window: what the model learns of the loss does.
  func threshold(after window: CongestionWindow, now: Instant) -> Int {
    unsafe model.pointee.noteLoss(window.segments)
    return window.threshold
  }
  func observe(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {}
  func grow(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow) {}
  func note(_ event: CongestionEvent, now: Instant) {
    switch event {
    case .timedOut: unsafe model.pointee.wasRepairing = true
    case .notified: unsafe model.pointee.wasNotified = true
    case .resumed: break
    }
  }
  func undone() { unsafe model.pointee.undone() }

  // What goes beyond the common border: a model is told of every segment.

  /// A segment leaves. `flight`: segments in flight with it; `isAlone`: nothing else is out.
  func sent(flight: Int, isAlone: Bool, lost: UInt32, now: Instant) -> DeliverySnapshot {
    unsafe model.pointee.rate.sent(flight: flight, isAlone: isAlone, lost: lost, now: now)
  }
  /// It has arrived.
  func delivered(_ segment: SentSegment, _ snapshot: DeliverySnapshot, total: UInt32, now: Instant) {
    unsafe model.pointee.rate.delivered(segment, snapshot, total: total, now: now)
  }
  /// It is lost, and counted.
  func lost(
    _ segment: SentSegment, _ snapshot: DeliverySnapshot, _ count: DeliveryCount, window: Int,
    isSelective: Bool
  ) {
    unsafe model.pointee.lost(segment, snapshot, count, window: window, isSelective: isSelective)
  }
  /// The application has nothing to send, and could.
  func leaveGap(delivered: UInt32, flight: Int) {
    unsafe model.pointee.rate.leaveGap(delivered: delivered, flight: flight)
  }
  /// Something is about to be sent, and nothing is in flight.
  func willSend(
    smoothed: Nanoseconds, segment: Int, initialWindow: Int,
    _ window: inout CongestionWindow, _ pacer: inout Pacer, now: Instant
  ) {
    unsafe model.pointee.adoptRoundTrip(smoothed, initialWindow, segment, &pacer)
    unsafe model.pointee.restart(segment: segment, &window, &pacer, now: now)
  }
  /// An acknowledgment has been taken: pace and window follow.
  func steer(_ sample: AcknowledgmentSample, _ window: inout CongestionWindow, _ pacer: inout Pacer) {
    unsafe model.pointee.steer(sample, &window, &pacer)
  }

  /// What there is to tell; `segment`: payload of a full one.
  func info(segment: Int) -> TCPBandwidthInfo {
    let model = unsafe model.pointee
    return TCPBandwidthInfo(
      bandwidth: Int(min(model.bandwidth * Double(segment), 1e15)),
      minimumRoundTrip: model.minimumRoundTrip ?? .zero, pacingGain: model.state.pacingGain,
      windowGain: model.state.windowGain)
  }
  /// The last delivery rate worth telling, in bytes a second, and whether the application limited it.
  func deliveryRate(segment: Int) -> (rate: Int, isApplicationLimited: Bool) {
    let told = unsafe model.pointee.rate.told
    guard told.interval > .zero else { return (0, told.isApplicationLimited) }
    let rate = Double(told.delivered) * Double(segment) * 1e9 / Double(told.interval.count)
    return (Int(min(rate, 1e15)), told.isApplicationLimited)
  }
}

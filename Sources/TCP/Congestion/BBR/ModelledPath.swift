import Timing
import Wire

// What a congestion control with a model of the path is told beyond the common border; nothing of it happens for the
// others.
extension TCPConnection {
  /// Chooses who rules the congestion window, at the beginning or later (TCP_CONGESTION on a live connection).
  mutating func chooseControl(now: Instant) {
    let seed = UInt64(send.initial.rawValue) << 32 | UInt64(timestamps.offset)
    control = CongestionController(
      configuration.congestionControl, exit: configuration.slowStartExit, seed: seed,
      delivered: count.delivered, now: now)
    outstanding.keepSnapshots(control.hasModel)
    pacer.isOn = configuration.pacing || control.hasModel
    if control.hasModel { window.threshold = .max }
  }

  /// The segment at `index` leaves; `isAlone`: nothing else was in flight.
  mutating func noteSent(_ index: Int, isAlone: Bool, now: Instant) {
    switch control.model {
    case .none: break
    case .some(let bbr):
      outstanding[snapshot: index] = bbr.sent(
        flight: outstanding.inFlight, isAlone: isAlone, lost: count.lost, now: now)
    }
  }

  /// The segment at `index` has arrived, and counts.
  mutating func noteArrived(_ index: Int, now: Instant) {
    switch control.model {
    case .none: break
    case .some(let bbr):
      bbr.delivered(outstanding[index], outstanding[snapshot: index], total: count.delivered, now: now)
    }
  }

  /// The segment at `index` is lost, and counts.
  mutating func noteLost(_ index: Int) {
    switch control.model {
    case .none: break
    case .some(let bbr):
      bbr.lost(
        outstanding[index], outstanding[snapshot: index], count, window: window.segments,
        isSelective: isSelective)
    }
  }

  /// Something is about to be sent, and nothing is out.
  mutating func noteRestart(now: Instant) {
    switch control.model {
    case .none: break
    case .some(let bbr):
      bbr.willSend(
        smoothed: roundTrip.smoothed, segment: fullSegment, initialWindow: initialWindow, &window, &pacer,
        now: now)
    }
  }

  /// CheckIfApplicationLimited of draft-ietf-ccwg-bbr section 4.1.2.4, before anything is written, acknowledged or timed
  /// out: all that there was has been sent, and more might have been.
  mutating func noteApplicationLimit() {
    switch control.model {
    case .none: break
    case .some(let bbr):
      guard send.unsentBytes < fullSegment, outstanding.inFlight < window.segments,
        outstanding.lost <= outstanding.repeating
      else { return }
      bbr.leaveGap(delivered: count.delivered, flight: outstanding.inFlight)
    }
  }

  /// Pace and window follow from the model. False: there is none.
  mutating func steer(_ sample: AcknowledgmentSample) -> Bool {
    switch control.model {
    case .none: return false
    case .some(let bbr):
      bbr.steer(sample, &window, &pacer)
      return true
    }
  }

  /// What the model has to tell, for ``info``.
  func addModel(to info: inout TCPInfo) {
    switch control.model {
    case .none: break
    case .some(let bbr):
      info.bandwidth = bbr.info(segment: fullSegment)
      (info.deliveryRate, info.isDeliveryApplicationLimited) = bbr.deliveryRate(segment: fullSegment)
    }
  }
}

import Exclusion

/// What a switch counts. Its thread writes.
final class SwitchCounters: Sendable {
  let plugged = Counter()
  let refused = Counter()
  let unplugged = Counter()
  let broken = Counter()
  let framesFromGuests = Counter()
  let framesToGuests = Counter()
  let flooded = Counter()
  let full = Counter()
  let forged = Counter()
  let rogue = Counter()
  let malformed = Counter()
  let displaced = Counter()
  let ports = Gauge()
  let stations = Gauge()
}

/// What a ``VirtualSwitch`` did, and what there is.
public struct SwitchStatistics: Sendable, Hashable {
  /// Guests that are plugged in.
  public var ports: UInt64 = 0
  /// Guests that there may be.
  public var portLimit = 0
  /// Stations whose ports are known.
  public var stations: UInt64 = 0
  /// Guests that came.
  public var plugged: UInt64 = 0
  /// Guests that found no port free.
  public var refused: UInt64 = 0
  /// Guests that went.
  public var unplugged: UInt64 = 0
  /// Of these, those that spoke no frames, or too long ones.
  public var broken: UInt64 = 0
  /// Frames that came from guests.
  public var framesFromGuests: UInt64 = 0
  /// Frames for guests, once for each.
  public var framesToGuests: UInt64 = 0
  /// Frames that went to every port, as nobody knew better.
  public var flooded: UInt64 = 0
  /// Frames that found a port's queue full, or its other side.
  public var full: UInt64 = 0
  /// Frames in the name of somebody else's station or address, or of none.
  public var forged: UInt64 = 0
  /// Frames from one guest for another that only the gateway may send.
  public var rogue: UInt64 = 0
  /// Frames that were too short to be one.
  public var malformed: UInt64 = 0
  /// Stations that gave way to newer ones of the same guest's.
  public var displaced: UInt64 = 0

  init(_ counters: SwitchCounters, portLimit: Int) {
    ports = counters.ports.value
    self.portLimit = portLimit
    stations = counters.stations.value
    plugged = counters.plugged.value
    refused = counters.refused.value
    unplugged = counters.unplugged.value
    broken = counters.broken.value
    framesFromGuests = counters.framesFromGuests.value
    framesToGuests = counters.framesToGuests.value
    flooded = counters.flooded.value
    full = counters.full.value
    forged = counters.forged.value
    rogue = counters.rogue.value
    malformed = counters.malformed.value
    displaced = counters.displaced.value
  }
}

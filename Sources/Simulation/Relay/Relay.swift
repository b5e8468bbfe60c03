import Buffers
import Chance
import Timing
import Wire

/// The narrow link of a profile, in real time, between two others' hosts: whoever has the frames gives them, and is
/// given those that come out. So somebody else's TCP can be measured in the very model that runs ours.
///
/// One thread. Times are nanoseconds since the relay was made.
public final class Relay {
  /// One of the link's two ends.
  public enum Side: Int, Sendable {
    /// Where clients are.
    case near
    /// Where the server is.
    case far
    /// The other one.
    public var other: Side { self == .near ? .far : .near }
  }

  private let network: Network
  private let start: UInt64
  private let steps: [(after: Nanoseconds, step: NetworkStep)]

  /// The link of `profile` as `seed` has it, and what the profile's timeline does to it, once; without hosts and
  /// routers. `write` is called with each frame that comes out at a side.
  public init(
    _ profile: Profile, seed: UInt64, write: @escaping (Side, RawSpan) -> Void
  ) {
    var random = SeededGenerator(seed: SeededGenerator.mixed(seed))
    let network = Network(seed: seed)
    self.network = network
    start = network.clock.now().nanoseconds
    let (forward, backward) = profile.links(&random)
    let ends = [Side.near, .far].map { side in
      network.add(Outlet { write(side, $0) })
    }
    network.connect((ends[0], 0), (ends[1], 0), forward, backward)
    steps = profile.timeline(&random)
    network.timeline = { [unowned self] in perform(steps[$0].step) }
    for (index, step) in steps.enumerated() {
      network.plan(.timeline, after: UInt64(max(0, step.after.count)), index: index)
    }
  }

  /// A node that has frames written elsewhere.
  private final class Outlet: Node {
    private let write: (RawSpan) -> Void
    init(_ write: @escaping (RawSpan) -> Void) { self.write = write }
    func receive(_ packet: consuming Packet, port: Int) { write(packet.bytes) }
  }

  /// Hosts and routers are not there to crash and to fall silent.
  private func perform(_ step: NetworkStep) {
    for pipe in network.pipes {
      switch step {
      case .cut: pipe.setUp(false)
      case .mend: pipe.setUp(true)
      case .mtu(let bytes): pipe.change { $0.mtu = bytes }
      case .rate(let rate): pipe.change { $0.rate = rate }
      case .delay(let delay): pipe.change { $0.delay = delay }
      case .mute, .unmute, .crash, .start: break
      }
    }
  }

  /// When something is next due; nil: nothing is on its way.
  public var nextTime: UInt64? { network.nextTime.map { $0 - start } }

  /// Does what is due until `now`.
  public func advance(to now: UInt64) {
    while network.advance(limit: start + now) {}
    network.clock.advance(to: Instant(nanoseconds: start + now))
  }

  /// A frame came in at a side; at most 1,514 bytes, longer ones are lost. Advance first.
  public func receive(_ side: Side, _ frame: RawSpan) {
    guard frame.byteCount <= 1514, var packet = network.makePacket() else { return }
    packet.append(frame.byteCount)
    var bytes = packet.mutableBytes
    bytes.copy(frame, at: 0)
    packet.markNetworkHeader()
    network.pipes[side.rawValue].offer(packet)
  }

  /// What passed in the direction from a side.
  public func statistics(from side: Side) -> PipeStatistics { network.pipes[side.rawValue].statistics }

  /// Loses what is on its way. Last.
  public func close() { network.loseAll() }
}

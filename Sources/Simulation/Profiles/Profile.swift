import Chance
import TCP
public import Timing

/// What happens to a network while it runs.
public enum NetworkStep: Sendable {
  /// Both directions of the narrow link are cut, or mended.
  case cut, mend
  /// The narrow link takes packets of so many bytes at most.
  case mtu(Int)
  /// Routers send no ICMP, or send it again.
  case mute, unmute
  /// A host crashes, or starts.
  case crash(Int), start(Int)
  /// Both directions of the narrow link have so many bits per second.
  case rate(Int)
  /// Both directions of the narrow link are so long.
  case delay(Nanoseconds)
}

/// How hosts are joined.
public enum Topology: Sendable, Hashable {
  /// Two hosts, one link.
  case direct
  /// So many hosts around a switch; the server's link is the narrow one.
  case switched(hosts: Int)
  /// Two hosts, and two routers between them with the narrow link; each host has a gigabit to its router.
  case routed
}

/// A network in words and numbers: what the seed does not choose.
public struct Profile: Sendable {
  /// As `--profile` has it.
  public let name: String
  /// What it is for, in one line.
  public let purpose: String
  /// How hosts are joined.
  var topology = Topology.direct
  /// Towards the server, and from it; equal if there is one. Random choices come from the seed.
  var links: @Sendable (inout SeededGenerator) -> (LinkParameters, LinkParameters?)
  /// What happens when, in nanoseconds from the start.
  var timeline: @Sendable (inout SeededGenerator) -> [(after: Nanoseconds, step: NetworkStep)] = { _ in [] }
  /// What applications do; the seed chooses one.
  var workloads = Workload.usual
  /// Payload of a measured transfer, in bytes.
  var bytes = 512 << 10
  /// Virtual time within which everything has been transferred.
  var limit = Nanoseconds.seconds(600)
  /// Connections are begun anew when they fail.
  var retries = 0
  /// What hosts offer and take of explicit congestion notification.
  var notification = CongestionNotificationUse.accept
  /// Frames of running connections are changed, and their checksums repaired.
  var isFuzzing = false

  init(
    _ name: String, _ purpose: String,
    links: @escaping @Sendable (inout SeededGenerator) -> (LinkParameters, LinkParameters?),
    _ adjust: (inout Profile) -> Void = { _ in }
  ) {
    self.name = name
    self.purpose = purpose
    self.links = links
    adjust(&self)
  }
}

/// What applications do in a run.
public enum Workload: String, Sendable, Hashable, CaseIterable {
  /// One transfer to the server; measured.
  case upload
  /// One transfer from the server; measured.
  case download
  /// Both ways at once.
  case both
  /// Requests and responses on one connection, one after the other.
  case exchange
  /// One side ends before the other begins.
  case halfClose = "half-close"
  /// Many connections of a request and a response each.
  case short
  /// A connection that is aborted in the middle.
  case abort
  /// A reader that pauses, so that windows close.
  case slowReader = "slow-reader"
  /// Several transfers at once, which should have equal shares.
  case parallel

  /// Half of the runs are measured transfers.
  static let usual: [Workload] = [
    .upload, .download, .upload, .download, .upload, .download, .upload,
    .both, .exchange, .halfClose, .short, .abort, .slowReader, .parallel,
  ]
  /// Transfers that can be begun anew.
  static let restartable: [Workload] = [.upload, .download, .both, .exchange]
}

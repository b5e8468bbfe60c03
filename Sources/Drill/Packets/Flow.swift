import Wire

/// The connection that a script is about, between what the script calls things and what they are on the wire.
///
/// The remote side is the script's: its sequence numbers are used as they are, relative ones counted from the SYN
/// that the script wrote. The local side is the stack's: its initial sequence number and the values of its time stamps
/// are learned from what it sends.
struct Flow {
  /// How far the connection got, as its packets and the script's calls tell.
  enum Stage: Equatable {
    /// A socket was made.
    case new
    /// It listens: the next packet from the network starts a connection.
    case listening
    /// A packet came for a socket that listens, or for none.
    case packetReceived
    /// The stack answered with its SYN.
    case answered
    /// `connect` was called.
    case connecting
    /// The stack sent its SYN.
    case synSent
    /// The other side's SYN came.
    case open
  }

  var stage: Stage
  /// The protocol of the socket.
  var transport: IPProtocol
  var local: SocketAddress
  var remote: SocketAddress
  /// The descriptor of the stack's socket; nil until it was accepted, and where there is none.
  var descriptor: Int32?
  /// The initial sequence number that the stack chose.
  var localInitial: UInt32 = 0
  /// What the script calls it: the number in the SYN.
  var scriptLocalInitial: UInt32 = 0
  /// The initial sequence number of the other side; wire and script agree.
  var remoteInitial: UInt32 = 0
  /// The value of a time stamp that the stack sent, by what the script calls it.
  private var stamps: [UInt32: UInt32] = [:]
  /// The first time stamp: what it is on the wire and what the script calls it.
  private var firstStamp: (script: UInt32, wire: UInt32)?
  /// The last time stamp in a packet of which the script took any options, and gave it no name.
  private var unnamedStamp: UInt32?
  /// A reset came: the next SYN that is answered starts anew.
  var wasReset = false
  /// The socket was taken from its connection (connect with AF_UNSPEC): what it connects to next is another.
  var isDissolved = false
  /// The initial sequence number of a SYN that came after a reset, until it is answered.
  var nextRemoteInitial: UInt32?
  /// The flow label that the script knows last, and what it is on the wire.
  private var label: (script: UInt32, wire: UInt32)?

  init(stage: Stage, transport: IPProtocol, local: SocketAddress, remote: SocketAddress) {
    self.stage = stage
    self.transport = transport
    self.local = local
    self.remote = remote
  }

  // MARK: Sequence numbers

  /// What is added to the stack's sequence number in a script to get the one on the wire. In a SYN the script's own
  /// numbers count, else they are relative.
  func localOffset(isSYN: Bool) -> UInt32 { isSYN ? localInitial &- scriptLocalInitial : localInitial }

  /// The same for the other side's.
  func remoteOffset(isSYN: Bool) -> UInt32 { isSYN ? 0 : remoteInitial }

  // MARK: Time stamps

  /// Remembers what the script calls a time stamp that the stack sent, and returns what the script would call it if
  /// it counted from the first one as the wire does.
  mutating func learn(stamp wire: UInt32, script: UInt32) -> UInt32 {
    stamps[script] = wire
    if firstStamp == nil { firstStamp = (script, wire) }
    guard let firstStamp else { return script }
    return firstStamp.script &+ (wire &- firstStamp.wire)
  }

  /// Remembers a time stamp that the script has no name for.
  mutating func learn(unnamed wire: UInt32) { unnamedStamp = wire }

  /// The time stamp on the wire that the script means; nil if the stack sent none that it calls so. Where the script
  /// never named one it is the last.
  ///
  /// - Parameter isScaled: counts from the first time stamp where none has this name: `--tcp_ts_ecr_scaled`.
  func stamp(script: UInt32, isScaled: Bool) -> UInt32? {
    if let known = stamps[script] { return known }
    guard let firstStamp else { return unnamedStamp }
    guard isScaled else { return nil }
    return script &- firstStamp.script &+ firstStamp.wire
  }

  // MARK: Flow labels

  /// Whether a flow label is the one that the script means: the same name the same label, another name another one.
  mutating func accepts(label wire: UInt32, script: UInt32) -> Bool {
    guard wire != 0 else { return false }
    if let label {
      if label.script == script { return label.wire == wire }
      guard label.wire != wire else { return false }
    }
    label = (script, wire)
    return true
  }
}

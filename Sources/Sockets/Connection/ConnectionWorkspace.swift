// What a connection needs while it works, and not while it rests: a slot of its context's pool, which it has from its
// beginning, and gives back when it comes to rest (`ConnectionRest`).
//
//   offset   size  what                               who
//   0          32  command item                       insert, then finish: one after the other
//   32          8  address of the block               (c)
//   64         32  accept item                        who queues the child for accept
//   96         32  account of what is below IP        (a)
//   128        32  timer-request item                 owner queues, home takes
//   192       ...  owned state (`ConnectionOwned`)    (o) the gate's owner alone
//   ...       ...  where to connect                   the one call that connects, before its post; then (o)

import Buffers
import Devices
import Exclusion
import Internet
import TCP
import Timing
import Wire

/// The layout of a workspace.
enum ConnectionWorkspace {
  static var blockOffset: Int { 32 }
  static var acceptOffset: Int { 64 }
  static var creditOffset: Int { 96 }
  static var timerRequestOffset: Int { 128 }
  static var ownedOffset: Int { 192 }
  /// Whole words.
  static var ownedBytes: Int { (MemoryLayout<ConnectionOwned>.size + 7) & ~7 }
  static var requestOffset: Int { ownedOffset + ownedBytes }
  static var bytes: Int { (requestOffset + MemoryLayout<ConnectRequest?>.size + 63) & ~63 }
}

/// What only the owner of the gate may touch.
struct ConnectionOwned: ~Copyable {
  @inline(__always) init(engine: consuming TCPConnection, receiveLimit: Int) {
    self.engine = engine
    toldReceiveLimit = UInt32(receiveLimit)
    self.engine.setReceiveBuffer(toldReceiveLimit)
  }

  /// The engine.
  var engine: TCPConnection
  /// Submitted and not yet acknowledged bytes, from SND.UNA on.
  var sendChain = ByteChain()
  /// Memory that `sendChain` occupied when it was last accounted for, in bytes.
  var sendAccounted = 0
  /// The owner's half of `received`.
  var receiveEnd = ReceiveEnd()
  /// What it was set to beside the engine's own settings.
  var shape = StreamShape()
  /// The receive limit that the engine was told last. Its window may be scaled for more.
  var toldReceiveLimit: UInt32
  /// The cached route (RT-GEN: checked against the generation at use).
  var route: RouteDecision?
  /// What the device does that it leads to.
  var offloads: DeviceOffloads = []
  /// When the connection is aborted if what was submitted has not arrived (SO_LINGER with a time).
  var lingerDeadline: Instant?
  /// When the wheel will fire, as far as the owner knows.
  var armed: Instant?
  /// Not findable any more (PCB-DROP).
  var isDropped = false
  /// The application has closed its last handle; nobody reads.
  var isOrphan = false
  /// It left bytes unread.
  var hadUnread = false
  /// Bytes of chains that were taken off the gate.
  var enqueued: UInt64 = 0
  /// Segments of a child that the connection table does not have yet, the ACK that made it first (Q1).
  var early = ItemList()
  /// What must wait for chains that are still on their way: bits overtake items at a gate.
  var deferred: GateEvents = []
  /// The engine has more to send than may be below IP, and is told when there is room.
  var isHeld = false
  /// The connection has ended, and a reference is kept until its last packet has left.
  var isLeaving = false
  /// `connected` was reported.
  var wasConnected = false
  /// The socket has neither connected nor been closed: the block is in no table.
  var isUnconnected = false
  /// The shard has not answered the insert yet; its item is in use.
  var isInserting = true
  /// It was asked for, by the SYN in this packet, with which its home is told when the table has it.
  var requested: ItemRef?
  /// The application chose the local port: none other is tried when the 4-tuple is taken.
  var isPortFixed = true
  /// How its segments are authenticated, both ways.
  var authentication = SegmentAuthentication.none(refusesUnknown: false)
  /// Not at all, and they go in IP, as nearly everyone's: a look at `authentication` copies and counts what it holds.
  var isPlain = true
  /// The listener that it has a Fast Open place of, with a reference, until the handshake is complete or it ends.
  var fastOpenListener: ListenerRef?
  /// The option that answers its SYN.
  var fastOpenAnswer: TCPFastOpenAttempt?
  /// What came of opening fast was taken note of.
  var fastOpenNoted = false
  /// Ports tried because the 4-tuple was taken meanwhile.
  var portAttempts = 0
  /// It was given to an accept queue.
  var isOffered = false
  /// When something was done with it last.
  var lastRun = Instant.zero
}

/// Where an unconnected socket is to connect.
struct ConnectRequest: Sendable {
  let remote: SocketAddress
  /// The name that it was bound to.
  let local: SocketAddress?
  /// Fast Open is tried, and with what.
  var fastOpen: TCPFastOpenAttempt?
  /// What was written before there was a connection: a chain, the owner's to take.
  var chain: ItemRef?
}

extension ConnectionRef {
  /// (o) Address of the workspace; 0: the connection rests.
  var workspaceAddress: UnsafeMutablePointer<UInt> {
    unsafe at(ConnectionBlock.workspaceOffset, as: UInt.self)
  }
  private var workspace: UnsafeMutableRawPointer {
    unsafe UnsafeMutableRawPointer(bitPattern: workspaceAddress.pointee).unsafelyUnwrapped
  }
  /// The slot of the workspace. The owner, of a connection at work.
  var workspaceItem: ItemRef { unsafe ItemRef(workspace) }

  /// For the gate's owner only (PCB-OWN), of a connection at work.
  var owned: UnsafeMutablePointer<ConnectionOwned> {
    unsafe (workspace + ConnectionWorkspace.ownedOffset).assumingMemoryBound(to: ConnectionOwned.self)
  }
  var creditMemory: UnsafeMutablePointer<PacketCredit> {
    unsafe (workspace + ConnectionWorkspace.creditOffset).assumingMemoryBound(to: PacketCredit.self)
  }
  /// Where to connect. Of a connection that was never at rest.
  var request: UnsafeMutablePointer<ConnectRequest?> {
    unsafe (workspace + ConnectionWorkspace.requestOffset).assumingMemoryBound(to: ConnectRequest?.self)
  }
  var commandItem: ItemRef { unsafe ItemRef(workspace) }
  var acceptItem: ItemRef { unsafe ItemRef(workspace + ConnectionWorkspace.acceptOffset) }
  var timerRequestItem: ItemRef { unsafe ItemRef(workspace + ConnectionWorkspace.timerRequestOffset) }

  static func fromCommand(_ item: ItemRef) -> ConnectionRef {
    unsafe ConnectionRef(
      item.raw.load(fromByteOffset: ConnectionWorkspace.blockOffset, as: UnsafeMutableRawPointer.self))
  }
  static func fromAccept(_ item: ItemRef) -> ConnectionRef {
    unsafe fromCommand(ItemRef(item.raw - ConnectionWorkspace.acceptOffset))
  }
  static func fromTimerRequest(_ item: ItemRef) -> ConnectionRef {
    unsafe fromCommand(ItemRef(item.raw - ConnectionWorkspace.timerRequestOffset))
  }

  /// Gives the connection a workspace, which holds no owned state yet.
  func enter(_ slot: ItemRef) {
    unsafe slot.raw.storeBytes(
      of: gate.raw, toByteOffset: ConnectionWorkspace.blockOffset, as: UnsafeMutableRawPointer.self)
    unsafe workspaceAddress.pointee = UInt(bitPattern: slot.raw)
    unsafe request.initialize(to: nil)
    initializeCredit()
    timerRequestItem.kind = SocketKind.timerRequest
  }
  /// Takes it away; the owned state has gone elsewhere.
  func leaveWorkspace() {
    let slot = workspaceItem
    unsafe workspaceAddress.pointee = 0
    SlotPoolRef.of(slot)?.giveBack(slot)
  }
}

#if Explore
  public import Buffers
  import Exclusion

  /// A receive queue by itself, for the explorer: nobody else needs one without a connection.
  @safe public final class ExploredReceiveQueue: @unchecked Sendable {  // each half is one thread's
    private let queue: UnsafeMutablePointer<ReceiveQueue>
    private var reader = ReceiveReader()
    private var end = ReceiveEnd()

    /// An empty queue in shared memory of at least 128 bytes.
    public init(_ raw: UnsafeMutableRawPointer) {
      unsafe queue = raw.bindMemory(to: ReceiveQueue.self, capacity: 1)
      unsafe queue.initialize(to: ReceiveQueue())
    }
    deinit { unsafe queue.deinitialize(count: 1) }

    /// Bytes that can be read.
    public var available: Int { unsafe queue.pointee.available }
    /// Memory that they occupy.
    public var occupied: Int { unsafe queue.pointee.occupied }
    /// The owner adds bytes. Returns by how much the memory grew.
    public func append(_ packet: consuming Packet) -> Int {
      switch unsafe queue.pointee.append(packet, &end) {
      case .posted: Packet.occupied
      case .postedInPlace(let freed): Packet.occupied - freed
      case .collapsed: 0
      }
    }
    /// The owner adds full packets in a row. Returns by how much the memory grew.
    public func append(full packets: inout PacketQueue) -> Int {
      var row = FullPackets()
      while let packet = packets.popFirst() {
        invariant(end.isFull(packet), "a packet of a row is full")
        row.append(packet)
      }
      let count = row.count
      unsafe queue.pointee.append(&row, &end)
      return count * Packet.occupied
    }
    /// The reader reads.
    public func read(into buffer: UnsafeMutableRawBufferPointer) -> (count: Int, freed: Int) {
      unsafe queue.pointee.read(&reader, into: buffer)
    }
  }

  extension Mutation {
    /// The reader frees a packet that the owner is writing to.
    static let receiveEndTakenFromWriter = Mutation("receiveEndTakenFromWriter")
    /// The reader takes a packet without looking whether it has grown.
    static let receiveEndTakenByStore = Mutation("receiveEndTakenByStore")
    /// A packet may grow only after it was posted: its reader may have freed it.
    static let receiveTailSetAfterPosting = Mutation("receiveTailSetAfterPosting")
    /// A closed packet does not tell how long it became.
    static let receiveLengthNotInSlot = Mutation("receiveLengthNotInSlot")
    /// The bytes of a row are told of before the packets are there.
    static let receiveRowToldEarly = Mutation("receiveRowToldEarly")
  }
#endif

import Buffers
import CLinux
import Devices
import Glibc
import Timing
import Wire

/// The receiving side of a queue whose frames may be longer than a slot: TAP and TUN with IFF_VNET_HDR, whose frames have
/// a header of offloads in front, and without, where the MTU is large.
///
/// A frame may have 64 KiB. It is read into the slot of a packet and, behind that, into the spare room of the pool, whose
/// chunks become the packet's as far as they were needed.
@safe struct HeaderReceiver: ~Copyable {
  private let descriptor: Int32
  private let link: LinkLayer
  private let headerBytes: Int
  private let pieces: UnsafeMutablePointer<iovec>
  private let header: UnsafeMutableRawPointer
  private static var pieceLimit: Int { 24 }
  /// Bytes that one call takes before others have their turn.
  private static var byteBudget: Int { 1 << 20 }

  /// The descriptor stays the caller's.
  init(_ descriptor: Int32, _ link: LinkLayer, hasHeaders: Bool) {
    self.descriptor = descriptor
    self.link = link
    headerBytes = hasHeaders ? VirtioNetHeader.byteCount : 0
    unsafe pieces = .allocate(capacity: Self.pieceLimit)
    unsafe pieces.initialize(repeating: iovec(), count: Self.pieceLimit)
    unsafe header = .allocate(byteCount: VirtioNetHeader.byteCount, alignment: 8)
  }

  deinit {
    unsafe pieces.deallocate()
    unsafe header.deallocate()
  }

  func receive(
    limit: Int, pool: PacketPoolRef, now: Instant, into batch: inout PacketQueue, _ counters: DeviceCounters
  ) -> ReceiveOutcome {
    var left = Self.byteBudget
    for _ in 0..<limit {
      guard left > 0 else { return .more }
      // Without a packet the frame is taken off the link, into what is spare.
      var fresh = pool.allocate()
      let (count, capacity) = read(&fresh, pool, counters)
      guard count >= 0 else { return count == -Int(EAGAIN) ? .drained : .failed(Int32(-count)) }
      guard var packet = fresh.take() else {
        counters.receiveOutOfBuffers.increment()
        counters.receiveDrops.increment()
        continue
      }
      let bytes = count - headerBytes
      // The kernel cuts a longer frame off without a word.
      guard bytes > 0, count < capacity else {
        counters.receiveDrops.increment()
        continue
      }
      left -= bytes
      fit(&packet, bytes, pool)
      packet.metadata.arrival = now
      counters.framesReceived.increment()
      counters.bytesReceived.increment(by: UInt64(bytes))
      take(packet, pool, into: &batch, counters)
    }
    return .more
  }

  /// One system call: bytes or a negative errno, and how many there was room for.
  private func read(
    _ packet: inout Packet?, _ pool: PacketPoolRef, _ counters: DeviceCounters
  ) -> (count: Int, capacity: Int) {
    var used = 0
    var capacity = 0
    func add(_ address: UnsafeMutableRawPointer?, _ count: Int) {
      unsafe pieces[used] = iovec(iov_base: address, iov_len: count)
      used += 1
      capacity += count
    }
    if headerBytes > 0 { unsafe add(header, headerBytes) }
    if var fresh = packet.take() {
      fresh.append(PacketPoolRef.slotShare)
      unsafe add(fresh.dataAddress, fresh.count)
      packet = consume fresh
    }
    unsafe pool.forEachSpare { unsafe add($0.baseAddress, $0.count) }
    // Whatever comes is taken off the link.
    if used == 0 { unsafe add(header, VirtioNetHeader.byteCount) }
    counters.receiveCalls.increment()
    return (unsafe sluice_read_pieces(descriptor, pieces, Int32(used)), capacity)
  }

  /// Gives the packet the bytes that were read; all in the slot if they fit there, so that only super-segments and large
  /// frames are in pieces.
  private func fit(_ packet: inout Packet, _ bytes: Int, _ pool: PacketPoolRef) {
    let excess = bytes - packet.count
    if excess <= 0 { return packet.truncate(to: bytes) }
    pool.attachSpare(excess, to: &packet)
    _ = packet.gather()
  }

  /// Puts what the frame stands for into the batch.
  private func take(
    _ packet: consuming Packet, _ pool: PacketPoolRef, into batch: inout PacketQueue,
    _ counters: DeviceCounters
  ) {
    guard headerBytes > 0 else { return batch.append(packet) }
    unsafe Self.admit(packet, header, link, pool, into: &batch, counters)
  }

  /// Puts what a frame stands for into the batch, as the header says that came with it, or counts why not.
  static func admit(
    _ packet: consuming Packet, _ header: UnsafeRawPointer, _ link: LinkLayer, _ pool: PacketPoolRef,
    into batch: inout PacketQueue, _ counters: DeviceCounters
  ) {
    let bytes = unsafe RawSpan(_unsafeStart: header, byteCount: VirtioNetHeader.byteCount)
    var verdict = Packet.VirtioVerdict.refused
    if let header = try? VirtioNetHeader.parse(bytes) { verdict = packet.take(header, link: link) }
    switch verdict {
    case .taken: batch.append(packet)
    case .datagrams:
      if packet.cutReceived(link: link, pool: pool, into: &batch) { return }
      counters.receiveOutOfBuffers.increment()
      counters.receiveDrops.increment()
    case .refused:
      counters.receiveHeaderErrors.increment()
      counters.receiveDrops.increment()
    }
  }
}

extension DeviceOffloads {
  /// What the kernel says that it does for who writes to it, and wants of who reads.
  init(kernel offloads: Int32) {
    self = .gathering
    func has(_ bit: Int) -> Bool { Int(offloads) & bit != 0 }
    // What is written with a header may leave both in any case.
    if has(Int(sluice_offload_checksum)) { formUnion([.checksum]) }
    if has(Int(sluice_offload_tcp)) { formUnion([.tcp4, .tcp6]) }
    if has(Int(sluice_offload_udp)) { formUnion([.udp]) }
  }
}

import CLinux
import Glibc
import Wire

/// The memory of a guest, as far as its front-end has passed it on. Whatever an address says, what is found lies in a piece
/// of it, or nothing is found.
@safe struct GuestMemory: ~Copyable {
  @safe private struct Region {
    let guest: UInt64, user: UInt64, size: UInt64
    var memory: sluice_shared_memory
  }
  private let regions: UnsafeMutablePointer<Region>
  private(set) var count = 0

  /// None.
  init() { unsafe regions = .allocate(capacity: VhostUserMessage.regionLimit) }

  /// Maps what a table says, each piece from its descriptor, which stays the caller's.
  init(_ table: [VhostUserRegion], _ descriptors: some Collection<Int32>) throws(VhostError) {
    self.init()
    guard table.count <= VhostUserMessage.regionLimit, table.count == descriptors.count else {
      throw .descriptors
    }
    for (index, region) in table.enumerated() {
      guard region.size > 0, !region.guestAddress.addingReportingOverflow(region.size).overflow,
        !region.userAddress.addingReportingOverflow(region.size).overflow,
        !table[..<index].contains(where: { Self.overlap($0, region) })
      else { throw .regions }
    }
    for (region, descriptor) in zip(table, descriptors) {
      var memory = unsafe sluice_shared_memory()
      switch unsafe sluice_shared_memory_map(descriptor, region.fileOffset, region.size, &memory) {
      case 0: break
      case -EBADF, -EFBIG: throw .notMemory
      case -EINVAL: throw .regions
      default: throw .notMapped
      }
      unsafe (regions + count).initialize(
        to: Region(guest: region.guestAddress, user: region.userAddress, size: region.size, memory: memory))
      count += 1
    }
  }

  deinit {
    for index in 0..<count { unsafe sluice_shared_memory_unmap(&regions[index].memory) }
    unsafe regions.deinitialize(count: count)
    unsafe regions.deallocate()
  }

  private static func overlap(_ one: VhostUserRegion, _ other: VhostUserRegion) -> Bool {
    func meet(_ first: UInt64, _ second: UInt64) -> Bool {
      first < second &+ other.size && second < first &+ one.size
    }
    return meet(one.guestAddress, other.guestAddress) || meet(one.userAddress, other.userAddress)
  }

  /// Whether the front-end made one of the files shorter.
  var isLost: Bool {
    for index in 0..<count {
      if unsafe sluice_shared_memory_is_lost(&regions[index].memory) != 0 { return true }
    }
    return false
  }

  /// Where the guest's `address` lies, and how many bytes from there on, at most `wanted`, at least one; nil: nowhere.
  @inline(__always) func find(_ address: UInt64, _ wanted: Int) -> (at: UnsafeMutableRawPointer, count: Int)?
  {
    for index in 0..<count {
      let region = unsafe regions + index
      let offset = unsafe address &- region.pointee.guest
      guard unsafe offset < region.pointee.size else { continue }
      let left = unsafe region.pointee.size - offset
      return unsafe (
        UnsafeMutableRawPointer(region.pointee.memory.bytes + Int(offset)), Int(min(left, UInt64(wanted)))
      )
    }
    return nil
  }

  /// Where `bytes` bytes lie that the front-end names by its own address, at a multiple of `alignment`; nil: not in one
  /// piece.
  func place(user address: UInt64, bytes: Int, alignment: UInt) -> UnsafeMutableRawPointer? {
    for index in 0..<count {
      let region = unsafe regions[index]
      let offset = address &- region.user
      guard offset < region.size, region.size - offset >= UInt64(bytes) else { continue }
      let at = unsafe UnsafeMutableRawPointer(region.memory.bytes + Int(offset))
      return unsafe UInt(bitPattern: at) & (alignment - 1) == 0 ? at : nil
    }
    return nil
  }
}

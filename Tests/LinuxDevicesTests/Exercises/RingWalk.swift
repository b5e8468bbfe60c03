import CLinux
import Glibc
import Wire

#if canImport(LinuxDevices)
  @testable import LinuxDevices
#endif

/// A ring in memory that is any bytes whatever, walked as the device does. The tests feed it bytes of chance; `Fuzz/run`
/// compiles this same file and lets libFuzzer choose.
enum RingWalk {
  private static let pages = 2, page = 4096, start: UInt64 = 0x1000

  /// Two pieces of memory that meet nowhere, whose borders are those of what is mapped.
  @safe private struct Ground: ~Copyable, @unchecked Sendable {  // one thread at a time: each has its own
    let memory: GuestMemory
    let bytes: UnsafeMutableRawPointer

    init() {
      let file = sluice_shared_memory_file(UInt64(pages * page))
      precondition(file >= 0, "a memory file")
      unsafe bytes = mmap(nil, pages * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)!
      let regions = [
        VhostUserRegion(guestAddress: start, size: UInt64(page), userAddress: start, fileOffset: 0),
        VhostUserRegion(
          guestAddress: 3 * start, size: UInt64(page), userAddress: 3 * start, fileOffset: UInt64(page)),
      ]
      do throws(VhostError) {
        memory = try GuestMemory(regions, [file, file])
      } catch {
        fatalError("\(error)")
      }
      close(file)
    }
    deinit { unsafe munmap(bytes, pages * page) }
  }

  /// What was found wrong, if something was, and how many chains were whole.
  static func run(_ input: [UInt8]) -> (wrong: String?, chains: Int) {
    guard input.count >= 8 else { return (nil, 0) }
    let ground = Ground()
    let size = 1 << Int(input[0] & 3)
    let isWritable = input[1] & 1 != 0
    unsafe memset(ground.bytes, 0, pages * page)
    // Descriptors and the available ring, which are the input's, lie where the used ring does not.
    for (index, byte) in input[8...].enumerated() where index < 512 {
      unsafe ground.bytes.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
    }
    let address = VhostUserRingAddress(
      ring: 0, descriptors: start, used: 3 * start, available: start + UInt64(size * 16))
    var ring: VirtioRing
    do throws(VhostError) {
      ring = try VirtioRing(
        address, size: size, base: UInt16(input[2] & 3), hasEventIndex: input[3] & 1 != 0,
        hasIndirect: input[3] & 2 != 0, in: ground.memory)
    } catch {
      return ("\(error)", 0)
    }
    var pieces = VirtioPieces()
    var (taken, chains) = (0, 0)
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { unsafe room.deallocate() }
    while case .chain(let head) = ring.take() {
      taken += 1
      if Int(head) >= size { return ("a chain from beyond the table", chains) }
      if taken > size { return ("more chains than there are places", chains) }
      pieces.reset()
      guard ring.follow(head, isWritable: isWritable, in: ground.memory, into: &pieces) else {
        ring.fail()
        break
      }
      chains += 1
      // What was found is there: it is read, and written in the used ring's page as well.
      let count = min(pieces.total, room.count)
      if isWritable {
        unsafe pieces.write(UnsafeRawBufferPointer(rebasing: room[..<count]))
      } else if let first = room.baseAddress {
        unsafe pieces.read(count, into: first)
      }
      ring.finish(head, bytes: count)
      _ = ring.publish()
    }
    _ = ring.askForKick()
    return (nil, chains)
  }
}

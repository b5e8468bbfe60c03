import Devices
import Foundation
import Sluice
import Testing

@Suite struct CaptureTests {
  /// The types of the blocks of a pcapng file, whose lengths lead exactly to its end.
  private func blockTypes(_ path: String) throws -> [UInt32] {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    func word(_ offset: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * $1) }
    }
    var types: [UInt32] = []
    var offset = 0
    while offset < bytes.count {
      types.append(word(offset))
      let length = Int(word(offset + 4))
      #expect(word(offset + length - 4) == UInt32(length))
      offset += length
    }
    #expect(offset == bytes.count)
    return types
  }

  @Test func everyFrameOfTheInterfaceIsInTheFile() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-\(UUID()).pcapng").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let capture = try PacketCapture(path: path)
    // One file, one interface: the left stack's.
    let isFirst = Box(true)
    let world = try World { configuration in
      if isFirst.value { configuration.interfaces[0].capture = capture }
      isFirst.set(false)
    }
    let (left, right, address) = (world.left, world.right, world.address("10.0.0.2", 7))
    try world.run {
      let (client, server) = try await connected(left, right, address)
      async let reading = server.readAll()
      try await client.write(pattern(100_000))
      client.shutdownSend()
      #expect(try await reading.count == 100_000)
      server.close()
    }
    world.end()
    let types = try blockTypes(path)
    let link = left.statistics().links[1]
    #expect(
      types.first == PcapNG.BlockType.sectionHeader && types.last == PcapNG.BlockType.interfaceStatistics)
    let frames = types.count { $0 == PcapNG.BlockType.enhancedPacket }
    #expect(frames > 70 && frames == Int(link.framesReceived + link.framesSent))
    #expect(capture.failure == nil && capture.byteCount > 100_000)
  }

  @Test func aFileThatCannotBeWrittenIsReported() async throws {
    #expect(throws: CaptureError.self) { try PacketCapture(path: "/no/such/folder/file") }
    // Nothing can be written there: the kernel says that it is full.
    let capture = try PacketCapture(path: "/dev/full")
    let isFirst = Box(true)
    let world = try World { configuration in
      if isFirst.value { configuration.interfaces[0].capture = capture }
      isFirst.set(false)
    }
    #expect(await capture.firstFailure()?.description.contains("Make room") == true)
    world.end()
  }
}

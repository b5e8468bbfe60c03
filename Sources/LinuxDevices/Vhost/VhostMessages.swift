import CLinux
import Glibc
import Wire

/// Reads the messages of one front-end, in whatever pieces they come, each with its descriptors. Under the device's lock.
struct VhostMessages: ~Copyable {
  private let socket: Int32
  private var bytes = [UInt8](repeating: 0, count: VhostUserHeader.byteCount + VhostUserHeader.payloadLimit)
  private var filled = 0
  private var header: VhostUserHeader?
  /// Those that came with the message under way. Who takes one puts -1 in its place.
  var descriptors = [Int32](repeating: -1, count: Self.descriptorLimit)
  private(set) var descriptorCount = 0

  /// Of one message: as many as a table of memory may have.
  private static var descriptorLimit: Int { VhostUserMessage.regionLimit }

  /// What there is to be read.
  enum Next {
    case message(VhostUserHeader, VhostUserMessage)
    case nothing
    case end
  }

  /// The socket stays the caller's.
  init(_ socket: Int32) { self.socket = socket }
  deinit {
    for descriptor in descriptors where descriptor >= 0 { close(descriptor) }
  }

  /// The next whole message.
  mutating func next() throws(VhostError) -> Next {
    while true {
      let wanted = VhostUserHeader.byteCount + (header?.size ?? 0)
      if filled < wanted {
        let got = receive(wanted - filled)
        if got == -Int(EAGAIN) { return .nothing }
        if got == -Int(E2BIG) { throw .descriptors }
        guard got > 0 else { return .end }
        filled += got
        guard filled == wanted else { continue }
      }
      do throws(WireError) {
        guard let header else {
          header = try unsafe VhostUserHeader.parse(bytes.span.bytes)
          continue
        }
        let message = try parse(header)
        (self.header, filled) = (nil, 0)
        return .message(header, message)
      } catch {
        throw .malformed
      }
    }
  }

  private func parse(_ header: VhostUserHeader) throws(WireError) -> VhostUserMessage {
    let first = VhostUserHeader.byteCount
    return try VhostUserMessage.parse(
      header, unsafe bytes.span.bytes.extracting(first..<first + header.size))
  }

  private mutating func receive(_ count: Int) -> Int {
    var found = Int32(descriptorCount)
    let start = filled
    let socket = socket
    let limit = Int32(Self.descriptorLimit)
    let got = unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe descriptors.withUnsafeMutableBufferPointer { descriptors in
        unsafe sluice_descriptors_receive(
          socket, bytes.baseAddress! + start, count, descriptors.baseAddress, limit, &found)
      }
    }
    descriptorCount = Int(found)
    return got
  }

  /// The one descriptor of the message, or -1 where it says that it has none; now the caller's. Throws `.descriptors` where
  /// another number came.
  mutating func takeDescriptor(_ isThere: Bool) throws(VhostError) -> Int32 {
    guard descriptorCount == (isThere ? 1 : 0) else { throw .descriptors }
    guard isThere else { return -1 }
    let taken = descriptors[0]
    descriptors[0] = -1
    return taken
  }

  /// The end of a message: what nobody took is closed.
  mutating func closeDescriptors() {
    for index in 0..<descriptorCount {
      if descriptors[index] >= 0 { close(descriptors[index]) }
      descriptors[index] = -1
    }
    descriptorCount = 0
  }

  /// Answers with words. Throws `.unread` where there is no room for that.
  func answer(_ request: UInt32, _ words: UInt64...) throws(VhostError) {
    let bytes = VhostUserHeader(request: request, isReply: true, size: words.count * 8).followed(by: words)
    guard unsafe sluice_tcp_send(socket, bytes, bytes.count) == bytes.count else { throw .unread }
  }
}

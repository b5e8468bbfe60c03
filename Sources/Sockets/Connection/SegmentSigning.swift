// Segments that are signed: RFC 2385. The secret is found out once, when a connection or a half-open one begins; from
// there on every segment has a digest, both ways, resets and those of TIME-WAIT included, or it is not taken.

import Buffers
import Exclusion
import TCP
import Wire

extension SegmentBuilder {
  /// Writes the header with the option, which stands first, and then its digest and the checksum.
  static func finishSigned(
    _ header: TCPHeader, _ source: IPAddress, _ destination: IPAddress, _ order: TCPOptionOrder,
    _ secret: TCPSecret, into packet: inout Packet
  ) {
    var header = header
    header.options.md5Digest = InlineBytes()
    packet.prepend(header.byteCount)
    var bytes = packet.mutableBytes
    header.emit(into: &bytes, order: order)
    var signature = TCPSignature(
      header: bytes.bytes, byteCount: bytes.byteCount, source: source, destination: destination)
    signature.add(bytes.bytes.extracting(header.byteCount..<bytes.byteCount))
    signature.digest(secret).emit(into: &bytes, at: TCPSignature.digestOffset)
    InternetChecksum.seal(
      &bytes, at: TCPHeader.checksumOffset, source: source, destination: destination, protocol: .tcp)
  }

  /// Whether a segment that arrived, with its header, has the signature that it must have, and none where none is
  /// expected. What is wrong with it is counted.
  static func isAuthentic(
    _ packet: borrowing Packet, _ digest: InlineBytes<16>?, _ secret: TCPSecret?, _ sockets: SocketContextRef
  ) -> Bool {
    guard let secret else {
      if digest == nil { return true }
      sockets.counters.signaturesUnexpected.increment()
      return false
    }
    guard let digest else {
      sockets.counters.signaturesMissing.increment()
      return false
    }
    guard let view = try? TCPView(packet.bytes) else { return false }
    let length = view.headerByteCount
    var signature = TCPSignature(
      header: packet.bytes, byteCount: packet.totalCount, source: packet.metadata.source,
      destination: packet.metadata.destination)
    packet.forEachSpan(from: length, count: packet.totalCount - length) { signature.add($0) }
    if TCPSignature.isEqual(signature.digest(secret), digest) { return true }
    sockets.counters.signaturesWrong.increment()
    return false
  }
}

extension ListenerRef {
  /// What segments of a peer's are signed with; nil: they are not.
  func secret(for remote: IPAddress) -> TCPSecret? {
    withOptions { options in
      options.value.signatures.isEmpty ? nil : options.value.signatures.secret(for: remote)
    }
  }
}

extension ConnectionRef {
  /// Owner: the flow is known, and with it whether its segments are signed.
  func settleSecret() {
    let remote = unsafe shared.pointee.key.remoteAddress
    unsafe owned.pointee.secret = owned.pointee.shape.signatures.secret(for: remote)
  }
}

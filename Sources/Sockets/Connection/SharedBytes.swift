import Buffers
import Exclusion

/// Bytes that are written again and again, on any number of connections of a stack, without being copied: what is sent
/// refers to them until it is acknowledged. They never change.
///
/// They take room of the stack's chunks, 4 KiB for 3968 bytes, until the last reference to this and the last segment of
/// them are gone. Let go of it before the stack's shutdown.
public final class SharedBytes: Sendable {
  let chain: ByteChain
  let layer: SocketLayer

  init(_ chain: consuming ByteChain, _ layer: SocketLayer) {
    self.chain = chain
    self.layer = layer
  }
  deinit { layer.memory.give(chain.occupied, .send) }

  /// How many.
  public var count: Int { chain.count }
}

extension SocketLayer {
  /// Copies `bytes`, not empty, once, to be written any number of times. Application context. Throws `.noBufferSpace` if
  /// there is no memory for them.
  public func share(_ bytes: UnsafeRawBufferPointer) throws(SocketError) -> SharedBytes {
    unsafe precondition(!bytes.isEmpty, "nothing to share")
    let count = bytes.count
    let shared: SharedBytes
    do throws(MemoryShortage) {
      let chain = try withApplication { held throws(MemoryShortage) in
        try unsafe buffers.makeChain(copying: bytes, &held)
      }
      shared = SharedBytes(chain, self)
    } catch {
      throw .noBufferSpace
    }
    guard shared.count == count else { throw .noBufferSpace }
    return shared
  }
}

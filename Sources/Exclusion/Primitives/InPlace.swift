internal import Synchronization

/// A field that says: the structure that has it is used where it lies. It holds nothing.
///
/// The compiler takes a structure whose fields are all plain for a value that fits into registers, however large it is.
/// Each call of a function that only reads it then begins with a copy of the whole: 20 of them, of 1.7 KiB each, for
/// every segment of a `TCPConnection`. A structure that contains an atomic has an address that counts, and is never
/// copied. For large structures that cannot be copied anyway, beside their smallest fields.
public struct InPlace: ~Copyable, Sendable {
  private let byte: Atomic<UInt8>

  /// Nothing.
  public init() { byte = Atomic(0) }
}

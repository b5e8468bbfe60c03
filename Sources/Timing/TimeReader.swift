import CLinux

/// A time source for who asks it often: the machine's clock and the virtual one are asked without counting a reference.
/// Whoever has the reader keeps the source alive.
@safe public struct TimeReader: @unchecked Sendable {  // constant
  private let isMachine: Bool
  private let virtual: Unmanaged<VirtualClock>?
  private unowned(unsafe) let source: any TimeSource

  /// Reads `source`.
  public init(_ source: any TimeSource) {
    isMachine = source is RealClock
    unsafe virtual = (source as? VirtualClock).map { unsafe Unmanaged.passUnretained($0) }
    unsafe self.source = source
  }

  /// The present moment.
  public func now() -> Instant {
    if let virtual = unsafe virtual { return unsafe virtual._withUnsafeGuaranteedRef { $0.now() } }
    if isMachine { return Instant(nanoseconds: sluice_monotonic_nanoseconds()) }
    return unsafe source.now()
  }
}

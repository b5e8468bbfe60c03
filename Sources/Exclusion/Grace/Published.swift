/// An immutable snapshot that one writer at a time replaces and everyone reads without reference counting:
/// interfaces, addresses, routes, bindings. Old snapshots are released after a grace period.
@safe public struct Published<Value: AnyObject & Sendable>: ~Copyable, @unchecked Sendable {
  private let retired: UnsafeMutablePointer<[(value: Unmanaged<Value>, epoch: UInt64)]>
  @usableFromInline let current: AtomicWord

  /// Begins with `value`.
  public init(_ value: Value) {
    unsafe retired = .allocate(capacity: 1)
    unsafe retired.initialize(to: [])
    unsafe current = AtomicWord(UInt64(UInt(bitPattern: Unmanaged.passRetained(value).toOpaque())))
  }
  deinit {
    unsafe retired.pointee.forEach { unsafe $0.value.release() }
    unsafe unmanaged.release()
    unsafe retired.deinitialize(count: 1)
    unsafe retired.deallocate()
  }

  @inlinable @inline(__always) var unmanaged: Unmanaged<Value> {
    unsafe Unmanaged.fromOpaque(
      UnsafeRawPointer(bitPattern: UInt(truncatingIfNeeded: current.load())).unsafelyUnwrapped)
  }

  /// Lends the snapshot of now. Any thread, inside a grace section that lasts at least as long as `body`.
  @inlinable @inline(__always)
  public func with<R>(_ body: (borrowing Value) -> R) -> R {
    unsafe unmanaged._withUnsafeGuaranteedRef { body($0) }
  }
  /// The snapshot of now, retained: for slow paths. Inside a grace section, or by the writer.
  public func snapshot() -> Value { unsafe unmanaged.takeUnretainedValue() }

  /// Replaces the snapshot. One writer at a time.
  public func publish(_ value: Value, _ domain: GraceDomain) {
    let old = unsafe unmanaged
    unsafe current.store(UInt64(UInt(bitPattern: Unmanaged.passRetained(value).toOpaque())))
    unsafe retired.pointee.append((old, domain.advance()))
    reclaim(domain)
  }
  /// Releases the snapshots that nobody reads any more. The writer; publishing does it too.
  public func reclaim(_ domain: GraceDomain) {
    unsafe retired.pointee.removeAll { entry in
      guard unsafe domain.hasPassed(entry.epoch) else { return false }
      unsafe entry.value.release()
      return true
    }
  }
  /// Snapshots that wait for a grace period. The writer.
  public var retiredCount: Int { unsafe retired.pointee.count }
}

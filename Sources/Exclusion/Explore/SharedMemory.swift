import CLinux

/// Memory that threads share, and what the explorer must know about it. Without the trait `Explore` each of these
/// is the plain thing, or nothing at all.
public enum SharedMemory {
  /// Memory for whatever holds shared words; not initialised. Freed by `deallocate` with the same `byteCount`.
  public static func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer {
    #if Explore
      if let explorer { return unsafe explorer.allocate(byteCount: byteCount, alignment: alignment) }
    #endif
    return UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: alignment)
  }
  /// Frees what `allocate` gave.
  public static func deallocate(_ raw: UnsafeMutableRawPointer, byteCount: Int) {
    #if Explore
      if let explorer { return unsafe explorer.deallocate(raw, byteCount: byteCount) }
    #endif
    unsafe raw.deallocate()
  }

  /// Zeroed pages for slots; nil when there is no memory.
  static func mapSlab(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    #if Explore
      if let explorer { return unsafe explorer.allocate(byteCount: byteCount, alignment: 4096) }
    #endif
    return unsafe sluice_map_slab(byteCount)
  }
  /// Gives their memory back, and keeps their addresses: they are zero when they are touched again.
  static func emptySlab(_ raw: UnsafeMutableRawPointer, _ byteCount: Int) {
    unsafe sluice_empty_slab(raw, byteCount)
  }
  /// Gives them back.
  static func unmapSlab(_ raw: UnsafeMutableRawPointer, _ byteCount: Int) {
    #if Explore
      if let explorer {
        unsafe explorer.slotAllocated(raw, byteCount: byteCount)  // the slots are free; the slab is not, yet
        return unsafe explorer.deallocate(raw, byteCount: byteCount)
      }
    #endif
    unsafe sluice_unmap_slab(raw, byteCount)
  }
}

// What follows marks the places where protocols touch memory that is not atomic, so that the explorer can tell a
// race, or a use after free, when it sees one.

/// The caller is about to read plain memory that others may hold at other times.
@inlinable @inline(__always) public func willRead(_ raw: UnsafeRawPointer) {
  #if Explore
    unsafe _willRead(raw)
  #endif
}
/// The caller is about to write plain memory that others may hold at other times.
@inlinable @inline(__always) public func willWrite(_ raw: UnsafeRawPointer) {
  #if Explore
    unsafe _willWrite(raw)
  #endif
}
/// The caller relies on memory that somebody else owns: it must not have been freed.
@inlinable @inline(__always) public func willLook(_ raw: UnsafeRawPointer) {
  #if Explore
    unsafe _willLook(raw)
  #endif
}
/// The owner of something that is entered in turn is about to change it: whoever had it before must have let go.
@inlinable @inline(__always) public func willOwn(_ raw: UnsafeRawPointer) { unsafe willWrite(raw) }

/// Traps in debug builds, and is a verdict of the explorer, if `condition` does not hold. Costs nothing otherwise.
@inlinable @inline(__always)
public func invariant(_ condition: @autoclosure () -> Bool, _ name: @autoclosure () -> String) {
  #if Explore
    if !condition() { _violated(name()) }
  #else
    assert(condition(), name())
  #endif
}

#if Explore
  @usableFromInline func _willRead(_ raw: UnsafeRawPointer) { unsafe explorer?.read(raw) }
  @usableFromInline func _willWrite(_ raw: UnsafeRawPointer) { unsafe explorer?.write(raw) }
  @usableFromInline func _willLook(_ raw: UnsafeRawPointer) { unsafe explorer?.look(raw) }
  @usableFromInline func _violated(_ name: String) {
    if let explorer { return explorer.violated(name) }
    preconditionFailure(name)
  }
#endif

/// How often a loop looks before it sleeps: `usual` times, or once where looking again teaches nothing.
@inlinable @inline(__always) public func spinLimit(_ usual: Int) -> Int {
  #if Explore
    return 1
  #else
    return usual
  #endif
}

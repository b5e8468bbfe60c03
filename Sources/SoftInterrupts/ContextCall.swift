public import Exclusion

/// A closure as a posted item. For control, not for packets: it allocates.
public enum ContextCall {
  private final class Box {
    let body: @Sendable (inout SoftInterrupt) -> Void
    init(_ body: @escaping @Sendable (inout SoftInterrupt) -> Void) { self.body = body }
  }
  private static var boxOffset: Int { 32 }
  private static var bytes: Int { 64 }

  /// An item of `kind` for whoever runs it to ``run(_:_:)``, or to ``discard(_:)``.
  public static func make(
    kind: WorkKind = Handlers.Kind.call, _ body: @escaping @Sendable (inout SoftInterrupt) -> Void
  ) -> ItemRef {
    let raw = unsafe SharedMemory.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: WorkItem.self, to: WorkItem(kind: kind))
    unsafe (raw + boxOffset).initializeMemory(as: Unmanaged<Box>.self, to: Unmanaged.passRetained(Box(body)))
    return unsafe ItemRef(raw)
  }
  private static func take(_ item: ItemRef) -> Box {
    let raw = unsafe item.raw
    let box = unsafe (raw + boxOffset).assumingMemoryBound(to: Unmanaged<Box>.self).pointee
    unsafe SharedMemory.deallocate(raw, byteCount: bytes)
    return unsafe box.takeRetainedValue()
  }
  /// Calls the closure, and frees the item.
  public static func run(_ item: ItemRef, _ cx: inout SoftInterrupt) { take(item).body(&cx) }
  /// Frees the item; the closure is not called.
  public static func discard(_ item: ItemRef) { _ = take(item) }
}

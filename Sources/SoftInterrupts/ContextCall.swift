public import Exclusion

/// A closure as a posted item. For control, not for packets: it allocates.
public enum ContextCall {
  private final class Box {
    let body: @Sendable (inout SoftInterrupt) -> Void
    let retiring: ItemRef?
    init(_ retiring: ItemRef?, _ body: @escaping @Sendable (inout SoftInterrupt) -> Void) {
      self.retiring = retiring
      self.body = body
    }
  }
  private static var boxOffset: Int { 32 }
  private static var bytes: Int { 64 }

  /// An item of `kind` for whoever runs it to ``run(_:_:)``, or to ``discard(_:)``.
  public static func make(
    kind: WorkKind = Handlers.Kind.call, _ body: @escaping @Sendable (inout SoftInterrupt) -> Void
  ) -> ItemRef { make(Box(nil, body), kind) }
  /// A call that retires `item`: who discards the call has to free it.
  static func retiring(_ item: ItemRef) -> ItemRef {
    make(Box(item) { cx in cx.retire(item) }, Handlers.Kind.call)
  }
  private static func make(_ box: Box, _ kind: WorkKind) -> ItemRef {
    let raw = unsafe SharedMemory.allocate(byteCount: bytes, alignment: 64)
    unsafe raw.initializeMemory(as: WorkItem.self, to: WorkItem(kind: kind))
    unsafe (raw + boxOffset).initializeMemory(as: Unmanaged<Box>.self, to: Unmanaged.passRetained(box))
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
  /// Frees the item; the closure is not called. Returns what it would have retired.
  @discardableResult public static func discard(_ item: ItemRef) -> ItemRef? { take(item).retiring }
}

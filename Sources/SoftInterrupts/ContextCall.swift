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
  /// Where the memory begins that the item lies in: asking the system for aligned memory costs as much as all the rest.
  private static var memoryOffset: Int { 40 }
  private static var bytes: Int { 64 }
  private static var memoryBytes: Int { bytes + SlotLayout.alignment - 16 }

  /// An item of `kind` for whoever runs it to ``run(_:_:)``, or to ``discard(_:)``.
  public static func make(
    kind: WorkKind = Handlers.Kind.call, _ body: @escaping @Sendable (inout SoftInterrupt) -> Void
  ) -> ItemRef { make(Box(nil, body), kind) }
  /// A call that retires `item`: who discards the call has to free it.
  static func retiring(_ item: ItemRef) -> ItemRef {
    make(Box(item) { cx in cx.retire(item) }, Handlers.Kind.call)
  }
  private static func make(_ box: Box, _ kind: WorkKind) -> ItemRef {
    let memory = unsafe SharedMemory.allocate(byteCount: memoryBytes, alignment: 16)
    let raw = unsafe memory.alignedUp(toMultipleOf: SlotLayout.alignment)
    unsafe raw.initializeMemory(as: WorkItem.self, to: WorkItem(kind: kind))
    unsafe raw.storeBytes(of: memory, toByteOffset: memoryOffset, as: UnsafeMutableRawPointer.self)
    unsafe (raw + boxOffset).initializeMemory(as: Unmanaged<Box>.self, to: Unmanaged.passRetained(box))
    return unsafe ItemRef(raw)
  }
  private static func take(_ item: ItemRef) -> Box {
    let raw = unsafe item.raw
    let box = unsafe (raw + boxOffset).assumingMemoryBound(to: Unmanaged<Box>.self).pointee
    let memory = unsafe raw.load(fromByteOffset: memoryOffset, as: UnsafeMutableRawPointer.self)
    unsafe SharedMemory.deallocate(memory, byteCount: memoryBytes)
    return unsafe box.takeRetainedValue()
  }
  /// Calls the closure, and frees the item.
  public static func run(_ item: ItemRef, _ cx: inout SoftInterrupt) { take(item).body(&cx) }
  /// Frees the item; the closure is not called. Returns what it would have retired.
  @discardableResult public static func discard(_ item: ItemRef) -> ItemRef? { take(item).retiring }
}

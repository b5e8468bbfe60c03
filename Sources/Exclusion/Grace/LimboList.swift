/// Retired slots that wait for a grace period. Private to one context or thread. One epoch is begun for all that
/// came since the last one passed, so a slot waits between one and two grace periods.
public struct LimboList: ~Copyable, Sendable {
  private var waiting = ItemList()
  private var epoch: UInt64 = 0
  private var arriving = ItemList()

  /// Empty.
  public init() {}

  /// Whether no slot waits.
  public var isEmpty: Bool { waiting.isEmpty && arriving.isEmpty }
  /// How many slots wait.
  public var count: Int { waiting.count + arriving.count }

  /// The epoch that the oldest slots wait for; nil when none has begun for them.
  public var oldestEpoch: UInt64? { waiting.isEmpty ? nil : epoch }

  /// Keeps `item`, which nobody can find any more. Only its link is touched while it waits.
  public mutating func add(_ item: ItemRef) { arriving.append(item) }

  /// Gives every slot to `free` at once. No reader is left.
  public mutating func removeAll(_ free: (ItemRef) -> Void) {
    while let item = waiting.popFirst() ?? arriving.popFirst() { free(item) }
  }

  /// Gives up to `limit` slots that nobody holds any more to `free`, oldest first, and returns how many. Once a
  /// pass, after quiescence was reported.
  @discardableResult
  public mutating func reclaim(_ domain: GraceDomain, limit: Int = .max, _ free: (ItemRef) -> Void) -> Int {
    var freed = 0
    while freed < limit {
      if waiting.isEmpty {
        guard !arriving.isEmpty else { break }
        swap(&waiting, &arriving)
        epoch = domain.advance()
      }
      guard domain.hasPassed(epoch) else { break }  // keeps PCB-GRACE
      while freed < limit, let item = waiting.popFirst() {
        free(item)
        freed += 1
      }
    }
    return freed
  }
}

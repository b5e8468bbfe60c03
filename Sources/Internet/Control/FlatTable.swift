/// Plain values, written once and then only read, by any number of threads and without a reference count.
///
/// A class cannot hand out an `Array` that it stores without counting; this it can (`borrowing` use).
@safe
struct FlatTable<Element: Sendable>: ~Copyable, @unchecked Sendable {  // never changes after init
  private let base: UnsafeMutablePointer<Element>
  let count: Int

  init(_ elements: [Element]) {
    count = elements.count
    unsafe base = .allocate(capacity: max(count, 1))
    for (index, element) in elements.enumerated() { unsafe (base + index).initialize(to: element) }
  }

  deinit {
    unsafe base.deinitialize(count: count)
    unsafe base.deallocate()
  }

  subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count)
    return unsafe base[index]
  }

  /// The first index in `range` whose element is not before what is sought. `range` is sorted.
  func partitionPoint(in range: Range<Int>, isBefore: (Element) -> Bool) -> Int {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = (low + high) / 2
      if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  var array: [Element] { (0..<count).map { self[$0] } }
}

import Exclusion
import Glibc

/// How many descriptors this process has open. The folder that tells stays open from the first time on: later there may be
/// no files any more (`Sandbox`).
enum OpenDescriptors {
  private static let folder = FolderHandle()

  /// Opens the folder.
  static func prepare() { _ = folder }

  /// Nil where /proc does not tell. Any thread.
  static func count() -> Int? { folder.count() }

  /// One reader at a time.
  @safe
  private final class FolderHandle: @unchecked Sendable {  // the word is the lock
    private let stream = unsafe opendir("/proc/self/fd")
    private let isBusy = AtomicWord(0)

    func count() -> Int? {
      guard let stream = unsafe stream else { return nil }
      var none: UInt64 = 0
      // Pages that are made at the same time do without.
      guard isBusy.compareExchange(&none, 1) else { return nil }
      defer { isBusy.store(0) }
      unsafe rewinddir(stream)
      var count = 0
      while let entry = unsafe readdir(stream) {
        if unsafe entry.pointee.d_name.0 != 46 { count += 1 }  // not . and ..
      }
      return count - 1  // the folder's own
    }
  }
}

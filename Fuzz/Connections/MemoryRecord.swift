import Glibc

/// What the address sanitizer knows to be allocated and not freed, in bytes.
@_extern(c, "__sanitizer_get_current_allocated_bytes")
func allocatedBytes() -> Int

/// The record of this process; libFuzzer calls its entry on one thread.
nonisolated(unsafe) var memoryRecord = MemoryRecord()

/// Writes, once a second, how much memory the process has: whatever one input leaves behind, though it be reachable and
/// no leak to the sanitizer, is there when the next one runs, and shows as growth.
///
/// The environment variable FUZZ_SAMPLES names the file. A line is seconds since the start, resident memory in KiB,
/// inputs that ran, and bytes that were allocated while an input ran and not freed when it was over, of all inputs
/// together (libFuzzer's own memory is not in them, but it is resident).
@safe
struct MemoryRecord {
  private let file: UnsafeMutablePointer<FILE>?
  private let start = MemoryRecord.seconds()
  private var last = -1
  private var executions = 0
  private var held = 0

  init() {
    unsafe file = getenv("FUZZ_SAMPLES").flatMap { unsafe fopen($0, "w") }
  }

  private static func seconds() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec
  }

  /// An input has run, and has left so many bytes more than it found.
  mutating func ran(holding bytes: Int) {
    executions += 1
    held += bytes
    let now = Self.seconds() - start
    guard now != last, let file = unsafe file else { return }
    last = now
    unsafe fputs("\(now) \(Self.resident()) \(executions) \(held)\n", file)
    unsafe fflush(file)
  }

  /// Resident memory of the process in KiB.
  private static func resident() -> Int {
    guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard unsafe fgets(&line, 128, file) != nil else { return 0 }
    let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      .split(separator: " ")
    return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024
  }
}

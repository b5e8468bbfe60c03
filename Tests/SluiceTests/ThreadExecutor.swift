import Exclusion
import Foundation

/// Runs tasks on a few threads of its own. The pool that all tests share has as many threads as there are
/// processors, and behind other tests a task may wait there for minutes.
final class ThreadExecutor: TaskExecutor, @unchecked Sendable {
  private let condition = NSCondition()
  /// Guarded by `condition`, as is the next.
  private var jobs: [UnownedJob] = []
  private var isOver = false
  private let threads = Box<[WorkerThread]>([])

  init(threads count: Int = 3) throws {
    for number in 0..<count {
      let thread = try WorkerThread(name: "tasks-\(number)") { [self] in
        while let job = next() { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
      }
      threads.update { $0.append(thread) }
    }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    condition.withLock {
      precondition(!isOver, "a task goes on, and its threads are gone")
      jobs.append(job)
      condition.signal()
    }
  }

  private func next() -> UnownedJob? {
    condition.withLock {
      while jobs.isEmpty, !isOver { condition.wait() }
      return jobs.isEmpty ? nil : jobs.removeFirst()
    }
  }

  /// Ends the threads. All tasks have ended, or need one last step.
  func end() {
    condition.withLock {
      isOver = true
      condition.broadcast()
    }
    for thread in threads.value { thread.join() }
  }
}

/// Runs tasks on the test's own thread, when the test says so: together with a stack that is stepped by hand a
/// whole conversation between tasks is deterministic, and one that is stuck shows at once.
final class StepExecutor: TaskExecutor {
  private let jobs = Box<[UnownedJob]>([])

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.update { $0.append(job) }
  }

  /// Runs the oldest job that is ready. Returns whether there was one.
  func stepOnce() -> Bool {
    guard let job = jobs.update({ $0.isEmpty ? nil : $0.removeFirst() }) else { return false }
    unsafe job.runSynchronously(on: asUnownedTaskExecutor())
    return true
  }

  /// Runs what is ready now, oldest first. Returns whether there was something.
  func step() -> Bool {
    let ready = jobs.update { jobs in
      defer { jobs = [] }
      return jobs
    }
    for job in ready { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    return !ready.isEmpty
  }
}

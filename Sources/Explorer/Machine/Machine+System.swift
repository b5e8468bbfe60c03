#if Explore
  import Exclusion
  import Glibc

  // What the kernel does for threads: futexes, descriptors, threads themselves.
  extension Machine {
    func futexWait(_ place: WordPlace, expected: UInt32, untilNanoseconds deadline: UInt64) -> Int32 {
      let address = unsafe UInt(bitPattern: place.raw)
      point(.futexWait, address)
      let me = running
      drain(me)
      let value = unsafe place.raw.load(as: UInt32.self)
      me.learn(UInt64(value))
      guard value == expected else { return EAGAIN }
      return sleep(.word(address), until: deadline == .max ? nil : deadline) ? 0 : ETIMEDOUT
    }

    func futexWake(_ place: WordPlace, count: Int) {
      let address = unsafe UInt(bitPattern: place.raw)
      point(.futexWake, address)
      drain(running)
      var left = count
      for thread in threads[..<live] where left > 0 && thread.sleep == .word(address) {
        wake(thread)
        left -= 1
        trace?.note(self, "wakes \(thread.name)")
      }
    }

    func makeDescriptor() -> Int32 {
      descriptors.append((false, VectorClock()))
      return Int32(descriptors.count - 1)
    }
    func kick(_ descriptor: Int32) {
      point(.kick, UInt(descriptor))
      drain(running)
      descriptors[Int(descriptor)].isReadable = true
      descriptors[Int(descriptor)].clock.join(running.clock)
      trace?.note(self, "kicks descriptor \(descriptor)")
      for thread in threads[..<live] where thread.sleep == .descriptors { wake(thread) }
    }
    func absorb(_ descriptor: Int32) {
      point(.absorb, UInt(descriptor))
      drain(running)
      descriptors[Int(descriptor)].isReadable = false
    }

    /// Sleeps until one of `wanted` is readable, or the deadline; nil: for ever. Those that are readable.
    func poll(_ wanted: [Int32], until deadline: UInt64?) -> [Int32] {
      point(.poll, 0)
      drain(running)
      while true {
        let found = wanted.filter { descriptors[Int($0)].isReadable }
        for descriptor in found { running.clock.join(descriptors[Int(descriptor)].clock) }
        running.learn(UInt64(found.count))
        if !found.isEmpty { return found }
        if let deadline, deadline <= now { return [] }
        if !sleep(.descriptors, until: deadline) { return [] }
      }
    }

    func start(_ name: String, _ body: @escaping () -> Void) -> UInt64 {
      let thread: VirtualThread = start(name, body)
      return UInt64(thread.number)
    }
    func join(_ thread: UInt64) {
      point(.join, UInt(thread))
      drain(running)
      let other = threads[Int(thread)]
      if other.isFinished {
        running.clock.join(other.clock)
      } else {
        _ = sleep(.thread(other.number), until: nil)
      }
    }
    func yield() { giveWay() }
    var threadNumber: UInt64 { UInt64(max(current, 0)) }
  }
#endif

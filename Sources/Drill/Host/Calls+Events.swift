// poll and epoll.

import Timing

extension DrillHost {
  /// When a timeout in milliseconds is over; nil: never.
  private func end(ofMilliseconds timeout: Int32) -> Instant? {
    timeout < 0 ? nil : now.adding(milliseconds: timeout)
  }

  func poll(_ requests: [PollRequest], _ timeout: Int32) -> Step {
    func look() -> CallResult {
      var result = CallResult(0)
      for request in requests {
        var events: UInt32 = 0
        if request.descriptor >= 0 {
          let wanted = UInt32(UInt16(bitPattern: request.events)) | PollBits.always
          switch descriptors[request.descriptor] {
          case nil: events = PollBits.invalid
          case .file: events = (0x145) & wanted
          case .some(let file): events = (file.pollable?.mask() ?? 0) & wanted
          }
        }
        if events != 0 { result.value += 1 }
        result.pollEvents.append(Int16(truncatingIfNeeded: events))
      }
      return result
    }
    let first = look()
    if first.value > 0 || timeout == 0 { return .done(first) }
    return .wait(
      WaitingCall(until: end(ofMilliseconds: timeout), expired: look) {
        let result = look()
        return result.value > 0 ? result : nil
      })
  }

  func epollCreate(_ size: Int32) -> Step {
    size > 0 ? opened(.epoll(EpollInstance())) : .fail(.EINVAL)
  }

  func epollControl(_ descriptor: Int32, _ operation: Int32, _ subject: Int32, _ event: EpollEvent?) -> Step {
    guard let file = descriptors[descriptor], let other = descriptors[subject] else { return .fail(.EBADF) }
    if operation != 2, event == nil { return .fail(.EFAULT) }
    guard let watched = other.pollable else { return .fail(.EPERM) }
    guard case .epoll(let instance) = file, descriptor != subject else { return .fail(.EINVAL) }
    let item = instance.find(subject)
    switch operation {
    case 1:
      guard let event else { return .fail(.EFAULT) }
      return instance.add(subject, watched, event) == nil ? .fail(.EEXIST) : .success()
    case 2:
      guard let item else { return .fail(.ENOENT) }
      instance.remove(item)
      return .success()
    case 3:
      guard let item, let event else { return .fail(.ENOENT) }
      instance.modify(item, event)
      return .success()
    default: return .fail(.EINVAL)
    }
  }

  func epollWait(_ descriptor: Int32, _ limit: Int32, _ timeout: Int32) -> Step {
    guard let file = descriptors[descriptor] else { return .fail(.EBADF) }
    guard case .epoll(let instance) = file, limit > 0 else { return .fail(.EINVAL) }
    func look() -> CallResult {
      let events = instance.harvest(Int(limit))
      var result = CallResult(Int64(events.count))
      result.epollEvents = events
      return result
    }
    let first = look()
    if first.value > 0 || timeout == 0 { return .done(first) }
    return .wait(
      WaitingCall(until: end(ofMilliseconds: timeout), expired: { CallResult(0) }) {
        let result = look()
        return result.value > 0 ? result : nil
      })
  }
}

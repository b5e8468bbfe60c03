import CLinux
import Exclusion
import Glibc
import Sockets
import TCP

// How connections are taken from the host's sockets, and opened to the guest.

extension ForwardLoop {
  /// Whether connections may be taken again. Those beyond the limit are: to be reset, so that their peers learn of it.
  var mayAccept: Bool { opening.count < Self.openingLimit / 2 }

  func accept(_ listener: HostSocket) {
    for _ in 0..<Self.acceptBatch {
      guard isAccepting else { return }
      let descriptor = sluice_tcp_accept(listener.descriptor)
      switch descriptor {
      case 0...: take(descriptor, listener)
      case -EMFILE, -ENFILE:
        // The descriptor that was kept for this is given for a moment, so that its peer learns of it.
        guard unsafe sluice_tcp_refuse(listener.descriptor, &spare) == 0 else { return }
        counters.accepted.increment()
        counters.refusedAtLimit.increment()
      case -ENOBUFS, -ENOMEM: return  // the kernel's for now: it is told again
      case -EAGAIN: return
      default: continue  // a connection that was gone before it was taken (accept(2))
      }
      if opening.count >= Self.openingLimit { return pause() }
    }
  }

  private func pause() {
    counters.pauses.increment()
    setAccepting(false)
  }

  private func take(_ descriptor: Int32, _ listener: HostSocket) {
    counters.accepted.increment()
    guard open - openOutbound < limit else {
      counters.refusedAtLimit.increment()
      return sluice_tcp_reset(descriptor)
    }
    guard let (slot, token) = watch(descriptor) else {
      counters.refusedAtLimit.increment()
      return sluice_tcp_reset(descriptor)
    }
    var options = layer.options(limits: Forwarder.buffers)
    options.tcp.noDelay = true
    let answer = layer.makeStream(options: options)
    let connection = CarriedConnection(
      token: token, descriptor: descriptor, target: listener.target, answer)
    if options.tcp.fastOpen.contains(.client), sluice_tcp_opened_fast(descriptor) == 1 {
      unsafe connection.readAhead(scratch)
    }
    carried[slot] = connection
    countOpen(1, connection)
    opening.append(slot)
    let published = answer.point.waiter.publish(need: 1, bell.answerTarget())
    connection.phase = .opening(answer, published)
    // Looked at again after the publication (SB-ATOMIC). A wake-up that is under way comes, and is taken.
    if answer.isReady, answer.point.waiter.retract(published) {
      bell.forgetTarget()
      connection.phase = .opening(answer, nil)
      takeAnswers()
    }
  }

  /// A slot for a connection whose host's socket this is, which is watched from now on, and a token that no other had;
  /// nil: the system has no room.
  func watch(_ descriptor: Int32) -> (slot: Int, token: UInt64)? {
    let slot = freeSlots.popLast() ?? carried.count
    if slot == carried.count { carried.append(nil) }
    guard sluice_epoll_add_edges(epoll, descriptor, Self.firstSlotToken + UInt32(slot)) == 0 else {
      freeSlots.append(slot)
      return nil
    }
    generation += 1
    return (slot, generation << 32 | UInt64(slot))
  }

  /// Goes on with every socket that a context has made.
  func takeAnswers() {
    let waiting = opening
    opening.removeAll(keepingCapacity: true)
    for slot in waiting {
      guard let connection = carried[slot] else { continue }
      switch connection.phase {
      case .opening(let answer, let ticket):
        guard answer.isReady else {
          opening.append(slot)
          continue
        }
        forget(ticket, at: answer.point)
        if case .success(let socket)? = answer.take() {
          connect(slot, connection, socket)
        } else {
          remove(slot, .guestFailed)
        }
      case .admitting(let answer, let ticket):
        guard answer.isReady else {
          opening.append(slot)
          continue
        }
        forget(ticket, at: answer.point)
        if case .success(let stream)? = answer.take() {
          follow(slot, connection, stream)
        } else {
          remove(slot, .guestFailed)
        }
      case .dialing, .connecting, .open: break
      }
    }
  }

  /// The answer is there: its wake-up is not needed, or has come.
  private func forget(_ ticket: Waiter.Ticket?, at point: WaitPoint) {
    guard let ticket else { return }
    if point.waiter.retract(ticket) {
      bell.forgetTarget()
    } else {
      point.waiter.finish(ticket)
      point.account.counters.delivered.increment()
    }
  }

  private func connect(_ slot: Int, _ connection: CarriedConnection, _ socket: UnconnectedStream) {
    do throws(SocketError) {
      let stream = try connection.begin(socket, counters)
      follow(slot, connection, stream)
    } catch {
      remove(slot, .guestFailed)
    }
  }

  /// Our side is there, and connects.
  private func follow(_ slot: Int, _ connection: CarriedConnection, _ stream: StreamSocket) {
    connection.phase = .connecting(stream)
    stream.setKeepAlive(true)
    do throws(SocketError) {
      try queue.add(.stream(stream), for: .all, trigger: .edge, token: connection.token)
      enqueue(slot)
    } catch {
      remove(slot, .guestFailed)
    }
  }
}

extension CarriedConnection {
  /// Takes what the SYN brought, so that it may go on with ours.
  func readAhead(_ scratch: UnsafeMutableRawBufferPointer) {
    let count = unsafe sluice_tcp_receive(descriptor, scratch.baseAddress, min(scratch.count, 1460))
    guard count > 0 else { return }
    unsafe toGuest.hold(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
  }

  /// Connects, and brings what was read ahead if the guest takes it.
  func begin(
    _ socket: UnconnectedStream, _ counters: ForwardCounters
  ) throws(SocketError) -> StreamSocket {
    guard !toGuest.isEmpty else { return try socket.connect(to: target).get() }
    switch unsafe toGuest.withBytes({ unsafe socket.connect(to: target, sending: $0) }) {
    case .success(let began):
      if began.bytes > 0 {
        counters.fastOpens.increment()
        counters.bytesToGuest.increment(by: UInt64(began.bytes))
        toGuest.drop(began.bytes)
      }
      return began.socket
    // Without memory for the text, or without a cookie that could be asked for: it goes later.
    case .failure(.noBufferSpace), .failure(.operationNotSupported):
      return try socket.connect(to: target).get()
    case .failure(let error): throw error
    }
  }
}

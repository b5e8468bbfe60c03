#if Explore
  import Exclusion
  import Sockets
  import TCP
  import Timing
  import Wire

  /// What a cookie, a key or an outcome says is one number throughout: what is not was put together from two.
  private enum Whole {
    static let address = IPAddress(IPv4Address(192, 0, 2, 1))

    static func outcome(_ number: UInt8) -> TCPFastOpenOutcome {
      var cookie = InlineBytes<16>()
      for _ in 0..<16 { cookie.append(number) }
      return TCPFastOpenOutcome(
        cookie: cookie, form: .standard, segment: UInt16(number), dataTaken: true, synLost: false,
        wasIgnored: false)
    }
    static func isWhole(_ entry: FastOpenCache.Entry) -> Bool {
      entry.cookie.count == 16
        && (0..<16).allSatisfy { UInt16(entry.cookie[$0]) == entry.segment }
    }
    static func keys(_ number: UInt64) -> TCPFastOpenCookies {
      TCPFastOpenCookies(
        current: .init(low: number, high: number), previous: .init(low: number, high: number))
    }
    static func isWhole(_ keys: TCPFastOpenCookies) -> Bool {
      [keys.current.high, keys.previous?.low, keys.previous?.high].allSatisfy { $0 == keys.current.low }
    }
  }

  extension Catalogue {
    /// What connecting sockets and listeners know of Fast Open, read by some while others write it.
    static let fastOpens: [Scenario] = [
      Scenario(
        id: "L5/cookie", title: "two contexts note what a server gave while two threads look for its cookie",
        mutations: ["cookieNotLookedAtAgain", "cookieWrittenUnclaimed"]
      ) { run in
        let cache = FastOpenCache(key: HashKey(seed: 1))
        cache.note(Whole.address, Whole.outcome(1), now: .zero)
        let reader = {
          for _ in 0..<2 {
            guard let entry = cache.find(Whole.address) else { continue }
            run.require(Whole.isWhole(entry), "L5: a cookie of two: \(entry)")
          }
        }
        run.concurrently([
          ("writer", { cache.note(Whole.address, Whole.outcome(2), now: .zero) }),
          ("other writer", { cache.note(Whole.address, Whole.outcome(3), now: .zero) }),
          ("reader", reader), ("other reader", reader),
        ])
        // Who gave way has left its news out; what is there is one of the two.
        let last = cache.find(Whole.address)
        run.require(
          last.map { Whole.isWhole($0) && $0.segment > 1 } ?? false, "L5: \(String(describing: last))")
      },
      Scenario(
        id: "L5/keys", title: "a program changes the keys of Fast Open twice while two contexts read them",
        mutations: ["keysNumberedFirst"]
      ) { run in
        let keys = FastOpenKeys(Whole.keys(1))
        let reader = {
          var newest: UInt64 = 0
          for _ in 0..<2 {
            let seen = keys.cookies
            run.require(Whole.isWhole(seen), "L5: keys of two settings: \(seen)")
            run.require(seen.current.low >= newest, "L5: keys from before")
            newest = seen.current.low
          }
        }
        run.concurrently([
          ("program", { for number: UInt64 in 2...3 { keys.set(Whole.keys(number)) } }),
          ("reader", reader), ("other reader", reader),
        ])
        run.require(keys.cookies == Whole.keys(3), "L5: the last keys are not those set last")
      },
    ]
  }
#endif

//! Work in turns, for a time or of a fixed size, and text that is known; as `pair.h` has it.
use std::time::Instant;

pub const PERIOD: usize = 251;
pub const PIECE: usize = 1 << 16;

pub fn text() -> Vec<u8> {
    (0..PIECE + PERIOD).map(|i| (i % PERIOD * 7 + 1) as u8).collect()
}

/// All of it, or the first and last eight bytes.
pub fn expect(is: &[u8], should: &[u8], is_whole: bool) {
    let (count, edge) = (is.len(), is.len().min(8));
    let is_right = if is_whole {
        is == &should[..count]
    } else {
        is[..edge] == should[..edge] && is[count - edge..] == should[count - edge..count]
    };
    assert!(is_right, "bytes arrived that were not sent");
}

#[derive(Clone, Copy)]
pub struct Amount {
    pub is_count: bool,
    pub number: f64,
}

pub trait Passing {
    /// Tells the stacks the time: the real one, or a microsecond a turn where the work is of a fixed size.
    fn pass(&mut self, microseconds: i64);
}

extern "C" {
    /// Of the C library, which Rust's own is linked with.
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}

/// Seconds of this thread's processor time.
fn processor() -> f64 {
    const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
    let mut time = [0; 2];
    assert_eq!(unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time[0] as f64 + time[1] as f64 / 1e9
}

pub fn resident() -> usize {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap();
    told.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// What time it is for the stacks.
#[derive(Default)]
pub struct Clock {
    is_virtual: bool,
    microseconds: i64,
}

impl Clock {
    /// The work of `turn`, at most so much a call, after `warm` of it; the time is told once in `turns`.
    pub fn measured<P: Passing>(
        &mut self,
        pair: &mut P,
        warm: usize,
        amount: Option<Amount>,
        turns: i64,
        mut turn: impl FnMut(&mut P, usize) -> usize,
    ) -> String {
        if let Some(amount) = amount {
            self.is_virtual = amount.is_count;
        }
        let mut run = |limit: usize, seconds: f64| {
            let (wall, used, mut units, mut idle) = (Instant::now(), processor(), 0, 0);
            let mut last = wall;
            while if seconds > 0.0 { (last - wall).as_secs_f64() < seconds } else { units < limit } {
                let before = units;
                for _ in 0..turns {
                    if seconds > 0.0 || units < limit {
                        units += turn(pair, if seconds > 0.0 { usize::MAX } else { limit - units });
                    }
                }
                let now = if self.is_virtual { last } else { Instant::now() };
                self.microseconds += if self.is_virtual { turns } else { (now - last).as_micros() as i64 };
                last = now;
                pair.pass(self.microseconds);
                idle = if units == before { idle + 1 } else { 0 };
                assert!(idle < 10_000_000, "the stacks stand still");
            }
            (units, wall.elapsed().as_secs_f64(), processor() - used)
        };
        let mut result = run(warm, 0.0);
        if let Some(amount) = amount {
            result = if amount.is_count { run(amount.number as usize, 0.0) } else { run(0, amount.number) };
        }
        format!("{{\"units\": {}, \"wall\": {:.9}, \"processor\": {:.9}}}", result.0, result.1, result.2)
    }
}

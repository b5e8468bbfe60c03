// Two smoltcps joined by a link in memory, both stepped by one thread, which is the program at either end as well.
//
//   smoltcp-pair bulk|exchange|connect|remember|idle seconds|count NUMBER [BYTES]
mod link;
mod work;
use link::{Channel, Port};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::collections::VecDeque;
use work::{expect, resident, text, Amount, Clock, Passing, PERIOD, PIECE};

/// Connections in TIME-WAIT, where they are remembered, and smoltcp's TIME-WAIT in microseconds.
const REMEMBERED: usize = 3000;
const TIME_WAIT: i64 = 10_000_000;

struct End {
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
}

struct Pair {
    near: End,
    far: End,
    there: Channel,
    back: Channel,
    now: Instant,
    /// A connection takes so much virtual time, whatever the clock says.
    passes_by_itself: bool,
    buffer: usize,
    port: u16,
}

fn socket(buffer: usize) -> Socket<'static> {
    let mut made = Socket::new(SocketBuffer::new(vec![0; buffer]), SocketBuffer::new(vec![0; buffer]));
    made.set_nagle_enabled(false);
    made
}

fn end(last: u8, buffer: usize) -> End {
    let (mut one, mut two) = (Channel::default(), Channel::default());
    let mut port = Port { arriving: &mut one, leaving: &mut two };
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut port, Instant::ZERO);
    interface.update_ip_addrs(|all| all.push(IpCidr::new(IpAddress::v4(10, 8, 0, last), 24)).unwrap());
    let mut sockets = SocketSet::new(vec![]);
    let socket = sockets.add(socket(buffer));
    End { interface, sockets, socket }
}

impl End {
    fn tcp(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.socket)
    }
    fn put(&mut self, byte: u8) {
        assert_eq!(self.tcp().send_slice(&[byte]), Ok(1), "a byte was not taken");
    }
    fn get(&mut self, byte: u8) {
        let mut is = [0];
        assert_eq!(self.tcp().recv_slice(&mut is), Ok(1), "a byte was not there");
        assert_eq!(is[0], byte);
    }
}

impl Pair {
    fn new(buffer: usize) -> Pair {
        let (near, far) = (end(2, buffer), end(1, buffer));
        let (there, back) = (Channel::default(), Channel::default());
        Pair {
            near,
            far,
            there,
            back,
            now: Instant::from_micros(1),
            passes_by_itself: false,
            buffer,
            port: 49151,
        }
    }

    fn poll_near(&mut self) {
        let mut port = Port { arriving: &mut self.back, leaving: &mut self.there };
        self.near.interface.poll(self.now, &mut port, &mut self.near.sockets);
    }
    fn poll_far(&mut self) {
        let mut port = Port { arriving: &mut self.there, leaving: &mut self.back };
        self.far.interface.poll(self.now, &mut port, &mut self.far.sockets);
    }
    /// Until neither end has anything to do, beginning with who has.
    fn settle(&mut self, is_near_first: bool) {
        if !is_near_first {
            self.poll_far();
        }
        loop {
            self.poll_near();
            if self.there.is_empty() {
                break;
            }
            self.poll_far();
            if self.back.is_empty() {
                break;
            }
        }
    }

    fn connect(&mut self) {
        self.far.tcp().listen(7).unwrap();
        self.port = self.port.checked_add(1).unwrap_or(49152);
        let socket = self.near.sockets.get_mut::<Socket>(self.near.socket);
        socket.connect(self.near.interface.context(), (IpAddress::v4(10, 8, 0, 1), 7), self.port).unwrap();
        self.settle(true);
        assert!(self.near.tcp().may_send() && self.far.tcp().may_send(), "a connection was not there");
    }
}

impl Passing for Pair {
    fn pass(&mut self, microseconds: i64) {
        if !self.passes_by_itself {
            self.now = Instant::from_micros(microseconds);
        }
    }
}

/// Bytes, at most `limit`: what the buffers hold, and what it becomes.
struct Transfer {
    text: Vec<u8>,
    written: usize,
    read: usize,
    compares_all: bool,
}

impl Transfer {
    fn turn(&mut self, pair: &mut Pair, limit: usize) -> usize {
        let (before, end) = (self.read, self.read.saturating_add(limit));
        while self.written < end && pair.near.tcp().can_send() {
            let at = self.written % PERIOD;
            let piece = PIECE.min(end - self.written);
            self.written += pair.near.tcp().send_slice(&self.text[at..at + piece]).unwrap();
        }
        pair.settle(true);
        let (text, compares_all) = (&self.text, self.compares_all);
        while pair.far.tcp().can_recv() {
            let at = self.read;
            self.read += pair
                .far
                .tcp()
                .recv(|bytes| {
                    let count = bytes.len().min(PIECE);
                    expect(&bytes[..count], &text[at % PERIOD..], compares_all);
                    (count, count)
                })
                .unwrap();
        }
        // What was read opens the window.
        pair.settle(false);
        self.read - before
    }
}

fn bulk(pair: &mut Pair, mut amount: Amount) -> String {
    pair.connect();
    let mut clock = Clock::default();
    let mut transfer = Transfer { text: text(), written: 0, read: 0, compares_all: true };
    clock.measured(pair, 4 << 20, None, 1, |pair, limit| transfer.turn(pair, limit));
    transfer.compares_all = false;
    if amount.is_count {
        amount.number *= 1460.0;
    }
    let result = clock.measured(pair, 0, Some(amount), 1, |pair, limit| transfer.turn(pair, limit));
    transfer.compares_all = true;
    clock.measured(pair, 1 << 20, None, 1, |pair, limit| transfer.turn(pair, limit));
    result
}

fn exchange(pair: &mut Pair, amount: Amount) -> String {
    pair.connect();
    let mut next = 0u8;
    Clock::default().measured(pair, 1000, Some(amount), 16, |pair, _| {
        next = next.wrapping_add(1);
        pair.near.put(next);
        pair.settle(true);
        pair.far.get(next);
        pair.far.put(!next);
        pair.settle(false);
        pair.near.get(!next);
        1
    })
}

/// The end that closes first is in TIME-WAIT then: smoltcp lets its socket connect anew, or it stays, and another is made.
fn connect(pair: &mut Pair, amount: Amount, remembers: bool) -> String {
    let (mut next, mut microseconds) = (0u8, 0);
    pair.passes_by_itself = true;
    let mut remembered = VecDeque::new();
    let warm = if remembers { REMEMBERED + 200 } else { 1000 };
    let step = if remembers { TIME_WAIT / REMEMBERED as i64 } else { 20_000 };
    Clock::default().measured(pair, warm, Some(amount), 1, |pair, _| {
        next = next.wrapping_add(1);
        pair.connect();
        pair.near.put(next);
        pair.settle(true);
        pair.far.get(next);
        pair.near.tcp().close();
        pair.settle(true);
        assert_eq!(pair.far.tcp().state(), State::CloseWait, "the end was not there");
        pair.far.tcp().close();
        pair.settle(false);
        assert_eq!(pair.near.tcp().state(), State::TimeWait);
        if remembers {
            remembered.push_back(pair.near.socket);
            pair.near.socket = pair.near.sockets.add(socket(pair.buffer));
            while pair.near.sockets.get::<Socket>(remembered[0]).state() == State::Closed {
                pair.near.sockets.remove(remembered.pop_front().unwrap());
            }
        }
        microseconds += step;
        pair.now = Instant::from_micros(microseconds);
        1
    })
}

/// Resident bytes of one end, buffers and all.
fn idle(pair: &mut Pair, count: usize) -> String {
    let before = resident();
    for _ in 0..count {
        pair.connect();
        pair.near.socket = pair.near.sockets.add(socket(pair.buffer));
        pair.far.socket = pair.far.sockets.add(socket(pair.buffer));
    }
    let each = (resident() - before) as f64 / 2.0 / count as f64;
    format!("{{\"bytes\": {each:.1}, \"control\": {}}}", std::mem::size_of::<Socket>())
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let amount = Amount { is_count: words[2] == "count", number: words[3].parse().unwrap() };
    let buffer = words.get(4).map_or(256 << 10, |word| word.parse().unwrap());
    let mut pair = Pair::new(buffer);
    println!(
        "{}",
        match words[1].as_str() {
            "bulk" => bulk(&mut pair, amount),
            "exchange" => exchange(&mut pair, amount),
            "idle" => idle(&mut pair, amount.number as usize),
            mode => connect(&mut pair, amount, mode == "remember"),
        }
    );
}

//! A link in memory: frames are handed over as they are, and their memory is used again.
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use std::collections::VecDeque;

const MTU: usize = 1500;
type Frame = (Box<[u8; MTU]>, usize);

/// One way.
#[derive(Default)]
pub struct Channel {
    frames: VecDeque<Frame>,
    spare: Vec<Box<[u8; MTU]>>,
}

impl Channel {
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// An end of the link, while its stack is polled.
pub struct Port<'a> {
    pub arriving: &'a mut Channel,
    pub leaving: &'a mut Channel,
}

pub struct Received<'a>(Frame, &'a mut Vec<Box<[u8; MTU]>>);
pub struct Room<'a>(&'a mut Channel);

impl Device for Port<'_> {
    type RxToken<'b>
        = Received<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Room<'b>
    where
        Self: 'b;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut told = DeviceCapabilities::default();
        told.medium = Medium::Ip;
        told.max_transmission_unit = MTU;
        told
    }
    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Room<'_>)> {
        let frame = self.arriving.frames.pop_front()?;
        Some((Received(frame, &mut self.arriving.spare), Room(self.leaving)))
    }
    fn transmit(&mut self, _now: Instant) -> Option<Room<'_>> {
        Some(Room(self.leaving))
    }
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, look: F) -> R {
        let (bytes, count) = self.0;
        let result = look(&bytes[..count]);
        self.1.push(bytes);
        result
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, count: usize, fill: F) -> R {
        let mut bytes = self.0.spare.pop().unwrap_or_else(|| Box::new([0; MTU]));
        let result = fill(&mut bytes[..count]);
        self.0.frames.push_back((bytes, count));
        result
    }
}

//! Where one frame of a WebSocket ends and the next begins (RFC 6455 §5.2). Looks at headers alone.

/// Follows the frames of one direction.
#[derive(Debug)]
pub(super) struct Frames {
    header: [u8; 14],
    // Bytes of the header that were seen; none between frames.
    seen: usize,
    // Bytes of the payload that are still to come.
    payload: u64,
    closed: bool,
}

impl Frames {
    pub(super) const fn new() -> Self {
        Self { header: [0; 14], seen: 0, payload: 0, closed: false }
    }

    /// Follows these bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let now = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= now as u64;
                bytes = bytes.get(now..).unwrap_or_default();
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else { return };
            if let Some(place) = self.header.get_mut(self.seen) {
                *place = *byte;
            }
            self.seen += 1;
            bytes = rest;
            if self.seen >= 2 && self.seen == self.header_length() {
                self.payload = self.payload_length();
                self.closed |= opcode(&self.header) == CLOSE;
                self.seen = 0;
            }
        }
    }

    /// Returns whether a frame may begin here.
    pub(super) const fn is_between(&self) -> bool {
        self.seen == 0 && self.payload == 0
    }

    /// Returns how many bytes belong to the frame under way, as far as is known.
    pub(super) fn needed(&self) -> usize {
        match self.payload {
            0 if self.seen < 2 => 2 - self.seen,
            0 => self.header_length() - self.seen,
            payload => usize::try_from(payload).unwrap_or(usize::MAX),
        }
    }

    /// Returns whether this side has said that it closes.
    pub(super) const fn has_closed(&self) -> bool {
        self.closed
    }

    const fn header_length(&self) -> usize {
        let [_, second, ..] = self.header;
        let length = match second & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        if second & 0x80 == 0 { length } else { length + 4 }
    }

    const fn payload_length(&self) -> u64 {
        let [_, length, a, b, c, d, e, f, g, h, ..] = self.header;
        match length & 0x7f {
            126 => u16::from_be_bytes([a, b]) as u64,
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            short => short as u64,
        }
    }
}

const fn opcode([first, ..]: &[u8; 14]) -> u8 {
    *first & 0x0f
}

/// Returns a close frame (RFC 6455 §5.5.1). A client masks its frames; with a key of zeros they stay as they are.
pub(super) fn close_frame(code: u16, to: Peer) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    match to {
        Peer::Client => vec![0x80 | CLOSE, 2, high, low],
        Peer::Upstream => vec![0x80 | CLOSE, 0x80 | 2, 0, 0, 0, 0, high, low],
    }
}

/// Who reads a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Client,
    Upstream,
}

const CLOSE: u8 = 8;

#[cfg(test)]
mod tests;

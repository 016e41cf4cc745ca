//! Finds the end of a chunked body (RFC 9112 §7.1).
//!
//! The grammar is that of hyper's decoder, to the byte: where hyper saw another end, a body would be taken for a head.

/// Where a chunked body stands.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    left: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the first digit of a size.
    #[default]
    Start,
    Size,
    /// Spaces and extensions behind a size.
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends all.
    LineStart,
    Trailer,
    TrailerLf,
    EndLf,
    Ended,
}

impl Chunks {
    /// Returns whether the body has ended.
    pub(super) fn ended(&self) -> bool {
        self.at == At::Ended
    }

    /// Follows the next bytes and returns how many it used; `None` where no chunk can be so.
    pub(super) fn follow(&mut self, rest: &[u8]) -> Option<usize> {
        let first = *rest.first()?;
        let skip = |byte| memchr::memchr(byte, rest).unwrap_or(rest.len());
        match (self.at, first) {
            (At::Data, _) => {
                let used = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                self.left -= used as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                return Some(used);
            }
            (At::Extension | At::Trailer, byte) if byte != b'\r' => return Some(skip(b'\r')),
            (At::Start | At::Size, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16)?;
                self.left = self.left.checked_mul(16)?.checked_add(u64::from(digit))?;
                self.at = At::Size;
            }
            (At::Size, b' ' | b'\t' | b';') => self.at = At::Extension,
            (At::Size | At::Extension, b'\r') => self.at = At::SizeLf,
            (At::SizeLf, b'\n') => self.at = if self.left == 0 { At::LineStart } else { At::Data },
            (At::DataCr, b'\r') => self.at = At::DataLf,
            (At::DataLf, b'\n') => self.at = At::Start,
            (At::LineStart, b'\r') => self.at = At::EndLf,
            (At::LineStart, _) => self.at = At::Trailer,
            (At::Trailer, _) => self.at = At::TrailerLf,
            (At::TrailerLf, b'\n') => self.at = At::LineStart,
            (At::EndLf, b'\n') => self.at = At::Ended,
            _ => return None,
        }
        Some(1)
    }
}

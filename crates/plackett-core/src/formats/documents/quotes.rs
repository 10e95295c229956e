//! Quotation marks of a CSV file: where each opens, and whether it closes as it should. The CSV library reads on in both
//! cases and gives a text that nobody wrote.

/// A quotation mark that does not close, or closes in the middle of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The line of the mark that opens, from 1.
    pub opened: u64,
    /// Bytes before that mark.
    pub start: u64,
    /// Where the mark that closes stands, and what comes after it; `None` at the end of the file.
    pub closed: Option<(u64, u8)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Bare,
    Quoted,
    /// After a mark inside a quoted field: the end of the field, or the first of two marks that stand for one.
    Mark,
}

/// Follows the bytes of a file.
pub(super) struct Quotes {
    separator: u8,
    state: State,
    line: u64,
    bytes: u64,
    /// Line and place of the mark that opened last.
    opened: (u64, u64),
    fault: Option<Fault>,
}

impl Quotes {
    pub(super) fn new(separator: u8) -> Quotes {
        Quotes { separator, state: State::FieldStart, line: 1, bytes: 0, opened: (0, 0), fault: None }
    }

    /// The next bytes; none at the end of the file.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        if bytes.is_empty() && self.state == State::Quoted {
            let (opened, start) = self.opened;
            self.fault = Some(Fault { opened, start, closed: None });
        }
        for &byte in bytes {
            self.step(byte);
        }
    }

    fn step(&mut self, byte: u8) {
        let ends = byte == self.separator || byte == b'\n' || byte == b'\r';
        self.state = match (self.state, byte) {
            (State::FieldStart | State::Mark, _) if ends => State::FieldStart,
            (State::FieldStart, b'"') => {
                self.opened = (self.line, self.bytes);
                State::Quoted
            }
            (State::Bare, _) if ends => State::FieldStart,
            (State::FieldStart | State::Bare, _) => State::Bare,
            (State::Quoted, b'"') => State::Mark,
            (State::Quoted, _) => State::Quoted,
            (State::Mark, b'"') => State::Quoted,
            (State::Mark, _) => {
                let closed = Some((self.line, byte));
                let (opened, start) = self.opened;
                self.fault.get_or_insert(Fault { opened, start, closed });
                State::Bare
            }
        };
        self.line += u64::from(byte == b'\n');
        self.bytes += 1;
    }

    /// The first fault, when its mark opens within so many bytes.
    pub(super) fn fault(&self, bytes: u64) -> Option<&Fault> {
        self.fault.as_ref().filter(|fault| fault.start < bytes)
    }

    /// The line of the mark that is open now.
    pub(super) fn open(&self) -> Option<u64> {
        (self.state == State::Quoted).then_some(self.opened.0)
    }
}

impl Fault {
    /// What is wrong, after "the quotation mark that opens here".
    pub(super) fn problem(&self) -> String {
        match self.closed {
            None => "is never closed; close it, or write \"\" for a mark inside a text".into(),
            Some((line, byte)) => {
                let after = match byte {
                    b' ' => "a blank".into(),
                    b'\t' => "a tab".into(),
                    33..=126 => format!("`{}`", char::from(byte)),
                    _ => "more text".to_string(),
                };
                format!(
                    "closes on line {line} with {after} behind it, where a comma or the end of the line should \
                     be; write \"\" for a mark inside a text"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<(u64, Option<(u64, u8)>)> {
        let mut quotes = Quotes::new(b',');
        text.as_bytes().chunks(3).for_each(|part| quotes.read(part));
        quotes.read(&[]);
        quotes.fault(u64::MAX).map(|fault| (fault.opened, fault.closed))
    }

    #[test]
    fn marks_that_do_not_close_are_found_where_they_open() {
        for good in ["a,b\n", "\"a\",\"b\nc\"\n", "\"a \"\"b\"\"\",c", "5\" wide,\"x\"\r\n", "\"\",\"\"", ""]
        {
            assert_eq!(fault(good), None, "{good}");
        }
        assert_eq!(fault("id,text\n1,\"never closed\n2,two\n"), Some((2, None)));
        assert_eq!(fault("1,\"never closed\n2,\"two\"\n"), Some((1, Some((2, b't')))));
        assert_eq!(fault("1,\"he said \"so\"\"\n"), Some((1, Some((1, b's')))));
        assert_eq!(fault("1,\"a\" ,b\n"), Some((1, Some((1, b' ')))));
    }
}
